import BerthMemory
import BerthSystem
public import BerthTransport
import BerthWire
import Glibc

/// Writes a mapped-ram image: every page has one fixed place in the file, so a page sent again
/// replaces itself and the file is no larger than header, blocks and device state.
///
/// The bitmaps, without which the pages mean nothing, and then the header are written by `finish`,
/// after everything else: an image that was cut off never looks complete, not even one that was
/// begun over an older image in the same place. Format: docs/wire/mapped-ram.md.
@safe
public final class MappedWriter: GuestWriter {
    /// Where the stream between the pages goes; its channel is seekable.
    public let output: StreamOutput

    struct Region {
        let header: MappedRAMHeader
        var present: SparseBitmap
    }

    /// See `GuestWriter`.
    public private(set) var frame: StreamFrame?

    var regions: [Region] = []
    /// Threads that write the pages; nil where the caller does.
    private let writers: FileThreads?
    /// Pages that are to be written together, and perhaps with those that come next.
    private var extent = PageExtent()
    private let extentLimit: PageExtent.Limit
    /// Where the stream begins in the file.
    private var start: UInt64 = 0
    /// One page for `apply`.
    private let scratch = UnsafeMutableRawBufferPointer.allocate(
        byteCount: targetPageByteCount,
        alignment: targetPageByteCount
    )

    /// See `GuestWriter`.
    public var pageByteCount: UInt64 { ownByteCount + (writers?.movedByteCount ?? 0) }
    /// Those of them that the caller's thread wrote.
    private var ownByteCount: UInt64 = 0

    /// Makes a writer; nothing is written before `begin`.
    ///
    /// - Parameter output: positioned at the file offset where the stream begins.
    public init(_ output: StreamOutput) {
        self.output = output
        writers = nil
        extentLimit = PageExtent.Limit(isDirect: false)
    }

    /// Makes a writer whose pages are written by threads.
    ///
    /// - Parameters:
    ///   - output: positioned at the file offset where the stream begins.
    ///   - pageChannels: the same file, one for each thread; bypassing the page cache or not.
    /// - Throws: `StreamError` if the system has no thread left.
    public init(_ output: StreamOutput, pageChannels: [Channel]) throws(StreamError) {
        self.output = output
        extentLimit = PageExtent.Limit(isDirect: pageChannels.contains { $0.isDirect })
        writers = try FileThreads(pageChannels, .toFile)
    }

    deinit {
        unsafe scratch.deallocate()
    }

    /// See `GuestWriter`.
    public func begin(
        _ plan: StreamPlan,
        blocks: [StreamBlock],
        earlySections: [UInt8]
    ) throws(StreamError) {
        try plan.configuration.refuseLeavingOutSharedMemory()
        var plan = plan
        if !plan.configuration.capabilities.contains("mapped-ram") {
            plan.configuration.capabilities.append("mapped-ram")
        }
        // A file can't answer.
        plan.opensReturnPath = false
        let frame = StreamFrame(plan, output)
        self.frame = frame
        start = output.position
        try frame.begin(
            total: blocks.reduce(0) { $0 + UInt64($1.byteCount) },
            withholdsHeader: true
        )
        for block in blocks {
            var bytes = [UInt8]()
            let length = UInt64(block.byteCount)
            RAMBlockRecord(name: block.name, usedLength: length).encode(into: &bytes)
            let header = try layout(
                headerEnd: output.position + UInt64(bytes.count + MappedRAMHeader.byteCount),
                length
            )
            header.encode(into: &bytes)
            try output.put(bytes)
            regions.append(
                Region(
                    header: header,
                    present: SparseBitmap(pageCount: block.byteCount.pageCountRoundedUp)
                )
            )
            try output.seek(to: header.nextRecordOffset(usedLength: length))
        }
        try frame.endPart()
        try output.put(earlySections)
        if extentLimit.isDirect {
            try reserve(output.position)
        }
    }

    /// Gives a file its length before its pages are written: a direct write that extends the file
    /// has to wait for the one before.
    private func reserve(_ byteCount: UInt64) throws(StreamError) {
        guard output.channel.objectKind == .regularFile, let present = output.channel.byteCount,
            present < byteCount
        else { return }
        do {
            try output.channel.resize(to: byteCount)
        } catch {
            throw StreamError(error)
        }
    }

    private func layout(headerEnd: UInt64, _ length: UInt64) throws(StreamError) -> MappedRAMHeader
    {
        do {
            return try MappedRAMHeader.layout(headerEnd: headerEnd, usedLength: length)
        } catch {
            throw StreamError(error)
        }
    }

