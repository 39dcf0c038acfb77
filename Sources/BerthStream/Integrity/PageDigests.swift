public import BerthMemory
import BerthSystem
public import BerthWire
import Glibc
import Synchronization

/// The digests of the pages of a guest while an image of it is written.
///
/// Function: who writes pages notes each run here, with the bytes that go to the image; what is
/// noted later for a page replaces what was noted before, and pages never noted are zero. At the
/// end `Channel.writeSeal` puts them behind the stream.
///
/// Memory: 4 bytes (CRC32C) or 32 bytes (BLAKE3) for each page with content, the others cost none.
/// Several threads may note at once, if no two note the same page at the same time.
public final class PageDigests: Sendable {
    /// How pages are summed up.
    public let algorithm: IntegrityAlgorithm
    /// The blocks, in the stream's order.
    public let blocks: [StreamBlock]

    let digester: PageDigester
    /// One table for each block, zeros at first; nil for a block without a page.
    ///
    /// Whoever notes a page writes its entry; that no two do at once is for them to see to.
    private let tables: [MemoryMapping?]
    private let maps: Mutex<[Int: SealedPart]>

    /// Begins with all pages zero.
    ///
    /// - Parameter blocks: checked lengths, as from a stream's list or the guest's own.
    /// - Throws: `StreamError` if the system has no room for the tables.
    public init(_ algorithm: IntegrityAlgorithm, blocks: [StreamBlock]) throws(StreamError) {
        self.algorithm = algorithm
        self.blocks = blocks
        let digester = PageDigester(algorithm)
        self.digester = digester
        maps = Mutex([:])
        var tables: [MemoryMapping?] = []
        do {
            for block in blocks {
                let byteCount = block.byteCount / targetPageByteCount * digester.entryByteCount
                tables.append(
                    byteCount == 0
                        ? nil
                        : try MemoryMapping.anonymous(
                            byteCount: byteCount,
                            options: .init(hugePages: false)
                        )
                )
            }
        } catch {
            throw StreamError(.transport, "cannot keep digests of pages: \(error)")
        }
        self.tables = tables
    }

    /// Notes pages as they go to the image.
    ///
    /// - Parameters:
    ///   - block: index of the block.
    ///   - offset: where in the block the first page is.
    ///   - bytes: whole pages within the block.
    public func note(block: Int, offset: Int, _ bytes: UnsafeRawBufferPointer) {
        guard let entries = unsafe entries(block, offset, byteCount: bytes.count) else { return }
        unsafe digester.makeEntries(ofPages: bytes, into: entries)
    }

    /// Notes a run; call it before the run is given to a sink, which may use its pieces up.
    public func note(_ run: DataRun) {
        let isScattered = unsafe run.pieces.contains { unsafe $0.iov_len == targetPageByteCount }
        if algorithm == .blake3, isScattered, unsafe run.pieces.count > 1 {
            // Two pages take as long as one where they lie together.
            unsafe PageBatch().visit(run) { offset, bytes in
                unsafe note(block: run.block, offset: offset, bytes)
            }
            return
        }
        var offset = run.offset
        for index in unsafe run.pieces.indices {
            let piece = unsafe run.pieces[index]
            unsafe note(
                block: run.block,
                offset: offset,
                UnsafeRawBufferPointer(start: piece.iov_base, count: piece.iov_len)
            )
            offset += unsafe piece.iov_len
        }
    }

    /// Notes pages that are all zero.
    public func noteZero(block: Int, offset: Int, byteCount: Int) {
        guard let entries = unsafe entries(block, offset, byteCount: byteCount) else { return }
        // A look first: writing zeros to a page of the table that was never used would cost memory.
        for place in stride(from: 0, to: entries.count, by: 4)
        where unsafe entries.load(fromByteOffset: place, as: UInt32.self) != 0 {
            unsafe entries.storeBytes(of: 0, toByteOffset: place, as: UInt32.self)
        }
    }

    /// Notes where a mapped-ram image has a block's pages, and which.
    ///
    /// - Parameters:
    ///   - pagesOffset: where in the file the block's first page is.
    ///   - present: the block's bitmap as the image has it in the end.
    public func noteMap(block: Int, pagesOffset: UInt64, present: PageBitmap) {
        let part = SealedPart.map(
            of: blocks[block].name,
            pagesOffset: pagesOffset,
            present: present,
            algorithm
        )
        maps.withLock { $0[block] = part }
    }

    /// What was noted with `noteMap`, in the order of blocks.
    var mapParts: [SealedPart] {
        maps.withLock { maps in blocks.indices.compactMap { maps[$0] } }
    }

    /// A block's table; empty for a block without pages.
    func table(ofBlock index: Int) -> UnsafeRawBufferPointer {
        guard let table = tables[index] else {
            return unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        }
        return unsafe UnsafeRawBufferPointer(table.bytes)
    }

    /// The entries of pages, which must be in the block; nil for a block without any.
    private func entries(
        _ block: Int,
        _ offset: Int,
        byteCount: Int
    ) -> UnsafeMutableRawBufferPointer? {
        guard let table = tables[block] else { return nil }
        let size = digester.entryByteCount
        let first = offset / targetPageByteCount * size
        let count = byteCount / targetPageByteCount * size
        precondition(
            offset >= 0 && first <= table.byteCount && count <= table.byteCount - first,
            "pages are noted within their block"
        )
        return unsafe UnsafeMutableRawBufferPointer(start: table.base + first, count: count)
    }
}
