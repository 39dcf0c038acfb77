public import BerthMemory
import BerthWire
import Glibc

/// Sends pages that were sent before as differences; capability `xbzrle`.
///
/// Overview: a cache holds pages exactly as the destination has them. A page found there goes as
/// what has changed; any other goes whole, and into the cache if its place is free.
///
/// Function: the guest may write a page at any time, so a page is copied first, and what is looked
/// at, sent and remembered is the copy. One thread calls it.
///
/// Odd cases: a page that was marked but holds what it held takes no bytes at all. Only a
/// sequential stream can carry differences; to other sinks everything goes as the scanner sends it.
@safe
public final class DeltaSender: PageSender {
    /// What it has brought so far.
    public private(set) var counters = DeltaCounters()

    /// Whether differences are made, rather than everything sent whole.
    ///
    /// Turned on after the first complete round: before it no page comes twice.
    public var isEncoding = false

    private let scanner: GuestScanner
    private var cache: XBZRLECache
    private var period = DeltaPeriod()

    /// Rounds through memory, told by a position before the last one.
    private var round: UInt64 = 1
    private var lastBlock = 0
    private var lastPage = 0

    /// The page being sent.
    private let current = UnsafeMutableRawBufferPointer.allocate(
        byteCount: targetPageByteCount,
        alignment: targetPageByteCount
    )
    /// Its difference, if the record is smaller than that of a whole page.
    private let delta = UnsafeMutableRawBufferPointer.allocate(
        byteCount: targetPageByteCount - XBZRLEHeader.byteCount - 1,
        alignment: 16
    )

    /// Makes a sender with an empty cache.
    ///
    /// - Parameters:
    ///   - scanner: says whether zero pages are told from others, and sends the first round.
    ///   - cacheByteCount: `xbzrle-cache-size`; rounded down to a power of two.
    /// - Throws: `.limitExceeded` if the cache's memory can't be had.
    public init(_ scanner: GuestScanner, cacheByteCount: UInt64) throws(StreamError) {
        self.scanner = scanner
        cache = try XBZRLECache(byteCount: cacheByteCount)
        counters.cacheByteCount = UInt64(cache.pageCount * targetPageByteCount)
    }

    deinit {
        unsafe current.deallocate()
        unsafe delta.deallocate()
    }

    /// Changes the size of the cache, which is then empty; without effect if it has that size.
    ///
    /// - Throws: `.limitExceeded` if the memory can't be had; the old cache stays in use.
    public func resize(toByteCount byteCount: UInt64) throws(StreamError) {
        guard XBZRLECache.pageCount(forByteCount: byteCount) != cache.pageCount else { return }
        cache = try XBZRLECache(byteCount: byteCount)
        counters.cacheByteCount = UInt64(cache.pageCount * targetPageByteCount)
    }

    /// Computes the rates since the last call, which QEMU does about once a second.
    public func closePeriod() {
        period.close(&counters)
    }

    /// See `PageSender`.
    public func send(
        _ block: RAMBlock,
        index: Int,
        dirty: inout PageBitmap,
        from page: inout Int,
        limit: Int,
        to sink: any PageSink
    ) throws(StreamError) -> SentPages {
        if (index, page) < (lastBlock, lastPage) {
            round += 1
        }
        defer { (lastBlock, lastPage) = (index, page) }
        guard isEncoding, let writer = sink as? SequentialWriter else {
            return try scanner.send(
                block,
                index: index,
                dirty: &dirty,
                from: &page,
                limit: limit,
                to: sink
            )
        }
        var sent = SentPages()
        while sent.count < limit {
            guard let run = dirty.nextRun(from: page, limit: limit - sent.count) else {
                page = block.pageCount
                break
            }
            // Cleared before the pages are read: a write from now on marks them again.
            dirty.set(run, to: false)
            for next in run {
                unsafe try send(
                    block.base + next * targetPageByteCount,
                    index,
                    next,
                    to: writer,
                    &sent
                )
            }
            page = run.upperBound
        }
        period.note(sent)
        return sent
    }

    @inline(__always)
    private func send(
        _ source: UnsafeMutableRawPointer,
        _ block: Int,
        _ page: Int,
        to writer: SequentialWriter,
        _ sent: inout SentPages
    ) throws(StreamError) {
        let offset = page * targetPageByteCount
        let known = unsafe cache.content(block: block, page: page, round: round)
        if scanner.detectsZeroPages, unsafe isZero(source, byteCount: targetPageByteCount) {
            // Whatever is written meanwhile, this is what the destination gets.
            try writer.zero(block: block, offset: offset, byteCount: targetPageByteCount)
            if let known = unsafe known?.baseAddress {
                unsafe memset(known, 0, targetPageByteCount)
            }
            sent.zeroCount += 1
        } else if let known = unsafe known {
            unsafe try sendKnown(source, known, block, offset, to: writer, &sent)
        } else {
            counters.missCount += 1
            if let copy = unsafe cache.claim(block: block, page: page, round: round) {
                unsafe copy.copyMemory(
                    from: UnsafeRawBufferPointer(start: source, count: targetPageByteCount)
                )
                unsafe try writer.write(copyOf: UnsafeRawBufferPointer(copy), block, offset)
            } else {
                unsafe try writer.write(
                    block: block,
                    offset: offset,
                    from: source,
                    byteCount: targetPageByteCount
                )
            }
            sent.dataCount += 1
        }
    }

    @inline(__always)
    private func sendKnown(
        _ source: UnsafeMutableRawPointer,
        _ known: UnsafeMutableRawBufferPointer,
        _ block: Int,
        _ offset: Int,
        to writer: SequentialWriter,
        _ sent: inout SentPages
    ) throws(StreamError) {
        unsafe current.copyMemory(
            from: UnsafeRawBufferPointer(start: source, count: targetPageByteCount)
        )
        counters.pageCount += 1
        let new = unsafe UnsafeRawBufferPointer(current)
        let count = unsafe XBZRLE.encode(from: UnsafeRawBufferPointer(known), to: new, into: delta)
        guard count != 0 else {
            sent.unchangedCount += 1
            return
        }
        unsafe known.copyMemory(from: new)
        if let count {
            let bytes = unsafe UnsafeRawBufferPointer(rebasing: delta[..<count])
            let byteCount = UInt64(unsafe try writer.write(delta: bytes, block, offset))
            counters.byteCount += byteCount
            sent.deltaCount += 1
            sent.deltaByteCount += byteCount
        } else {
            counters.overflowCount += 1
            counters.byteCount += UInt64(targetPageByteCount)
            unsafe try writer.write(copyOf: new, block, offset)
            sent.dataCount += 1
        }
    }
}