    /// See `GuestWriter`.
    ///
    /// The bitmaps are the last bytes that reach the file.
    public func finish(
        deviceSections: [UInt8],
        description: [UInt8]?,
        closesMemory: Bool
    ) throws(StreamError) {
        try settle()
        try frame?.finish(
            deviceSections: deviceSections,
            description: description,
            closesMemory: closesMemory
        )
        for region in regions {
            for index in 0..<region.present.partCount {
                let bytes = region.present.bytes(ofPart: index)
                let place =
                    region.header.bitmapOffset + UInt64(index * SparseBitmap.partByteCount)
                try unsafe bytes.withUnsafeBufferPointer { bytes throws(StreamError) in
                    unsafe try put(UnsafeRawBufferPointer(bytes), at: place)
                }
            }
        }
        try unsafe StreamFrame.header.withUnsafeBufferPointer { bytes throws(StreamError) in
            unsafe try put(UnsafeRawBufferPointer(bytes), at: start)
        }
    }

    /// Writes the run at its place.
    public func write(_ run: DataRun) throws(StreamError) {
        mark(run.block, run.offset, run.byteCount, present: true)
        if writers != nil, unsafe run.pieces.count == 1, let base = unsafe run.pieces[0].iov_base {
            let next = unsafe PageExtent(run, base)
            if let gap = extent.join(next, within: extentLimit) {
                // Its zeros are written, too: one large write costs less than two.
                mark(run.block, gap.lowerBound, gap.count, present: true)
            } else {
                try writeExtent()
                extent = next
            }
            return
        }
        try settle()
        let place = regions[run.block].header.pagesOffset + UInt64(run.offset)
        ownByteCount += UInt64(run.byteCount)
        if let behind = output.behind {
            return unsafe try behind.write(run.pieces, at: place)
        }
        do {
            unsafe try output.channel.writeVector(run.pieces, at: place)
        } catch {
            throw StreamError(error)
        }
    }

    /// Writes nothing: the bitmap alone makes a page zero.
    public func zero(block: Int, offset: Int, byteCount: Int) throws(StreamError) {
        mark(block, offset, byteCount, present: false)
    }

    /// Hands over the pages that were held back for those that might have come after them.
    private func writeExtent() throws(StreamError) {
        guard extent.byteCount > 0, let base = unsafe extent.base else { return }
        let place = regions[extent.block].header.pagesOffset + UInt64(extent.offset)
        unsafe try writers?.move(base, byteCount: extent.byteCount, place: place)
        extent.byteCount = 0
    }

    /// Waits until the threads have written all pages.
    public func settle() throws(StreamError) {
        guard let writers else { return }
        try writeExtent()
        try writers.settle()
    }

    /// The same page may be written by another thread next time.
    public func endPass() throws(StreamError) {
        try settle()
    }

    /// See `GuestWriter`.
    public func end() {
        writers?.end()
    }

    /// Reads the page back, changes it, writes it again.
    public func apply(_ delta: PageDelta) throws(StreamError) {
        try settle()
        try output.behind?.flush()
        let region = regions[delta.block]
        let place = region.header.pagesOffset + UInt64(delta.offset)
        unsafe scratch.initializeMemory(as: UInt8.self, repeating: 0)
        if region.present[delta.offset / targetPageByteCount] {
            do {
                _ = unsafe try output.channel.read(at: place, into: scratch)
            } catch {
                throw StreamError(error)
            }
        }
        unsafe try delta.apply(to: scratch)
        unsafe try put(UnsafeRawBufferPointer(scratch), at: place)
        ownByteCount += UInt64(targetPageByteCount)
        mark(delta.block, delta.offset, targetPageByteCount, present: true)
    }

    /// Notes where the pages of all blocks lie, and which there are.
    func noteMaps(in digests: PageDigests) {
        for (index, region) in regions.enumerated() {
            digests.noteMap(
                block: index,
                pagesOffset: region.header.pagesOffset,
                present: region.present.whole
            )
        }
    }

    private func mark(_ block: Int, _ offset: Int, _ byteCount: Int, present: Bool) {
        let pages = offset / targetPageByteCount..<(offset + byteCount).pageCountRoundedUp
        regions[block].present.set(pages, to: present)
    }

    private func put(_ bytes: UnsafeRawBufferPointer, at place: UInt64) throws(StreamError) {
        do {
            unsafe try output.channel.write(at: place, bytes)
        } catch {
            throw StreamError(error)
        }
    }
}
