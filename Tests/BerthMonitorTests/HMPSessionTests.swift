import BerthQAPI
import BerthSystem
import Synchronization
import Testing

@testable import BerthMonitor

@Suite(.timeLimit(.minutes(1))) struct HMPSessionTests {
    /// A command that ends when it is told to.
    private final class Gate: Sendable {
        private let stream: AsyncStream<Void>
        private let continuation: AsyncStream<Void>.Continuation

        init() { (stream, continuation) = AsyncStream.makeStream() }

        func open() { continuation.yield() }

        func pass() async { for await _ in stream { return } }
    }

    /// A session and a client of it over a socket pair; the test is its device thread.
    private struct Connection: ~Copyable {
        let session: HMPSession
        let client: MonitorClient
        var transcript: HMPTranscript
        private let ends: DescriptorPair

        init(_ session: HMPSession) throws {
            let ends = try Sockets.pair()
            let wake = try WakeEvent()
            self.session = session
            client = MonitorClient(
                raw: ends.first.raw,
                outlet: .socket,
                isTerminal: false,
                wake: wake
            )
            transcript = HMPTranscript(ends.second.raw)
            self.ends = ends
            session.connect(client)
        }

        func send(_ text: String) {
            session.receive(Array(text.utf8), descriptors: ReceivedDescriptors())
        }

        /// Sends over the socket, with a descriptor.
        func send(_ text: String, with descriptor: CInt) throws {
            try Array(text.utf8).withUnsafeBytes { bytes in
                _ = try Sockets.send(to: ends.second.raw, bytes, descriptors: [descriptor])
            }
            var descriptors = ReceivedDescriptors()
            var bytes = [UInt8](repeating: 0, count: 4096)
            let outcome = try bytes.withUnsafeMutableBytes { buffer in
                try Sockets.receive(
                    from: ends.first.raw,
                    into: buffer,
                    descriptors: &descriptors
                )
            }
            #expect(outcome == .bytes(text.utf8.count))
            session.receive(Array(bytes.prefix(text.utf8.count)), descriptors: descriptors)
        }

        func disconnect() {
            client.close()
            session.disconnect()
        }
    }

    private let banner = "QEMU 10.0.2 monitor - type 'help' for more information\r\n"
    private let gate = Gate()
    private let monitor = MonitorContext(label: "test")

    private func makeSession() -> HMPSession {
        let gate = gate
        let table = HMPCommandTable(
            [
                HMPCommand("wait", summary: "wait") { invocation in
                    await gate.pass()
                    invocation.console.writeLine("waited")
                },
                HMPCommand("quit", summary: "end", endsSession: true) { _ in },
                HMPCommand("say", parameters: [HMPParameter("what", .word)], summary: "say") {
                    $0.console.writeLine($0.arguments.text("what"))
                },
                HMPCommand("getfd", parameters: [HMPParameter("name", .word)], summary: "keep") {
                    (invocation: HMPInvocation) async throws(QMPError) in
                    try invocation.monitor.descriptors.getFD(
                        named: invocation.arguments.text("name")
                    )
                },
            ],
            information: []
        )
        let shell = HMPShell(table: table, monitor: monitor)
        return HMPSession(shell: shell, version: "10.0.2")
    }

    @Test func `greets, runs lines without echo and prompts after each`() async throws {
        var connection = try Connection(makeSession())
        #expect(try await connection.transcript.read(through: "(qemu) ") == banner + "(qemu) ")
        connection.send("sa")
        connection.send("y a\n")
        #expect(try await connection.transcript.read(through: "(qemu) ") == "a\r\n(qemu) ")
        connection.send("say b\r\nbogus\n")
        let expected = "b\r\n(qemu) (qemu) unknown command: 'bogus'\r\n(qemu) "
        #expect(try await connection.transcript.read(through: "'\r\n(qemu) ") == expected)
        #expect(connection.session.acceptsInput)
    }

    @Test func `leaves input with the client while a command runs`() async throws {
        var connection = try Connection(makeSession())
        connection.send("wait\nsay a\nsay b\n")
        #expect(!connection.session.acceptsInput)
        #expect(try await connection.transcript.read(through: "(qemu) ") == banner + "(qemu) ")
        gate.open()
        let expected = "waited\r\n(qemu) a\r\n(qemu) b\r\n(qemu) "
        #expect(try await connection.transcript.read(through: "b\r\n(qemu) ") == expected)
        #expect(connection.session.acceptsInput)
    }

    @Test func `closes after quit without a prompt and drops what follows`() async throws {
        var connection = try Connection(makeSession())
        connection.send("say a\nquit\nsay b\n")
        let expected = banner + "(qemu) a\r\n(qemu) "
        #expect(try await connection.transcript.read(through: "a\r\n(qemu) ") == expected)
        while !connection.client.isFinished { try await Task.sleep(for: .milliseconds(1)) }
        #expect(connection.transcript.text == "")
    }

    @Test func `shows the next client nothing of the last one's but the history`() async throws {
        let session = makeSession()
        var first = try Connection(session)
        first.send("say a\n")
        _ = try await first.transcript.read(through: "a\r\n(qemu) ")
        first.send("say half")
        first.disconnect()
        var second = try Connection(session)
        second.send("info history\n")
        #expect(
            try await second.transcript.read(through: "history'\r\n(qemu) ")
                == banner + "(qemu) 0: 'say a'\r\n1: 'info history'\r\n(qemu) "
        )
    }

    @Test func `prompts the next client when the last one's command is done`() async throws {
        let session = makeSession()
        let first = try Connection(session)
        first.send("wait\n")
        first.disconnect()
        var second = try Connection(session)
        #expect(!session.acceptsInput)
        gate.open()
        #expect(try await second.transcript.read(through: "(qemu) ") == banner + "(qemu) ")
        #expect(session.acceptsInput)
    }

    @Test func `refuses a line that is too long and goes on`() async throws {
        var connection = try Connection(makeSession())
        connection.send("say " + String(repeating: "x", count: 5000) + "\nsay a\n")
        #expect(
            try await connection.transcript.read(through: "a\r\n(qemu) ") == banner
                + "(qemu) Error: the line is longer than 4095 bytes, ignored\r\n(qemu) a\r\n(qemu) "
        )
    }

    @Test func `keeps the descriptor that came with a line`() async throws {
        var connection = try Connection(makeSession())
        connection.send("getfd x\n")
        let refusal = try await connection.transcript.read(through: "(qemu) Error")
        #expect(refusal == banner + "(qemu) Error")
        let pipe = try OwnedDescriptor.pipe()
        try connection.send("getfd x\ngetfd 1\nsay done\n", with: pipe.first.raw)
        let rest = try await connection.transcript.read(through: "done\r\n")
        #expect(rest.contains("Error: No file descriptor supplied"))
        let isKept = monitor.descriptors.look("x") != nil
        #expect(isKept)
    }
}
