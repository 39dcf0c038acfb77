import BerthMemory
import BerthSystem
import BerthTransport
import BerthWire
import Glibc
import Synchronization
import Testing

@testable import BerthStream

/// What comes over multifd channels ends up where it belongs.
@Suite(.timeLimit(.minutes(5)))
struct MultifdReceivingTests {
    private static let pageCount = 700

    /// A guest with a mix of pages: two of three have content.
    private func source() throws -> StreamGuest {
        let guest = try StreamGuest(pageCounts: [Self.pageCount, 30])
        for (index, block) in guest.blocks.enumerated() {
            for page in 0..<block.pageCount where page % 3 != 1 {
                guest.fill(index, page: page, version: 1)
            }
        }
        return guest
    }

    /// All pages in packets, one channel after the other; the order within a packet isn't sorted.
    private func sendAll(_ script: inout MultifdScript, detectsZeroPages: Bool = true) {
        var channel = 0
        for (index, block) in script.guest.blocks.enumerated() {
            for start in stride(from: 0, to: block.pageCount, by: 128) {
                let pages = Array(start..<min(start + 128, block.pageCount))
                let full = pages.filter { !detectsZeroPages || $0 % 3 != 1 }
                let zeros = pages.filter { detectsZeroPages && $0 % 3 == 1 }
                script.send(
                    index,
                    pages: Array(full.suffix(20) + full.dropLast(20)),
                    zeros: zeros.reversed(),
                    on: channel
                )
                channel = (channel + 1) % script.channels.count
            }
        }
    }

