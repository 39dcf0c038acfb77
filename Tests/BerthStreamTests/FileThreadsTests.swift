import BerthMemory
import BerthSystem
import BerthTestSupport
import BerthTransport
import BerthWire
import Glibc
import Testing

@testable import BerthStream

/// Mapped-ram images whose pages are moved by threads, through the page cache and around it.
@Suite(.timeLimit(.minutes(10)))
struct FileThreadsTests {
    private let directory: PeersDirectory

    init() throws { directory = try PeersDirectory() }

    private func guest() throws -> StreamGuest {
        let guest = try StreamGuest(pageCounts: [3000, 65, 1])
        // Runs, single pages, small gaps that a direct write takes along, and large ones.
        for (index, block) in guest.blocks.enumerated() {
            for page in 0..<block.pageCount where page % 100 < 40 || page % 7 == 0 {
                guest.fill(index, page: page, version: 1)
            }
        }
        return guest
    }

    private func channel(_ path: String, _ flags: CInt, isDirect: Bool = false) throws -> Channel {
        try Channel(
            OwnedDescriptor.open(path, flags, mode: 0o600, isDirect: isDirect),
            name: "file:\(path)"
        )
    }

    private func image(
        _ guest: StreamGuest,
        _ path: String,
        isDirect: Bool,
        threadCount: Int,
        rounds: (MappedWriter) throws -> Void = { _ in }
    ) throws {
        let main = try channel(path, O_RDWR | O_CREAT)
        let pages = try isDirect ? channel(path, O_WRONLY, isDirect: true) : main
        let writer = try MappedWriter(
            StreamOutput(main),
            pageChannels: Array(repeating: pages, count: threadCount)
        )
        defer { writer.end() }
        try guest.save(writer) { try rounds(writer) }
    }

    private func load(
        _ path: String,
        into target: StreamGuest,
        isDirect: Bool,
        threadCount: Int
    ) throws {
        let pages = try channel(path, O_RDONLY, isDirect: isDirect)
        let reader = StreamReader(
            StreamInput(try channel(path, O_RDONLY)),
            receiver: StreamTestReceiver(target)
        )
        reader.pageChannels = Array(repeating: pages, count: threadCount)
        _ = try reader.read()
    }

    @Test(arguments: [false, true], [1, 3])
    func `an image by threads is the same guest`(isDirect: Bool, threadCount: Int) throws {
        let guest = try guest()
        let path = directory.file("image")
        try image(guest, path, isDirect: isDirect, threadCount: threadCount)
        for readsDirect in [false, true] {
            for readerCount in [0, 1, 4] {
                let target = try StreamGuest(like: guest)
                try load(path, into: target, isDirect: readsDirect, threadCount: readerCount)
                #expect(target.digests == guest.digests)
            }
        }
    }

    @Test func `through the page cache the file is the one that one thread writes`() throws {
        let guest = try guest()
        let file = try StreamFile()
        try guest.save(MappedWriter(StreamOutput(file.channel())))
        let path = directory.file("image")
        try image(guest, path, isDirect: false, threadCount: 3)
        let bytes = try StreamFile.content(of: path)
        #expect(try bytes == file.bytes)
    }

    @Test(arguments: [false, true])
    func `the last version of a page wins, and a page that became zero is zero`(
        isDirect: Bool
    ) throws {
        let guest = try guest()
        let path = directory.file("image")
        try image(guest, path, isDirect: isDirect, threadCount: 4) { writer in
            for version in UInt64(2)...20 {
                for page in 0..<64 { guest.fill(0, page: page, version: version) }
                guest.fill(0, page: 30, version: version % 2)
                try writer.beginIteration()
                try writer.endPass()
                try guest.send(writer, pages: { $0 == 0 ? 0..<64 : 0..<0 })
                try writer.endIteration()
            }
        }
        let target = try StreamGuest(like: guest)
        try load(path, into: target, isDirect: isDirect, threadCount: 2)
        #expect(target.digests == guest.digests)
    }

    @Test func `a full disk is an error at the next call, and nothing hangs`() throws {
        let disk = try #require(
            StreamTinyFileSystem(on: directory.file("disk")),
            "mounting a file system needs root"
        )
        let guest = try guest()
        let error = #expect(throws: StreamError.self) {
            try image(guest, "\(disk.folder)/image", isDirect: false, threadCount: 2)
        }
        #expect(error?.code == .transport)
        #expect(error?.message.contains("o space left") == true)
    }

    @Test(arguments: [0, 2])
    func `an image that ends inside its pages is refused`(threadCount: Int) throws {
        let guest = try guest()
        let path = directory.file("image")
        try image(guest, path, isDirect: false, threadCount: 1)
        let target = try StreamGuest(like: guest)
        let sink = TruncatingSink(target.blocks, path)
        let receiver = StreamTestReceiver(target)
        receiver.sink = sink
        let channel = try channel(path, O_RDONLY)
        let reader = StreamReader(StreamInput(channel), receiver: receiver)
        reader.pageChannels = Array(repeating: channel, count: threadCount)
        let error = #expect(throws: StreamError.self) { try reader.read() }
        #expect(error?.code == .truncated)
        #expect(error?.message.hasPrefix("the file ends inside a page") == true)
    }
}

/// Guest memory whose image is cut short as soon as the first page is asked for.
private final class TruncatingSink: PageSink {
    private let sink: GuestMemorySink
    private let path: String

    init(_ blocks: [RAMBlock], _ path: String) {
        sink = GuestMemorySink(blocks)
        self.path = path
    }

    func write(_ run: DataRun) throws(StreamError) { try sink.write(run) }

    func zero(block: Int, offset: Int, byteCount: Int) throws(StreamError) {
        try sink.zero(block: block, offset: offset, byteCount: byteCount)
    }

    func apply(_ delta: PageDelta) throws(StreamError) { try sink.apply(delta) }

    func memory(
        block: Int,
        offset: Int,
        byteCount: Int
    ) -> UnsafeMutableRawBufferPointer? {
        truncate(path, 2 << 20)
        return sink.memory(block: block, offset: offset, byteCount: byteCount)
    }

    func didFill(block: Int, offset: Int, byteCount: Int) {
        sink.didFill(block: block, offset: offset, byteCount: byteCount)
    }
}
