import BerthMemory
import BerthStream
import BerthSystem
import BerthTestSupport
import BerthTransport
import BerthWire
import Glibc
import Testing

/// Streams that are cut off, changed, or made to do harm.
@Suite(.timeLimit(.minutes(10)))
struct HostileStreamTests {
    /// A small image and the places in it that mean something.
    struct Image {
        let layout: StreamLayout
        let guest: StreamGuest
        let bytes: [UInt8]
        /// Indices of bytes that aren't part of a hole.
        let meaningful: [Int]

        /// The meaningful ones, and of the pages' bytes a sample: a reader can't tell them apart.
        var sample: [Int] {
            meaningful.filter { place in
                let isPage =
                    layout == .mapped
                    ? place >= 1 << 20 && place < bytes.count - 2048
                    : place > 256 && place < bytes.count - 2048
                        && bytes[max(0, place - 64)...place].allSatisfy { $0 != 0x7e }
                return !isPage || place % 61 == 0
            }
        }
    }

    private static func image(_ layout: StreamLayout) throws -> Image {
        let guest = try StreamGuest(pageCounts: [3, 2])
        guest.fill(0, page: 1, version: 1)
        guest.fill(1, page: 0, version: 1)
        let file = try StreamFile()
        try guest.save(layout.writer(StreamOutput(try file.channel())))
        let bytes = try file.bytes
        var meaningful: [Int] = []
        for start in stride(from: 0, to: bytes.count, by: 512) {
            let part = start..<min(start + 512, bytes.count)
            if bytes[part].contains(where: { $0 != 0 }) { meaningful += part }
        }
        return Image(layout: layout, guest: guest, bytes: bytes, meaningful: meaningful)
    }

    /// Index of the byte that ends the element list: what follows is only a description.
    private func endOfElements(_ image: Image) throws -> Int {
        let state = DeviceState.fresh(runState: "running", machineName: "none")
        let description = try #require(state.description)
        return image.bytes.count - description.count - 6
    }

