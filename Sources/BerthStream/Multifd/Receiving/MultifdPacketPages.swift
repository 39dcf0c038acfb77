import BerthMemory
import BerthWire
import Glibc

/// The pages of one packet as runs, and where their content goes.
///
/// Owned by one thread and used again for each packet; nothing is allocated for a page.
@safe
final class MultifdPacketPages {
    /// Pages that follow one another in the packet and in the block.
    struct Run {
        var offset: Int
        var byteCount: Int
        /// The content was put where the sink has the page.
        var isInPlace = false
    }

    /// Runs of pages with content.
    private(set) var runs: [Run] = []
    /// Runs of zero pages.
    private(set) var zeroRuns: [Run] = []

    private let storage = UnsafeMutableBufferPointer<iovec>.allocate(
        capacity: MultifdPacketHeader.pageLimit
    )
    /// Pages for a sink that has no memory of its own; allocated for the first of them.
    private var buffer: UnsafeMutableRawBufferPointer?

    init() {
        runs.reserveCapacity(MultifdPacketHeader.pageLimit)
        zeroRuns.reserveCapacity(MultifdPacketHeader.pageLimit)
    }

    deinit {
        unsafe storage.deallocate()
        unsafe buffer?.deallocate()
    }

    /// Where the content goes, one piece for each run.
    var pieces: UnsafeMutableBufferPointer<iovec> {
        unsafe UnsafeMutableBufferPointer(rebasing: storage[..<runs.count])
    }

    /// Takes the offsets of a packet.
    ///
    /// - Parameter bytes: the packet's header.
    /// - Throws: `.malformed` for an offset that isn't a page's of the block.
    func take(
        _ header: MultifdPacketHeader,
        _ bytes: Span<UInt8>,
        of block: StreamBlock
    ) throws(StreamError) {
        runs.removeAll(keepingCapacity: true)
        zeroRuns.removeAll(keepingCapacity: true)
        for index in 0..<header.normalCount {
            let offset = try offset(at: index, bytes, block)
            Self.append(offset, to: &runs)
        }
        for index in header.normalCount..<header.normalCount + header.zeroCount {
            let offset = try offset(at: index, bytes, block)
            Self.append(offset, to: &zeroRuns)
        }
    }

    private static func append(_ offset: Int, to runs: inout [Run]) {
        if let last = runs.last, last.offset + last.byteCount == offset {
            runs[runs.count - 1].byteCount += targetPageByteCount
        } else {
            runs.append(Run(offset: offset, byteCount: targetPageByteCount))
        }
    }

    private func offset(
        at index: Int,
        _ bytes: Span<UInt8>,
        _ block: StreamBlock
    ) throws(StreamError) -> Int {
        let offset = MultifdPacketHeader.offset(at: index, in: bytes)
        // Blocks are whole pages, so an aligned offset in the block has a whole page behind it.
        guard offset < UInt64(block.byteCount), TargetPage.isAligned(offset) else {
            throw StreamError(
                .malformed,
                "page offset 0x\(String(offset, radix: 16)) is no page of block '\(block.name)' "
                    + "of 0x\(String(block.byteCount, radix: 16)) bytes"
            )
        }
        return Int(offset)
    }

    /// Finds memory for the content: the sink's own where it has some.
    func findMemory(in sink: any PageSink, block: Int) {
        var fill = 0
        for index in runs.indices {
            let run = runs[index]
            if let memory = unsafe sink.memory(
                block: block,
                offset: run.offset,
                byteCount: run.byteCount
            ) {
                runs[index].isInPlace = true
                unsafe storage[index] = unsafe iovec(
                    iov_base: memory.baseAddress,
                    iov_len: memory.count
                )
                continue
            }
            let base = unsafe ownBuffer.baseAddress.map { unsafe $0 + fill }
            unsafe storage[index] = unsafe iovec(iov_base: base, iov_len: run.byteCount)
            fill += run.byteCount
        }
    }

    private var ownBuffer: UnsafeMutableRawBufferPointer {
        if let buffer = unsafe buffer { return unsafe buffer }
        let new = UnsafeMutableRawBufferPointer.allocate(
            byteCount: MultifdPacketHeader.pageLimit * targetPageByteCount,
            alignment: targetPageByteCount
        )
        unsafe buffer = unsafe new
        return unsafe new
    }

    /// Gives the pages to the sink: their content is there.
    func deliver(to sink: any PageSink, block: Int) throws(StreamError) {
        var isBuffered = false
        for index in runs.indices {
            let run = runs[index]
            if run.isInPlace {
                sink.didFill(block: block, offset: run.offset, byteCount: run.byteCount)
                continue
            }
            isBuffered = true
            unsafe try sink.write(
                DataRun(
                    block: block,
                    offset: run.offset,
                    byteCount: run.byteCount,
                    pieces: UnsafeMutableBufferPointer(rebasing: storage[index...index])
                )
            )
        }
        for run in zeroRuns {
            try sink.zero(block: block, offset: run.offset, byteCount: run.byteCount)
        }
        // The buffer is used again for the next packet.
        if isBuffered { try sink.settle() }
    }
}
