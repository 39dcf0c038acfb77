/// All RAM blocks of a guest, in the order in which a stream lists them.
public struct GuestMemory: Sendable {
    /// The blocks, longest first, equal lengths in the order of registration (as QEMU lists them).
    public private(set) var blocks: [RAMBlock]

    /// Makes the memory of a guest out of its blocks.
    public init(_ blocks: [RAMBlock] = []) {
        self.blocks = []
        for block in blocks {
            insert(block)
        }
    }

    /// The block named `id`, or nil.
    public subscript(id: String) -> RAMBlock? {
        blocks.first { $0.id == id }
    }

    /// Adds a block behind all others that are at least as long.
    public mutating func insert(_ block: RAMBlock) {
        let index = blocks.firstIndex { $0.byteCount < block.byteCount } ?? blocks.endIndex
        blocks.insert(block, at: index)
    }

    /// Replaces the order and set of blocks by the one that a stream gave.
    public mutating func replace(with blocks: [RAMBlock]) {
        self.blocks = blocks
    }

    /// Sum of all block sizes in bytes.
    public var byteCount: UInt64 {
        blocks.reduce(0) { $0 + UInt64($1.byteCount) }
    }
}
