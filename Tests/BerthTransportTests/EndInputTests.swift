import BerthSystem
import BerthTransport
import Glibc
import Testing

/// A channel's input can be ended without ending its output.
@Suite(.timeLimit(.minutes(1)))
struct EndInputTests {
    private func connection() throws -> (ours: Channel, theirs: Channel) {
        var ends: [CInt] = [-1, -1]
        try SystemCall.check("socketpair", "") {
            socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &ends)
        }
        return (
            try Channel(OwnedDescriptor(ends[0]), name: "ours"),
            try Channel(OwnedDescriptor(ends[1]), name: "theirs")
        )
    }

    private func read(_ channel: Channel) throws -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 16)
        let count = try buffer.withUnsafeMutableBytes { try channel.read(into: $0) }
        return Array(buffer[..<count])
    }

    private func write(_ bytes: [UInt8], to channel: Channel) throws {
        try bytes.withUnsafeBytes { try channel.write($0) }
    }

    @Test func `what had come is read, then the end, and the other side still hears`() throws {
        let (ours, theirs) = try connection()
        try write([1, 2, 3], to: theirs)
        ours.endInput()
        #expect(try read(ours) == [1, 2, 3])
        #expect(try read(ours) == [])
        try write([4], to: ours)
        #expect(try read(theirs) == [4])
        #expect(!ours.hasBeenAborted)
    }

    @Test func `a read that waits comes to the end`() throws {
        let (ours, theirs) = try connection()
        let thread = try NamedThread.start(name: "test-end") {
            usleep(10_000)
            ours.endInput()
        }
        #expect(try read(ours) == [])
        thread.join()
        withExtendedLifetime(theirs) {}
    }

    @Test func `a pipe is left alone, and so is a channel that was closed`() throws {
        let ends = try OwnedDescriptor.pipe()
        let raw = try ends.second.duplicate()
        let reader = try Channel(try ends.first.duplicate(), name: "pipe")
        reader.endInput()
        var byte: UInt8 = 7
        #expect(Glibc.write(raw.raw, &byte, 1) == 1)
        #expect(try read(reader) == [7])
        try reader.close()
        reader.endInput()
    }
}
