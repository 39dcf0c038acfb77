public import BerthStream
import BerthWire

/// Where a guest's RAM is among its physical addresses.
///
/// A stream doesn't say it. PCs leave the addresses right below 4 GiB to devices: RAM that has no
/// place below that hole goes on at 4 GiB. How much is below is taken from the first that is known:
///
/// 1. what the user says (`LayoutOptions.lowMemory`);
/// 2. what the machine told its firmware: the memory sizes in the clock's CMOS, which are in the
///    device state; believed if they add up to the RAM there is;
/// 3. the machine type's rule (`RAMSplit`).
///
/// Odd cases: RAM behind 0xA0000-0xFFFFF, where a PC's video memory and firmware show, counts as
/// RAM. Guests of more than 1 TiB on AMD processors, whose RAM skips another hole, aren't known.
public struct PhysicalLayout: Sendable, Equatable {
    /// Contiguous memory of one block.
    public struct Piece: Sendable, Equatable {
        /// Guest-physical address of the first byte.
        public var address: UInt64
        /// Index of the block in the stream's list.
        public var block: Int
        /// Offset of the first byte in the block.
        public var offset: Int
        /// Number of bytes.
        public var byteCount: Int

        /// Makes a piece.
        public init(address: UInt64, block: Int, offset: Int, byteCount: Int) {
            self.address = address
            self.block = block
            self.offset = offset
            self.byteCount = byteCount
        }

        /// The address after the last byte.
        public var end: UInt64 { address + UInt64(byteCount) }
    }

    /// By address; they don't overlap.
    public let pieces: [Piece]
    /// Indices of blocks that have no address here: video memory, firmware, plugged modules.
    public let unplaced: [Int]

    /// The address after the highest byte of RAM.
    public var end: UInt64 { pieces.last?.end ?? 0 }

    /// Works out where the blocks of a stream are.
    ///
    /// - Throws: `ImageError` if the machine, or which blocks are its RAM, isn't known; if two
    ///   blocks would overlap; if the user's wishes fit no block.
    public init(
        of received: ReceivedStream,
        options: LayoutOptions = LayoutOptions()
    ) throws(ImageError) {
        try self.init(
            of: received.blocks,
            machineName: received.configuration.machineName,
            deviceState: received.deviceState,
            options: options
        )
    }

    /// Works it out of the parts of a stream that say something about it.
    init(
        of blocks: [StreamBlock],
        machineName: String,
        deviceState: DeviceState,
        options: LayoutOptions
    ) throws(ImageError) {
        var pieces: [Piece] = []
        for (name, address) in options.placed {
            guard let index = MainMemory.index(of: name, in: blocks) else {
                throw ImageError(
                    "there is no block '\(name)'",
                    hint: "there are \(MainMemory.list(blocks))"
                )
            }
            guard address % 4096 == 0, address < 1 << 52 else {
                throw ImageError(
                    "the address 0x\(String(address, radix: 16)) of '\(name)' isn't that of a page"
                )
            }
            pieces.append(
                Piece(address: address, block: index, offset: 0, byteCount: blocks[index].byteCount)
            )
        }
        let split = RAMSplit(machineName: machineName)
        if split != nil || options.lowMemory != nil || pieces.isEmpty {
            let ram = try MainMemory.blocks(of: blocks, named: options.ram)
            if let twice = ram.first(where: { block in pieces.contains { $0.block == block } }) {
                throw ImageError("the block '\(blocks[twice].name)' would be at two addresses")
            }
            let byteCount = ram.reduce(UInt64(0)) { $0 + UInt64(blocks[$1].byteCount) }
            let low = try Self.lowByteCount(
                of: byteCount,
                machineName,
                deviceState,
                options
            )
            pieces += Self.pieces(of: ram, in: blocks, lowByteCount: low)
        }
        self.pieces = try Self.sorted(pieces, blocks)
        let placed = Set(pieces.map(\.block))
        unplaced = blocks.indices.filter { !placed.contains($0) }
    }

    /// Makes a layout of pieces that don't overlap.
    init(pieces: [Piece], unplaced: [Int] = []) {
        self.pieces = pieces.sorted { $0.address < $1.address }
        self.unplaced = unplaced
    }

    /// The block and offset at a guest-physical address; nil if no RAM is there.
    public func place(of address: UInt64) -> (block: Int, offset: Int)? {
        guard let piece = pieces.first(where: { $0.address <= address && address < $0.end }) else {
            return nil
        }
        return (piece.block, piece.offset + Int(address - piece.address))
    }

    /// Where RAM is, for messages: first and last address of each part.
    public var addressText: String {
        pieces.map {
            "0x\(String($0.address, radix: 16)) to 0x\(String($0.end - 1, radix: 16))"
        }
        .joined(separator: ", ")
    }

    private static func lowByteCount(
        of byteCount: UInt64,
        _ machineName: String,
        _ deviceState: DeviceState,
        _ options: LayoutOptions
    ) throws(ImageError) -> UInt64 {
        if let low = options.lowMemory {
            guard low % 4096 == 0, low > 0, low <= RAMSplit.holeEnd else {
                throw ImageError(
                    "memory below the hole must be whole pages, and 4 GiB at most",
                    hint: "2G and 3G are usual"
                )
            }
            return min(low, byteCount)
        }
        guard let split = RAMSplit(machineName: machineName) else {
            throw ImageError(
                "where the memory of machine type '\(machineName)' lies is not known",
                hint: "give the end of RAM below 4 GiB with --low-memory SIZE, "
                    + "or addresses with --place BLOCK=ADDRESS"
            )
        }
        if split != .flat,
            let told = RAMSplit.lowByteCount(toldBy: deviceState, of: byteCount)
        {
            return told
        }
        return split.lowByteCount(of: byteCount)
    }

    private static func pieces(
        of ram: [Int],
        in blocks: [StreamBlock],
        lowByteCount low: UInt64
    ) -> [Piece] {
        var pieces: [Piece] = []
        var start: UInt64 = 0
        for block in ram {
            let byteCount = blocks[block].byteCount
            // As many bytes of this block as there is room for below the hole.
            let below = low > start ? Int(min(UInt64(byteCount), low - start)) : 0
            if below > 0 {
                pieces.append(Piece(address: start, block: block, offset: 0, byteCount: below))
            }
            if below < byteCount {
                pieces.append(
                    Piece(
                        address: RAMSplit.holeEnd + (start + UInt64(below) - low),
                        block: block,
                        offset: below,
                        byteCount: byteCount - below
                    )
                )
            }
            start += UInt64(byteCount)
        }
        return pieces
    }

    private static func sorted(
        _ pieces: [Piece],
        _ blocks: [StreamBlock]
    ) throws(ImageError) -> [Piece] {
        let pieces = pieces.sorted { $0.address < $1.address }
        for (one, other) in zip(pieces, pieces.dropFirst()) where one.end > other.address {
            throw ImageError(
                "the blocks '\(blocks[one.block].name)' and '\(blocks[other.block].name)' would "
                    + "overlap at address 0x\(String(other.address, radix: 16))"
            )
        }
        return pieces
    }
}

/// What a user knows about a guest's memory that its image doesn't say.
public struct LayoutOptions: Sendable {
    /// Names of the blocks that are RAM, in the machine's order; empty to have them found.
    public var ram: [String] = []
    /// Bytes of RAM below the hole that ends at 4 GiB (QEMU: the result of `max-ram-below-4g`).
    public var lowMemory: UInt64?
    /// Further blocks and their guest-physical addresses, plugged modules say.
    public var placed: [(name: String, address: UInt64)] = []

    /// Nothing is known.
    public init() {}
}
