import BerthSystem
import Glibc
import Testing

@testable import BerthTransport

@Suite(.timeLimit(.minutes(1)))
struct CommandTests {
    private func outgoing(_ text: String) throws -> Channel {
        try OutgoingTransport(
            address: try MigrationAddress(uri: "exec:\(text)"),
            resources: TransportResources()
        ).openNow()
    }

    private func incoming(_ text: String) throws -> Channel {
        try IncomingTransport(
            address: try MigrationAddress(uri: "exec:\(text)"),
            resources: TransportResources()
        ).accept()
    }

    @Test func `a command gets everything and its success is waited for`() throws {
        let directory = try TestDirectory()
        let out = directory.file("out")
        let channel = try outgoing("cat > \(out).part && mv \(out).part \(out)")
        let bytes = [UInt8](repeating: 1, count: 3_000_000)
        try channel.write(bytes)
        try channel.close()
        #expect(try FileStatus(path: out).byteCount == 3_000_000)
        #expect(!channel.isBidirectional && !channel.isSeekable && !channel.isSocket)
    }

    @Test(arguments: [
        ("cat > /dev/null; exit 3", "the command exited with status 3"),
        ("cat > /dev/null; kill -9 $$", "the command was killed by signal 9"),
    ])
    func `a command that fails after it has read everything fails the close`(
        _ command: String,
        _ reason: String
    ) throws {
        let channel = try outgoing(command)
        try channel.write(pattern(1000))
        #expect {
            try channel.close()
        } throws: { error in
            "\(error)" == "cannot finish 'exec:\(command)': \(reason)"
        }
    }

    @Test(arguments: [
        ("exit 4", "the command exited with status 4"),
        ("true", "the command ended before it had read everything"),
        ("head -c 1000 > /dev/null; exit 5", "the command exited with status 5"),
    ])
    func `a command that stops reading is named with its status`(
        _ command: String,
        _ reason: String
    ) throws {
        let channel = try outgoing(command)
        #expect {
            try channel.write([UInt8](repeating: 1, count: 4_000_000))
        } throws: { error in
            "\(error)" == "cannot write to 'exec:\(command)': \(reason)"
        }
    }

    @Test func `a command may print without being read`() throws {
        let channel = try outgoing("tee /dev/null")
        try channel.write([UInt8](repeating: 1, count: 4_000_000))
        try channel.close()
    }

    @Test func `a command's output is read to its end`() throws {
        let channel = try incoming("printf hello; printf world")
        #expect(try channel.readToEnd() == Array("helloworld".utf8))
        try channel.close()
    }

    @Test func `a command that dies without output is an end and a failed close`() throws {
        let channel = try incoming("exit 9")
        #expect(try channel.readToEnd().isEmpty)
        #expect {
            try channel.close()
        } throws: { error in
            "\(error)" == "cannot finish 'exec:exit 9': the command exited with status 9"
        }
    }

    @Test func `a command that goes on after what was needed has not failed`() throws {
        let channel = try incoming("while :; do echo more; done")
        #expect(try channel.readExactly(10).count == 10)
        try channel.close()
    }

    @Test func `a command that lingers need not be waited for`() throws {
        let channel = try incoming("echo all; exec sleep 1000")
        #expect(try channel.readExactly(4) == Array("all\n".utf8))
        channel.closeWithoutWaiting()
        let command = try #require(channel.command)
        #expect(try command.wait(timeout: .zero) == nil)
        try channel.close()
        command.kill()
        #expect(try command.wait() == .signalled(SIGKILL))
    }

    @Test func `a command left to itself ends with its output and is reaped`() throws {
        let channel = try incoming("exec yes")
        #expect(try channel.readExactly(2) == Array("y\n".utf8))
        channel.closeWithoutWaiting()
        #expect(try channel.command?.wait() == .signalled(SIGPIPE))
    }

    @Test func `a missing program is an error at once`() throws {
        let transport = try OutgoingTransport(
            address: .exec(["no-such-program"]),
            resources: TransportResources()
        )
        #expect {
            try transport.openNow()
        } throws: { error in
            "\(error)" == "cannot start 'exec:no-such-program': no such file or directory"
                && (error as? TransportError)?.hint != nil
        }
    }

    @Test func `an empty list of arguments is an error`() throws {
        let transport = try OutgoingTransport(
            address: .exec([]),
            resources: TransportResources()
        )
        #expect(throws: TransportError.self) { try transport.openNow() }
    }

    @Test func `an aborted command does not take the end of its input for the end of the stream`()
        throws
    {
        let directory = try TestDirectory()
        let done = directory.file("done")
        let channel = try outgoing("cat > /dev/null && touch \(done)")
        try channel.write(pattern(1000))
        channel.abort()
        #expect(throws: TransportError.self) { try channel.close() }
        #expect(try channel.command?.wait() == .signalled(SIGTERM))
        #expect(access(done, F_OK) != 0)
    }

    @Test func `a channel that is dropped without being closed ends its command`() throws {
        let directory = try TestDirectory()
        let done = directory.file("done")
        var channel: Channel? = try outgoing("cat > /dev/null && touch \(done)")
        try channel?.write(pattern(1000))
        let command = try #require(channel?.command)
        channel = nil
        #expect(try command.wait() == .signalled(SIGTERM))
        #expect(access(done, F_OK) != 0)
    }
}
