import BerthStream
import BerthSystem
import BerthTransport
import BerthWire
import Glibc
import Testing

/// The way back from destination to source.
@Suite(.timeLimit(.minutes(10)))
struct ReturnPathStreamTests {
    @Test func `a ping is answered once the return path is open`() throws {
        let guest = try StreamGuest(pageCounts: [2])
        let file = try StreamFile()
        try guest.save(SequentialWriter(StreamOutput(try file.channel())), opensReturnPath: true)
        let receiver = StreamTestReceiver(guest)
        let stream = try load(try file.channel(), into: guest, receiver: receiver)
        #expect(receiver.answers == [.pong(1)])
        #expect(stream.expectsVerdict)
    }

    @Test func `a source that waits for its verdict is not read past its last byte`() throws {
        let guest = try StreamGuest(pageCounts: [2])
        guest.fill(0, page: 1, version: 3)
        let ends = try connection("socket")
        let thread = try NamedThread.start(name: "test-save") { [writer = ends.writer] in
            // Stays open: only the reader's own knowledge ends the stream.
            try? guest.save(SequentialWriter(StreamOutput(writer)), opensReturnPath: true)
        }
        let target = try StreamGuest(like: guest)
        let stream = try load(ends.reader, into: target)
        thread.join()
        #expect(stream.expectsVerdict)
        #expect(target.digests == guest.digests)
    }

    @Test func `a verdict counts, whatever comes before it`() throws {
        let ends = try connection("socket")
        try ReturnPath.send(.pong(1), on: ends.writer)
        try ReturnPath.send(.shut(0), on: ends.writer)
        try ReturnPath.awaitVerdict(on: ends.reader)
    }

    @Test func `a refusal, silence and nonsense are errors`() throws {
        for messages in [[ReturnPathMessage.pong(1), .shut(1)], [.pong(1)], []] {
            let ends = try connection("socket")
            for message in messages {
                try ReturnPath.send(message, on: ends.writer)
            }
            try ends.writer.close()
            #expect(throws: StreamError.self) { try ReturnPath.awaitVerdict(on: ends.reader) }
        }
        let ends = try connection("socket")
        try [UInt8](arrayLiteral: 0, 9, 0, 0).withUnsafeBytes { try ends.writer.write($0) }
        #expect(throws: StreamError.self) { try ReturnPath.awaitVerdict(on: ends.reader) }
    }

    @Test func `a refusal is found behind other messages, without waiting`() throws {
        let ends = try connection("socket")
        #expect(!ReturnPath.hasRefusal(on: ends.reader))
        try ReturnPath.send(.pong(1), on: ends.writer)
        try ReturnPath.send(.shut(1), on: ends.writer)
        #expect(ReturnPath.hasRefusal(on: ends.reader))
        try ends.writer.close()
        #expect(!ReturnPath.hasRefusal(on: ends.reader))
    }

    @Test func `a ping without a return path is an error`() throws {
        var bytes: [UInt8] = []
        StreamHeader().encode(into: &bytes)
        ConfigurationSection(machineName: "none").encode(into: &bytes)
        StreamCommand.ping(1).encode(into: &bytes)
        let file = try StreamFile(bytes)
        let guest = try StreamGuest(pageCounts: [])
        #expect {
            try load(try file.channel(), into: guest)
        } throws: {
            ($0 as? StreamError)?.message.contains("ping") == true
        }
    }
}