    @Test(arguments: StreamLayout.allCases)
    func `every prefix is an error`(_ layout: StreamLayout) throws {
        let image = try Self.image(layout)
        let file = try StreamFile(image.bytes)
        let target = try StreamGuest(like: image.guest)
        let end = try endOfElements(image)
        // Holes all end alike: every prefix near bytes that mean something is enough.
        var lengths = Set(image.sample).union(image.sample.map { $0 + 1 })
        lengths.remove(image.bytes.count)
        for length in lengths.sorted().reversed() where length != end + 1 {
            try SystemCall.check("ftruncate", "file") { ftruncate(file.raw, off_t(length)) }
            let error = #expect(throws: StreamError.self, "a prefix of \(length) bytes") {
                try load(try file.channel(), into: target)
            }
            #expect(error?.message.isEmpty == false)
        }
    }

    @Test func `a stream without a description is whole, as QEMU has it`() throws {
        let image = try Self.image(.sequential)
        let end = try endOfElements(image)
        let file = try StreamFile(Array(image.bytes[...end]))
        let target = try StreamGuest(like: image.guest)
        let stream = try load(try file.channel(), into: target)
        #expect(stream.deviceState.description == nil)
        #expect(target.digests == image.guest.digests)
    }

    @Test(arguments: ["pipe", "socket"])
    func `every prefix over a connection is an error`(_ kind: String) throws {
        let image = try Self.image(.sequential)
        let end = try endOfElements(image)
        for length in stride(from: 0, to: image.bytes.count, by: 97) where length != end + 1 {
            let ends = try connection(kind)
            let writer = ends.writer
            let part = Array(image.bytes[..<length])
            let thread = try NamedThread.start(name: "test-feed") {
                try? part.withUnsafeBytes { try writer.write($0) }
                try? writer.close()
            }
            let target = try StreamGuest(like: image.guest)
            #expect(throws: StreamError.self, "a prefix of \(length) bytes") {
                try load(ends.reader, into: target)
            }
            thread.join()
        }
    }

    /// A pipe can give bytes for ever; what the reader has to see of them is bounded.
    @Test func `what follows a stream isn't kept`() throws {
        let image = try Self.image(.sequential)
        let whole = try load(
            StreamFile(image.bytes).channel(),
            into: StreamGuest(like: image.guest)
        )
        // A device that Berth doesn't know could hold an imitation of the end.
        var made = MadeStream()
        made.append("device", id: 9, body: [1, 2, 3, 4])
        let memoryEnd = Int(try #require(whole.places.ramEnd))
        let bytes = image.bytes[..<memoryEnd] + made.bytes(description: made.description)
        let ends = try connection("pipe")
        let writer = ends.writer
        let thread = try NamedThread.start(name: "test-feed") {
            let zeros = [UInt8](repeating: 0, count: 1 << 20)
            try? bytes.withUnsafeBytes { try writer.write($0) }
            for _ in 0..<64 {
                try? zeros.withUnsafeBytes { try writer.write($0) }
            }
            try? writer.close()
        }
        let target = try StreamGuest(like: image.guest)
        let input = StreamInput(ends.reader)
        let stream = try StreamReader(input, receiver: StreamTestReceiver(target)).read()
        #expect(stream.places.end == UInt64(bytes.count))
        #expect(stream.deviceState.description == made.description)
        #expect(target.digests == image.guest.digests)
        // Sixteen that decide whether this is the end, and what one read gives.
        #expect(input.available <= 20 << 20)
        try input.channel.close()
        thread.join()
    }

    @Test func `a stream arrives in pieces of any size`() throws {
        let image = try Self.image(.sequential)
        for size in [1, 2, 7, 4095, 4096, 4097] {
            let ends = try connection("socket")
            let writer = ends.writer
            let bytes = image.bytes
            let thread = try NamedThread.start(name: "test-feed") {
                for start in stride(from: 0, to: bytes.count, by: size) {
                    let part = bytes[start..<min(start + size, bytes.count)]
                    try? part.withUnsafeBytes { try writer.write($0) }
                }
                try? writer.close()
            }
            let target = try StreamGuest(like: image.guest)
            try load(ends.reader, into: target)
            thread.join()
            #expect(target.digests == image.guest.digests, "pieces of \(size)")
        }
    }

    @Test(arguments: StreamLayout.allCases)
    func `every changed byte loads or is an error`(_ layout: StreamLayout) throws {
        let image = try Self.image(layout)
        let file = try StreamFile(image.bytes)
        var loaded = 0
        var refused = 0
        let target = try StreamGuest(like: image.guest)
        for place in image.sample {
            // One bit, the highest bit, all bits in turn: a neighbour gets the others.
            let change: UInt8 = [0x01, 0x80, 0xff][place % 3]
            try file.write([image.bytes[place] ^ change], at: place)
            do {
                try load(try file.channel(), into: target)
                loaded += 1
            } catch is StreamError {
                refused += 1
            }
            try file.write([image.bytes[place]], at: place)
        }
        #expect(loaded > 0 && refused > 0)
    }

    @Test func `random bytes are an error`() throws {
        var generator = SeededGenerator()
        let image = try Self.image(.sequential)
        let file = try StreamFile()
        for round in 0..<300 {
            var bytes = (0..<Int.random(in: 0...3000, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            // Half of them begin well, so that the deeper layers get their share.
            if round % 2 == 0 {
                let count = Int.random(in: 8...200, using: &generator)
                bytes = Array(image.bytes[..<count]) + bytes
            }
            try file.replace(with: bytes)
            let target = try StreamGuest(like: image.guest)
            #expect(throws: StreamError.self, "seed \(generator.seed)") {
                try load(try file.channel(), into: target)
            }
        }
    }

    @Test func `several random changes at once load or are an error`() throws {
        var generator = SeededGenerator()
        for layout in StreamLayout.allCases {
            let image = try Self.image(layout)
            let file = try StreamFile(image.bytes)
            let first = image.meaningful.filter { $0 < 512 }
            let last = image.meaningful.suffix(1200)
            for _ in 0..<300 {
                let places = (0..<4).compactMap { _ in
                    (first + last).randomElement(using: &generator)
                }
                for place in places {
                    try file.write([UInt8.random(in: 0...255, using: &generator)], at: place)
                }
                let target = try StreamGuest(like: image.guest)
                do {
                    try load(try file.channel(), into: target)
                } catch is StreamError {
                } catch {
                    Issue.record("seed \(generator.seed): \(error)")
                }
                for place in places {
                    try file.write([image.bytes[place]], at: place)
                }
            }
        }
    }
}
