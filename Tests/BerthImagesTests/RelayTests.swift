import BerthImages
import BerthMemory
import BerthStream
import BerthSystem
import BerthTestSupport
import BerthTransport
import BerthWire
import Glibc
import Testing

/// `berth receive` and `berth send` without the processes around them.
@Suite(.timeLimit(.minutes(10)))
struct RelayTests {
    private static let pageCounts = [900, 64, 65, 1]
    private let directory: PeersDirectory

    init() throws { directory = try PeersDirectory() }

    /// Receives a guest's stream over a connection as an image.
    func receive(
        _ guest: RelayGuest,
        over kind: String,
        as format: ImageFormat,
        hasEarlySections: Bool = false
    ) throws -> String {
        let path = directory.file("image-\(format.rawValue)")
        let ends = try relayConnection(kind)
        let source = ends.writer
        let saving = try RelayThread {
            try guest.save(to: source, hasEarlySections: hasEarlySections)
            try source.close()
        }
        try ImageReceiver(path: path, format: format).receive(from: ends.reader, answers: nil)
        try saving.finish()
        return path
    }

    @Test(arguments: ["pipe", "socket"], ImageFormat.bare)
    func `a stream becomes an image with the same memory`(
        _ kind: String,
        _ format: ImageFormat
    ) throws {
        let guest = try RelayGuest(pageCounts: Self.pageCounts)
        let path = try receive(guest, over: kind, as: format)
        let loader = try RelayLoader(Self.pageCounts)
        let stream = try loader.load(path: path)
        #expect(loader.guest.digests == guest.digests)
        #expect(loader.machineName == "pc-q35-10.0")
        #expect(stream.ramSectionID == 2)
        #expect(stream.hadSwitchoverStart && !stream.expectsVerdict)
        #expect(
            stream.deviceState.final
                == DeviceState.fresh(runState: "running", machineName: "pc-q35-10.0").final
        )
        #expect(try FileStatus(path: path).kind == .regularFile)
    }

    @Test(arguments: ["pipe", "socket"], ImageFormat.bare)
    func `an image becomes a stream with the same memory`(
        _ kind: String,
        _ format: ImageFormat
    ) throws {
        let guest = try RelayGuest(pageCounts: Self.pageCounts)
        let path = try receive(guest, over: "pipe", as: format)
        let ends = try relayConnection(kind)
        let target = ends.writer
        let sending = try RelayThread { try ImageSender(path: path).send(to: target) }
        let loader = try RelayLoader(Self.pageCounts)
        let stream = try loader.load(ends.reader)
        #expect(loader.guest.digests == guest.digests)
        // Over a connection that goes both ways the destination is asked how it went.
        #expect(stream.expectsVerdict == (kind == "socket"))
        if stream.expectsVerdict {
            try ReturnPath.send(.pong(1), on: ends.reader)
            try ReturnPath.send(.shut(0), on: ends.reader)
        }
        try sending.finish()
    }

    @Test func `sequential, mapped, sequential: the last stream equals the first`() throws {
        let guest = try RelayGuest(pageCounts: Self.pageCounts)
        let first = try receive(guest, over: "pipe", as: .mappedRAM)
        let again = try relayConnection("pipe")
        let target = again.writer
        let sending = try RelayThread { try ImageSender(path: first).send(to: target) }
        let second = directory.file("second")
        try ImageReceiver(path: second, format: .sequential)
            .receive(from: again.reader, answers: nil)
        try sending.finish()
        let loader = try RelayLoader(Self.pageCounts)
        _ = try loader.load(path: second)
        #expect(loader.guest.digests == guest.digests)
    }

    @Test(arguments: ImageFormat.bare)
    func `sections before the pages pass through`(_ format: ImageFormat) throws {
        let guest = try RelayGuest(pageCounts: [40])
        let path = try receive(guest, over: "pipe", as: format, hasEarlySections: true)
        let loader = try RelayLoader([40])
        let stream = try loader.load(path: path)
        #expect(loader.early == RelayGuest.earlySections)
        #expect(stream.deviceState.early.encoded(footers: true) == RelayGuest.earlySections)
        #expect(loader.guest.digests == guest.digests)
    }

    /// What an IOMMU does: its section is in the stream before RAM begins.
    @Test(arguments: ImageFormat.bare)
    func `sections before RAM begins pass through`(_ format: ImageFormat) throws {
        let guest = try RelayGuest(pageCounts: [4])
        let plain = directory.file("plain")
        let file = try OwnedDescriptor.open(plain, O_RDWR | O_CREAT, mode: 0o600)
        try guest.save(to: try Channel(file, name: "plain"), hasEarlySections: true)
        var bytes = try contents(of: plain)
        // Moved to where the RAM section starts: behind header and configuration.
        let early = RelayGuest.earlySections
        let start = try #require(firstIndex(of: early, in: bytes))
        bytes.removeSubrange(start..<start + early.count)
        let ram = 8 + 1 + 4 + "pc-q35-10.0".utf8.count
        #expect(bytes[ram] == ElementKind.start.rawValue)
        bytes.insert(contentsOf: early, at: ram)

        let ends = try relayConnection("pipe")
        let source = ends.writer
        let moved = bytes
        let feeding = try RelayThread {
            try moved.withUnsafeBytes { try source.write($0) }
            try source.close()
        }
        let path = directory.file("image")
        try ImageReceiver(path: path, format: format).receive(from: ends.reader, answers: nil)
        try feeding.finish()
        let loader = try RelayLoader([4])
        let stream = try loader.load(path: path)
        #expect(loader.guest.digests == guest.digests)
        #expect(stream.deviceState.early.encoded(footers: true) == early)
    }

    @Test func `the source hears that all went well after the image has its name`() throws {
        let guest = try RelayGuest(pageCounts: [64])
        let ends = try relayConnection("socket")
        let path = directory.file("image")
        let source = ends.writer
        let watching = try RelayThread { () -> ([ReturnPathMessage], Bool) in
            try guest.save(to: source, opensReturnPath: true)
            // PONG first, then the verdict; the file is there by then.
            var bytes: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 16)
            var wasThereBefore = false
            while bytes.count < 16 {
                let isThere = access(path, F_OK) == 0
                let count = try buffer.withUnsafeMutableBytes { try source.read(into: $0) }
                if count == 0 { break }
                bytes += buffer[..<count]
                wasThereBefore = isThere
            }
            let isThere = access(path, F_OK) == 0
            try source.close()
            var cursor = WireCursor()
            var messages: [ReturnPathMessage] = []
            while cursor.offset < bytes.count {
                messages.append(try ReturnPathMessage(decoding: &cursor, bytes.span))
            }
            return (messages, isThere || wasThereBefore)
        }
        let reader = ends.reader
        try ImageReceiver(path: path).receive(from: reader, answers: reader)
        let (messages, isThere) = try watching.finish()
        #expect(messages == [.pong(1), .shut(0)])
        #expect(isThere)
    }

    @Test func `the source hears of a failure, and nothing gets the image's name`() throws {
        let guest = try RelayGuest(pageCounts: [64])
        let path = directory.file("image")
        try put("the guest of yesterday", into: path)
        let plain = directory.file("plain")
        let file = try OwnedDescriptor.open(plain, O_RDWR | O_CREAT, mode: 0o600)
        try guest.save(to: try Channel(file, name: "plain"), opensReturnPath: true)
        var bytes = try contents(of: plain)
        // A page of a block that was never listed.
        let end = try #require(firstIndex(of: Array("globalstate".utf8), in: bytes))
        bytes[end - 30] ^= 0x40
        bytes.replaceSubrange(60..<61, with: [bytes[60] ^ 0x55])

        let ends = try relayConnection("socket")
        let source = ends.writer
        let broken = bytes
        let feeding = try RelayThread { () -> [ReturnPathMessage] in
            try? broken.withUnsafeBytes { try source.write($0) }
            return try answers(on: source)
        }
        let reader = ends.reader
        let error = #expect(throws: ImageError.self) {
            try ImageReceiver(path: path).receive(from: reader, answers: reader)
        }
        try reader.close()
        #expect(error?.description.isEmpty == false)
        #expect(try feeding.finish().last == .shut(1))
        #expect(try contents(of: path) == Array("the guest of yesterday".utf8))
        #expect(try names().sorted() == ["image", "plain"], "nothing temporary is left")
    }

    @Test(arguments: ImageFormat.bare)
    func `a stream cut off anywhere leaves no image`(_ format: ImageFormat) throws {
        let guest = try RelayGuest(pageCounts: [3])
        let plain = directory.file("plain")
        let file = try OwnedDescriptor.open(plain, O_RDWR | O_CREAT, mode: 0o600)
        try guest.save(to: try Channel(file, name: "plain"))
        let bytes = try contents(of: plain)
        let path = directory.file("image")
        for length in stride(from: 0, to: bytes.count - 900, by: 211) {
            let ends = try relayConnection("pipe")
            let source = ends.writer
            let part = Array(bytes[..<length])
            let feeding = try RelayThread {
                try part.withUnsafeBytes { try source.write($0) }
                try source.close()
            }
            #expect(throws: ImageError.self, "\(length) bytes") {
                try ImageReceiver(path: path, format: format)
                    .receive(from: ends.reader, answers: nil)
            }
            try feeding.finish()
        }
        #expect(try names() == ["plain"])
    }

    @Test func `no image to standard output or into a missing folder`() throws {
        let ends = try relayConnection("pipe")
        #expect(throws: ImageError.self) {
            try ImageReceiver(path: "-", format: .mappedRAM)
                .receive(from: ends.reader, answers: nil)
        }
        let missing = directory.file("no/such/image")
        let error = #expect(throws: ImageError.self) {
            try ImageReceiver(path: missing).receive(from: ends.reader, answers: nil)
        }
        #expect(error?.description.contains(missing) == true)
    }

    @Test func `an image on a full file system is a failure that names it`() throws {
        guard let small = StreamTinyFileSystem(on: directory.file("small")) else {
            try Test.cancel("needs the right to mount a tmpfs: run as root")
        }
        let guest = try RelayGuest(pageCounts: [1000])
        for format in ImageFormat.bare {
            let ends = try relayConnection("socket")
            let source = ends.writer
            let saving = try RelayThread { () -> [ReturnPathMessage] in
                try? guest.save(to: source, opensReturnPath: true)
                return (try? answers(on: source)) ?? []
            }
            let reader = ends.reader
            let path = "\(small.folder)/image"
            let error = #expect(throws: ImageError.self) {
                try ImageReceiver(path: path, format: format)
                    .receive(from: reader, answers: reader)
            }
            #expect(error?.description.contains("no space left") == true)
            reader.abort()
            _ = try saving.finish()
            #expect(access(path, F_OK) != 0)
        }
        #expect(entryCount(small.folder) == 0, "nothing temporary is left")
    }

    @Test func `a destination that refuses the guest fails the sending`() throws {
        let guest = try RelayGuest(pageCounts: [64])
        let path = try receive(guest, over: "pipe", as: .mappedRAM)
        let ends = try relayConnection("socket")
        let target = ends.writer
        let sending = try RelayThread { try ImageSender(path: path).send(to: target) }
        let loader = try RelayLoader([64])
        try loader.load(ends.reader)
        try ReturnPath.send(.shut(1), on: ends.reader)
        #expect {
            try sending.finish()
        } throws: { error in
            (error as? ImageError)?.description.contains("destination reported") == true
        }
    }

    @Test func `an image cut off or missing is an error with its path`() throws {
        let guest = try RelayGuest(pageCounts: [64])
        for format in ImageFormat.bare {
            let path = try receive(guest, over: "pipe", as: format)
            #expect(truncate(path, 100_000) == 0)
            let ends = try relayConnection("pipe")
            let target = ends.writer
            let sending = try RelayThread { try ImageSender(path: path).send(to: target) }
            let reader = ends.reader
            // The destination must not take what came for a guest.
            let loading = try RelayThread {
                do {
                    try RelayLoader([64]).load(reader)
                    return true
                } catch {
                    return false
                }
            }
            #expect {
                try sending.finish()
            } throws: { error in
                (error as? ImageError)?.description.contains(path) == true
            }
            target.abort()
            try? target.close()
            #expect(try !loading.finish())
        }
        #expect(throws: ImageError.self) {
            try ImageSender(path: directory.file("missing"))
                .send(to: try relayConnection("pipe").writer)
        }
    }

    /// In a process of its own, so that no other test's memory is counted.
    @Test func `memory stays flat however large the guest`() async throws {
        await #expect(processExitsWith: .success) {
            let tests = try RelayTests()
            // 1 GiB of zero pages, and one with content now and then.
            let pageCount = 1 << 18
            let guest = try RelayGuest(pageCounts: [pageCount], filled: false)
            for page in stride(from: 0, to: pageCount, by: 1024) {
                guest.fill(0, page, version: 1)
            }
            let before = try tests.residentByteCount(field: "VmHWM")
            let path = try tests.receive(guest, over: "pipe", as: .mappedRAM)
            // Zero pages that the scan reads are one page of the kernel's, so only buffers count.
            let growth = try tests.residentByteCount(field: "VmHWM") - before
            let allocated = try tests.allocatedByteCount(of: path)
            guard growth < 64 << 20, allocated < 16 << 20 else {
                fatalError("\(growth) bytes of memory, \(allocated) bytes of file")
            }
        }
    }

    // MARK: Small things

    func residentByteCount(field: String) throws -> Int {
        let text = String(decoding: try contents(of: "/proc/self/status"), as: UTF8.self)
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix(field) })
        return try #require(Int(line.split(separator: " ").dropLast().last ?? "")) * 1024
    }

    func allocatedByteCount(of path: String) throws -> Int {
        var status = stat()
        try SystemCall.check("stat", path) { stat(path, &status) }
        return Int(status.st_blocks) * 512
    }

    private func put(_ text: String, into path: String) throws {
        let file = try OwnedDescriptor.open(path, O_WRONLY | O_CREAT, mode: 0o600)
        let count = text.utf8.count
        #expect(write(file.raw, text, count) == count)
    }

    private func names() throws -> [String] { try Self.names(in: directory.path) }

    private static func names(in path: String) throws -> [String] {
        let folder = try #require(opendir(path))
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    /// Number of entries in a folder, or -1.
    private func entryCount(_ path: String) -> Int {
        (try? Self.names(in: path).count) ?? -1
    }
}
