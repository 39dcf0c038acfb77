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

    @Test(arguments: [true, false])
    func `readiness is told at once, if it was asked for`(_ isAskedFor: Bool) throws {
        let guest = try StreamGuest(pageCounts: [2])
        let file = try StreamFile()
        try guest.save(SequentialWriter(StreamOutput(try file.channel())), opensReturnPath: true)
        let receiver = StreamTestReceiver(guest)
        receiver.acknowledgesSwitchover = isAskedFor
        try load(try file.channel(), into: guest, receiver: receiver)
        #expect(receiver.answers == (isAskedFor ? [.switchoverAck, .pong(1)] : [.pong(1)]))
    }

    @Test func `a return path that is opened twice is answered once`() throws {
        var bytes: [UInt8] = []
        StreamHeader().encode(into: &bytes)
        ConfigurationSection(machineName: "none").encode(into: &bytes)
        for command in [StreamCommand.openReturnPath, .ping(5), .openReturnPath, .ping(6)] {
            command.encode(into: &bytes)
        }
        let guest = try StreamGuest(pageCounts: [])
        let receiver = StreamTestReceiver(guest)
        receiver.acknowledgesSwitchover = true
        let file = try StreamFile(bytes)
        #expect(throws: StreamError.self) {
            try load(try file.channel(), into: guest, receiver: receiver)
        }
        #expect(receiver.answers == [.switchoverAck, .pong(5), .pong(6)])
    }

    @Test func `a verdict counts, whatever comes before it`() throws {
        let ends = try connection("socket")
        try ReturnPath.send(.pong(1), on: ends.writer)
        try ReturnPath.send(.shut(0), on: ends.writer)
        let returnPath = ReturnPathReader(ends.reader)
        try returnPath.awaitVerdict()
        #expect(!returnPath.hasSwitchoverAck)
        // The destination closes as the source does; nothing of it matters any more.
        try ends.writer.close()
        try returnPath.poll()
        #expect(!returnPath.hasRefusal())
    }

    @Test func `a refusal, silence and nonsense are errors`() throws {
        for messages in [[ReturnPathMessage.pong(1), .shut(1)], [.pong(1)], []] {
            let ends = try connection("socket")
            for message in messages {
                try ReturnPath.send(message, on: ends.writer)
            }
            try ends.writer.close()
            let refused = messages.count == 2
            let words = refused ? "the destination reported error 1" : "the destination hung up"
            for call in [ReturnPathReader.poll, ReturnPathReader.awaitVerdict] {
                let returnPath = ReturnPathReader(ends.reader)
                let error = #expect(throws: StreamError.self) { try call(returnPath)() }
                #expect(error?.code == .transport)
                // The second reader finds what the first one left: the end.
                let isFirst = error?.message.hasPrefix(words) == true
                #expect(isFirst || error?.message.hasPrefix("the destination hung up") == true)
            }
        }
    }

    @Test func `nonsense is an error`() throws {
        for call in [ReturnPathReader.poll, ReturnPathReader.awaitVerdict] {
            let ends = try connection("socket")
            try [UInt8](arrayLiteral: 0, 9, 0, 0).withUnsafeBytes { try ends.writer.write($0) }
            let returnPath = ReturnPathReader(ends.reader)
            let error = #expect(throws: StreamError.self) { try call(returnPath)() }
            #expect(error?.code == .malformed)
        }
    }

    @Test func `a message in parts is heard when its last byte is there`() throws {
        let ends = try connection("socket")
        let returnPath = ReturnPathReader(ends.reader)
        var bytes: [UInt8] = []
        for message in [ReturnPathMessage.pong(1), .switchoverAck, .shut(0)] {
            message.encode(into: &bytes)
        }
        let acknowledged = 8 + 4
        for (index, byte) in bytes.enumerated() {
            try returnPath.poll()
            #expect(returnPath.hasSwitchoverAck == (index >= acknowledged))
            try [byte].withUnsafeBytes { try ends.writer.write($0) }
        }
        try returnPath.awaitVerdict()
        #expect(returnPath.hasSwitchoverAck)
    }

    @Test func `a refusal ends the next look, and stays an error`() throws {
        let ends = try connection("socket")
        let returnPath = ReturnPathReader(ends.reader)
        try returnPath.poll()
        try ReturnPath.send(.switchoverAck, on: ends.writer)
        try ReturnPath.send(.shut(7), on: ends.writer)
        for call in [returnPath.poll, returnPath.awaitVerdict] {
            let error = #expect(throws: StreamError.self) { try call() }
            #expect(error?.message == "the destination reported error 7")
        }
        #expect(returnPath.hasSwitchoverAck)
        #expect(!returnPath.hasRefusal(), "it was reported already")
    }

    @Test func `a refusal is found behind other messages, without waiting`() throws {
        let ends = try connection("socket")
        let returnPath = ReturnPathReader(ends.reader)
        #expect(!returnPath.hasRefusal())
        try ReturnPath.send(.pong(1), on: ends.writer)
        try ReturnPath.send(.shut(1), on: ends.writer)
        #expect(returnPath.hasRefusal())
        try ends.writer.close()
        #expect(!ReturnPathReader(ends.reader).hasRefusal(), "an end isn't one")
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