    @Test(arguments: MultifdScript.Mode.allCases, [1, 3, 8])
    func `every page arrives`(_ mode: MultifdScript.Mode, _ channelCount: Int) throws {
        let guest = try source()
        var script = try MultifdScript(guest, channelCount: channelCount, mode: mode)
        script.begin()
        script.beginPart()
        sendAll(&script)
        if mode == .perRound { script.synchronize() }
        script.endSection()
        script.finish()
        let link = try MultifdTestLink(channelCount: channelCount)
        try link.feed(script)
        let target = try StreamGuest(like: guest)
        let stream = try link.load(into: target)
        #expect(target.digests == guest.digests)
        let zeroCount = (0..<Self.pageCount).count { $0 % 3 == 1 } + 10
        #expect(stream.progress.zeroPageCount == UInt64(zeroCount))
        #expect(stream.progress.dataPageCount == UInt64(Self.pageCount + 30 - zeroCount))
        let sent = script.main.count + script.channels.reduce(0) { $0 + $1.count }
        #expect(stream.progress.streamByteCount <= UInt64(sent))
        #expect(
            stream.progress.streamByteCount
                > stream.progress.dataPageCount * UInt64(targetPageByteCount)
        )
    }

    @Test(arguments: [1, 11, 1343, 1345, 4096, 5440])
    func `packets may come in pieces of any size`(_ size: Int) throws {
        let guest = try StreamGuest(pageCounts: [9])
        for page in [0, 2, 3, 7] { guest.fill(0, page: page, version: 3) }
        var script = try MultifdScript(guest, channelCount: 2)
        script.begin()
        script.beginPart()
        script.send(pages: [7, 0], zeros: [1], on: 0)
        script.send(pages: [2, 3], on: 0)
        script.send(pages: [5], on: 1)
        script.synchronize()
        script.endSection()
        script.finish()
        let link = try MultifdTestLink(channelCount: 2)
        try link.feed(script, by: size)
        let target = try StreamGuest(like: guest)
        try link.load(into: target)
        #expect(target.digests == guest.digests)
    }

    @Test(
        arguments: [
            MultifdCompression.zlib(level: 1), .zlib(level: 0), .zlib(level: 9), .zstd(level: 1),
            .zstd(level: 19),
        ]
    )
    func `compressed pages arrive`(_ compression: MultifdCompression) throws {
        let guest = try source()
        var script = try MultifdScript(guest, channelCount: 2, compression: compression)
        script.begin()
        script.beginPart()
        sendAll(&script)
        sendAll(&script, detectsZeroPages: false)
        script.synchronize()
        script.endSection()
        script.finish()
        for expected in [nil, compression.method] {
            let link = try MultifdTestLink(channelCount: 2, method: expected)
            try link.feed(script)
            let target = try StreamGuest(like: guest)
            try link.load(into: target)
            #expect(target.digests == guest.digests)
        }
    }

    /// Channel 1 has all of its bytes long before channel 0 has its first: only the sync point
    /// keeps the newer page from being overwritten by the older one.
    @Test(arguments: MultifdScript.Mode.allCases, [1, 0])
    func `a newer page wins over an older one on a slower channel`(
        _ mode: MultifdScript.Mode,
        _ newest: UInt64
    ) throws {
        let guest = try StreamGuest(pageCounts: [4])
        var script = try MultifdScript(guest, channelCount: 2, mode: mode)
        script.begin()
        script.beginPart()
        guest.fill(0, page: 2, version: 7)
        script.send(pages: [2], on: 0)
        if mode == .perRound { script.synchronize() }
        script.endSection()
        script.beginPart()
        guest.fill(0, page: 2, version: newest)
        if newest == 0 {
            script.send(zeros: [2], on: 1)
        } else {
            script.send(pages: [2], on: 1)
        }
        if mode == .perRound { script.synchronize() }
        script.endSection()
        script.finish()
        let link = try MultifdTestLink(channelCount: 2)
        try link.feed(script.main, to: link.mainWriter)
        try script.channels[1].withUnsafeBytes { try link.writers[1].write($0) }
        let late = script.channels[0]
        let slow = link.writers[0]
        let reader = link.receiver
        let thread = try NamedThread.start(name: "test-slow") {
            // The first sync point, then nothing until the reader has all that is to be had.
            try? late[..<1344].withUnsafeBytes { try slow.write($0) }
            while reader.progress.streamByteCount < 1344 * 3 { usleep(1000) }
            try? late[1344...].withUnsafeBytes { try slow.write($0) }
        }
        defer { thread.join() }
        let target = try StreamGuest(like: guest)
        try link.load(into: target)
        #expect(target.digests == guest.digests)
    }

    @Test func `zero pages on the main channel clear what channels brought`() throws {
        let guest = try StreamGuest(pageCounts: [6])
        var script = try MultifdScript(guest, channelCount: 2)
        script.begin()
        script.beginPart()
        for page in 0..<6 { guest.fill(0, page: page, version: 2) }
        script.send(pages: [0, 1, 2], on: 0)
        script.send(pages: [3, 4, 5], on: 1)
        script.synchronize()
        for page in [1, 4] {
            guest.fill(0, page: page, version: 0)
            script.zeroOnMain(0, page: page)
        }
        script.endSection()
        script.finish()
        let link = try MultifdTestLink(channelCount: 2)
        try link.feed(script)
        let target = try StreamGuest(like: guest)
        let stream = try link.load(into: target)
        #expect(target.digests == guest.digests)
        #expect(stream.progress.zeroPageCount == 2)
    }

    @Test func `pages and sync point may be one packet`() throws {
        let guest = try StreamGuest(pageCounts: [6])
        var script = try MultifdScript(guest, channelCount: 2)
        script.begin()
        script.beginPart()
        guest.fill(0, page: 3, version: 1)
        script.flushWord()
        script.send(pages: [3], sync: true, on: 0)
        script.send(sync: true, on: 1)
        guest.fill(0, page: 3, version: 2)
        script.flushWord()
        script.send(sync: true, on: 0)
        script.send(pages: [3], zeros: [5], sync: true, on: 1)
        script.endSection()
        script.finish()
        let link = try MultifdTestLink(channelCount: 2)
        try link.feed(script)
        let target = try StreamGuest(like: guest)
        try link.load(into: target)
        #expect(target.digests == guest.digests)
    }

    @Test func `channels without a page are enough for a guest that is all zero`() throws {
        let guest = try StreamGuest(pageCounts: [6])
        var script = try MultifdScript(guest, channelCount: 4)
        script.begin()
        script.finish()
        let link = try MultifdTestLink(channelCount: 4)
        try link.feed(script)
        let target = try StreamGuest(like: guest)
        try link.load(into: target)
        #expect(target.digests == guest.digests)
    }

    @Test(arguments: [MultifdCompression.none, .zstd(level: 1)])
    func `a sink for one thread is called by one at a time`(
        _ compression: MultifdCompression
    ) throws {
        let guest = try source()
        var script = try MultifdScript(guest, channelCount: 8, compression: compression)
        script.begin()
        for _ in 0..<4 {
            script.beginPart()
            sendAll(&script)
            script.synchronize()
            script.endSection()
        }
        script.finish()
        let link = try MultifdTestLink(channelCount: 8)
        try link.feed(script)
        let target = try StreamGuest(like: guest)
        let sink = OneThreadSink(target)
        let receiver = StreamTestReceiver(target)
        receiver.sink = sink
        try link.load(into: target, receiver: receiver)
        #expect(target.digests == guest.digests)
        #expect(sink.overlapCount.load(ordering: .relaxed) == 0)
        #expect(sink.hasUnsettledPages == false)
    }
}

/// A sink that notices two calls at once, and copies pages only when it is told to let go of them.
private final class OneThreadSink: PageSink {
    private let guest: StreamGuest
    private let isBusy = Atomic<Bool>(false)
    let overlapCount = Atomic<Int>(0)
    private var waiting: [(target: UnsafeMutableRawPointer, piece: iovec)] = []

    init(_ guest: StreamGuest) { self.guest = guest }

    var hasUnsettledPages: Bool { !waiting.isEmpty }

    private func alone(_ body: () -> Void) {
        if isBusy.exchange(true, ordering: .acquiringAndReleasing) {
            overlapCount.add(1, ordering: .relaxed)
        }
        body()
        isBusy.store(false, ordering: .releasing)
    }

    func write(_ run: DataRun) throws(StreamError) {
        alone {
            var target = guest.blocks[run.block].base + run.offset
            for piece in run.pieces {
                waiting.append((target, piece))
                target += piece.iov_len
            }
        }
    }

    func zero(block: Int, offset: Int, byteCount: Int) throws(StreamError) {
        alone { _ = memset(guest.blocks[block].base + offset, 0, byteCount) }
    }

    func apply(_ delta: PageDelta) throws(StreamError) {
        Issue.record("nobody sends differences")
    }

    func settle() throws(StreamError) {
        alone {
            for (target, piece) in waiting {
                if let base = piece.iov_base { memcpy(target, base, piece.iov_len) }
            }
            waiting = []
        }
    }
}
