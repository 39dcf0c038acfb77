import BerthSystem
import Glibc
import Testing

@testable import BerthMonitor

/// The console on a pseudo-terminal, as a person would use it.
///
/// One at a time: the library below libedit knows one terminal in a process.
@Suite(.serialized, .timeLimit(.minutes(1))) struct HMPTerminalTests {
    /// The lines that a console ran, and the other side of its terminal.
    private struct Terminal: ~Copyable {
        var transcript: HMPTranscript
        let console: HMPTerminal
        /// The person's side, then the console's.
        private let ends: DescriptorPair

        init(_ table: HMPCommandTable = HMPTestTable.table) throws {
            _ = Self.kind
            let ends = try Self.makePair()
            let console = try HMPTerminal(
                input: ends.second.duplicate(),
                output: ends.second.duplicate(),
                shell: HMPShell(table: table, monitor: MonitorContext(label: "test")),
                version: "10.0.2"
            )
            try console.start()
            self.console = console
            transcript = HMPTranscript(ends.first.raw)
            self.ends = ends
            let canEdit = HMPTerminal.canEdit(
                input: self.ends.second.raw,
                output: self.ends.second.raw
            )
            #expect(canEdit)
        }

        /// Sets the kind of terminal, once: the environment can't be changed while others read it.
        private static let kind = setenv("TERM", "vt100", 1)

        /// Calls openpty(3), which the module of the C library doesn't have.
        private static func makePair() throws -> DescriptorPair {
            typealias OpenPTY =
                @convention(c) (
                    UnsafeMutablePointer<CInt>, UnsafeMutablePointer<CInt>,
                    UnsafeMutablePointer<CChar>?, UnsafeRawPointer?, UnsafeRawPointer?
                ) -> CInt
            let symbol = try #require(dlsym(dlopen(nil, RTLD_NOW), "openpty"))
            let openPTY = unsafeBitCast(symbol, to: OpenPTY.self)
            var keyboard: CInt = -1
            var line: CInt = -1
            try #require(openPTY(&keyboard, &line, nil, nil, nil) == 0)
            return DescriptorPair(OwnedDescriptor(keyboard), OwnedDescriptor(line))
        }

        func type(_ keys: String) { transcript.write(keys) }

        /// Whether the terminal is in the mode in which libedit reads keys.
        var isRaw: Bool {
            var mode = termios()
            tcgetattr(ends.second.raw, &mode)
            return mode.c_lflag & tcflag_t(ICANON) == 0
        }

        func finish() async {
            console.stop()
            await Self.join(console)
        }

        /// Waits on a thread of its own: joining blocks.
        static func join(_ console: HMPTerminal) async {
            await withCheckedContinuation { continuation in
                _ = try? NamedThread.start(name: "test-join") {
                    console.join()
                    continuation.resume()
                }
            }
        }
    }

    @Test func `runs what is typed and prompts again`() async throws {
        var terminal = try Terminal()
        let start = try await terminal.transcript.read(through: "(qemu) ")
        #expect(start.hasPrefix("QEMU 10.0.2 monitor - type 'help' for more information"))
        terminal.type("word ab\r")
        _ = try await terminal.transcript.read(through: "a=<ab> -")
        _ = try await terminal.transcript.read(through: "(qemu) ")
        terminal.type("word ü\r")
        _ = try await terminal.transcript.read(through: "a=<ü> -")
        await terminal.finish()
    }

    @Test func `edits the line`() async throws {
        var terminal = try Terminal()
        _ = try await terminal.transcript.read(through: "(qemu) ")
        // End of line, back over one, delete the one under the cursor, start of line, insert.
        terminal.type("ord abX\u{1B}[D\u{4}\u{1}w\r")
        _ = try await terminal.transcript.read(through: "a=<ab> -")
        _ = try await terminal.transcript.read(through: "(qemu) ")
        terminal.type("bogus\u{15}\u{4}word cd\u{17}ef\u{7F}\r")
        _ = try await terminal.transcript.read(through: "a=<e> -")
        await terminal.finish()
    }

    @Test func `brings back earlier lines`() async throws {
        var terminal = try Terminal()
        _ = try await terminal.transcript.read(through: "(qemu) ")
        terminal.type("word first\r")
        _ = try await terminal.transcript.read(through: "a=<first> -")
        terminal.type("word second\r")
        _ = try await terminal.transcript.read(through: "a=<second> -")
        terminal.type("\u{1B}[A\u{1B}[Ax\r")
        _ = try await terminal.transcript.read(through: "a=<firstx> -")
        terminal.type("\u{10}\u{10}\u{E}y\r")
        _ = try await terminal.transcript.read(through: "a=<firstxy> -")
        terminal.type("word second\r")
        _ = try await terminal.transcript.read(through: "a=<second> -")
        terminal.type("info history\r")
        let lines = ["word first", "word firstx", "word firstxy", "word second", "info history"]
        for (number, line) in lines.enumerated() {
            _ = try await terminal.transcript.read(through: "\(number): '\(line)'")
        }
        await terminal.finish()
    }

    @Test func `completes words and lists them where there are several`() async throws {
        var terminal = try Terminal()
        _ = try await terminal.transcript.read(through: "(qemu) ")
        terminal.type("in\t")
        // "int" and "info" have no more in common.
        _ = try await terminal.transcript.read(through: "info      int")
        terminal.type("f\tsta\t")
        _ = try await terminal.transcript.read(through: "stats     status")
        terminal.type("u\t\r")
        _ = try await terminal.transcript.read(through: "VM status: running")
        await terminal.finish()
    }

    /// A table whose only command waits for an element.
    private static func table(waitingFor stream: AsyncStream<Void>) -> HMPCommandTable {
        HMPCommandTable(
            [
                HMPCommand("wait", summary: "wait") { invocation in
                    invocation.console.writeLine("waiting")
                    for await _ in stream { return }
                }
            ],
            information: []
        )
    }

    @Test func `gives the terminal its mode back while a command runs and when it ends`()
        async throws
    {
        let (stream, gate) = AsyncStream<Void>.makeStream()
        var terminal = try Terminal(Self.table(waitingFor: stream))
        _ = try await terminal.transcript.read(through: "(qemu) ")
        var isRaw = terminal.isRaw
        #expect(isRaw)
        terminal.type("wait\r")
        _ = try await terminal.transcript.read(through: "waiting")
        isRaw = terminal.isRaw
        #expect(!isRaw)
        gate.yield()
        _ = try await terminal.transcript.read(through: "(qemu) ")
        isRaw = terminal.isRaw
        #expect(isRaw)
        await terminal.finish()
        isRaw = terminal.isRaw
        #expect(!isRaw)
    }

    @Test func `keeps what is typed while a command runs`() async throws {
        let (stream, gate) = AsyncStream<Void>.makeStream()
        var terminal = try Terminal(Self.table(waitingFor: stream))
        _ = try await terminal.transcript.read(through: "(qemu) ")
        terminal.type("wait\r")
        _ = try await terminal.transcript.read(through: "waiting")
        // Start of line, delete. The kernel shows ^A so, and makes another byte of ^D.
        terminal.type("Xwait\u{1}\u{4}\r")
        _ = try await terminal.transcript.read(through: "Xwait^A\r\n")
        gate.yield()
        _ = try await terminal.transcript.read(through: "waiting")
        await terminal.finish()
    }

    @Test func `stops while a command runs without waiting for it`() async throws {
        let table = HMPCommandTable(
            [
                HMPCommand("wait", summary: "wait until nobody is there") { invocation in
                    invocation.console.writeLine("waiting")
                    while invocation.console.isOpen {
                        try? await Task.sleep(for: .milliseconds(1))
                    }
                }
            ],
            information: []
        )
        var terminal = try Terminal(table)
        _ = try await terminal.transcript.read(through: "(qemu) ")
        terminal.type("wait\r")
        _ = try await terminal.transcript.read(through: "waiting")
        await terminal.finish()
        let isRaw = terminal.isRaw
        #expect(!isRaw)
    }

    @Test func `ends after quit`() async throws {
        var terminal = try Terminal()
        _ = try await terminal.transcript.read(through: "(qemu) ")
        terminal.type("quit\r")
        await Terminal.join(terminal.console)
        let isRaw = terminal.isRaw
        #expect(!isRaw)
    }
}
