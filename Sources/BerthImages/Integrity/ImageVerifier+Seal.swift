import BerthMemory
import BerthStream
import BerthTransport
import BerthWire
import Glibc

extension ImageVerifier {
    /// Ranges of bad pages that are listed one by one; more are counted.
    static let rangeLimit = 100

    /// Finds the seal; one that can't be read is a fault.
    func findSeal(
        of image: GuestImage,
        _ report: inout VerificationReport
    ) throws(ImageError) -> Seal? {
        let file = try image.openFile()
        let seal: Seal?
        do throws(StreamError) {
            seal = try Seal.find(in: file)
        } catch {
            report.hasBadSeal = true
            report.add(
                at: error.offset,
                error.message,
                "the guest can be restored, its content can't be checked"
            )
            return nil
        }
        guard let seal else { return nil }
        guard seal.header.streamStart == image.streamOffset else {
            report.hasBadSeal = true
            report.add(
                at: seal.header.offset,
                "the seal is of a stream at 0x\(String(seal.header.streamStart, radix: 16)), the "
                    + "image's begins at 0x\(String(image.streamOffset, radix: 16))",
                "the content can't be checked; was something put before the stream?"
            )
            return nil
        }
        report.seal = seal.algorithm
        return seal
    }

    /// Compares the image with its seal.
    func check(
        _ image: GuestImage,
        _ received: ReceivedStream,
        _ receiver: VerifyingReceiver,
        against seal: Seal,
        _ report: inout VerificationReport
    ) throws(ImageError) {
        if received.places.end != seal.header.streamEnd {
            report.add(
                at: received.places.end,
                "the stream ends here, the one that was sealed ended at "
                    + "0x\(String(seal.header.streamEnd, radix: 16))",
                Self.changed
            )
        }
        var verdict = receiver.blockVerdict
        verdict.add(seal.check(received.configuration, received.deviceState))
        let areBlocksSealed = receiver.blockVerdict.isWhole
        for (index, block) in receiver.census.blocks.enumerated() where areBlocksSealed {
            guard let pagesOffset = block.pagesOffset else { continue }
            verdict.add(
                seal.checkMap(ofBlock: index, pagesOffset: pagesOffset, present: block.data)
            )
        }
        if let pages = try checkedPages(image, receiver, seal) {
            do {
                verdict.add(try pages.finish())
            } catch {
                throw ImageError(error, during: "reading the seal of '\(path)'")
            }
            report.contentCheck = .sealed(seal.algorithm)
        }
        for difference in verdict.differences {
            report.add(at: nil, difference, Self.changed)
        }
        add(verdict.badPages, receiver.census, &report)
    }

    /// The pages as they were compared, once more if the stream had changes to pages only.
    private func checkedPages(
        _ image: GuestImage,
        _ receiver: VerifyingReceiver,
        _ seal: Seal
    ) throws(ImageError) -> SealedPages? {
        guard let pages = receiver.pages, pages.sawDelta else { return receiver.pages }
        let whole = SealedPages(seal)
        try image.pages().feed(whole)
        return whole
    }

    private func add(
        _ badPages: [SealVerdict.BadPages],
        _ census: PageCensus,
        _ report: inout VerificationReport
    ) {
        var left = Self.rangeLimit
        for bad in badPages {
            // In a sequential stream a page can be anywhere, and there several times.
            let start = census.blocks.first { $0.block.name == bad.block }?.pagesOffset
            let ranges = bad.ranges(limit: left)
            var rest = bad.pages.count
            for range in ranges {
                let count = range.count / targetPageByteCount
                rest -= count
                let pages =
                    count == 1
                    ? "page 0x\(String(range.lowerBound, radix: 16))"
                    : "\(count) pages from 0x\(String(range.lowerBound, radix: 16)) on"
                report.add(
                    at: start.map { $0 + range.lowerBound },
                    "\(pages) of block '\(bad.block)' \(count == 1 ? "isn't" : "aren't") what was "
                        + "sealed",
                    "the guest would get other memory than it had"
                )
            }
            if rest > 0 {
                report.add(
                    at: nil,
                    "\(rest) more pages of block '\(bad.block)' aren't what was sealed",
                    "the guest would get other memory than it had"
                )
            }
            left -= ranges.count
        }
    }

    private static let changed = "the image was changed after it was sealed"
}

extension ImagePages {
    /// Gives all pages to a sink.
    @available(*, noasync)
    func feed(_ sink: any PageSink) throws(ImageError) {
        for index in blocks.indices {
            try visitRuns(ofBlock: index) { run throws(ImageError) in
                do throws(StreamError) {
                    guard let bytes = unsafe run.bytes else {
                        try sink.zero(block: index, offset: run.offset, byteCount: run.byteCount)
                        return
                    }
                    var piece = unsafe iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
                    try unsafe withUnsafeMutablePointer(to: &piece) { piece throws(StreamError) in
                        unsafe try sink.write(
                            DataRun(
                                block: index,
                                offset: run.offset,
                                byteCount: run.byteCount,
                                pieces: UnsafeMutableBufferPointer(start: piece, count: 1)
                            )
                        )
                    }
                } catch {
                    throw ImageError("\(error)", hint: error.hint)
                }
            }
        }
    }
}
