public import BerthSystem
internal import Synchronization

/// The human monitor on a device without line editing: sockets, pipes, files.
///
/// Lines come in, output and a prompt go out, nothing is echoed. While a command runs, input stays
/// with the client. History outlives connections; what else was typed doesn't.
public final class HMPSession: MonitorSession {
    private struct State: Sendable {
        var console: HMPClientConsole?
        var reader = HMPLineReader()
        /// What has come and isn't part of a line yet, from `index` on.
        var unread: [UInt8] = []
        var index = 0
        var isRunning = false
    }

    private let state = Mutex(State())
    private let shell: HMPShell
    private let version: String

    /// Makes a session that nobody is connected to.
    ///
    /// - Parameters:
    ///   - shell: runs the lines.
    ///   - version: for the banner, such as `10.0.2`.
    public init(shell: HMPShell, version: String) {
        self.shell = shell
        self.version = version
    }

    /// False while a command runs.
    public var acceptsInput: Bool { state.withLock { !$0.isRunning } }

    /// Greets the client, and shows the prompt unless an earlier client's command still runs.
    public func connect(_ client: MonitorClient) {
        shell.monitor.descriptors.setPending(nil)
        let console = HMPClientConsole(client)
        state.withLock { state in
            state.console = console
            state.reader = HMPLineReader()
            state.unread = []
            state.index = 0
            console.writeLine(HMPShell.banner(version: version))
            if !state.isRunning { console.write(HMPShell.prompt) }
        }
    }

    /// Runs the lines that are complete, one after the other.
    public func receive(_ bytes: [UInt8], descriptors: consuming ReceivedDescriptors) {
        if let descriptor = descriptors.takeFirst() {
            shell.monitor.descriptors.setPending(OwnedDescriptorBox(descriptor))
        }
        let next = state.withLock { state in
            state.unread.append(contentsOf: bytes)
            return takeLine(&state)
        }
        if let next { run(next.line, on: next.console) }
    }

    /// Does nothing: a line without its end may be half a line.
    public func endInput() {}

    /// Forgets the client; a command that runs goes on without it.
    public func disconnect() {
        state.withLock { state in
            state.console?.close()
            state.console = nil
            state.unread = []
            state.index = 0
        }
    }

    /// The next line to be run, if there is one and nothing runs.
    private func takeLine(
        _ state: inout State
    ) -> (line: String, console: HMPClientConsole)? {
        guard !state.isRunning, let console = state.console else { return nil }
        while let output = state.reader.next(in: state.unread, at: &state.index) {
            switch output {
            case .line(let line) where line.isEmpty: break
            case .line(let line):
                state.isRunning = true
                return (line, console)
            case .tooLong:
                let limit = HMPLineReader.byteLimit
                console.writeLine("Error: the line is longer than \(limit) bytes, ignored")
            }
            console.write(HMPShell.prompt)
        }
        state.unread = []
        state.index = 0
        return nil
    }

    private func run(_ line: String, on console: HMPClientConsole) {
        Task { [self] in
            var line = line
            var console = console
            while true {
                let outcome = await shell.run(line, on: console)
                guard let next = finish(outcome, on: console) else { return }
                (line, console) = next
            }
        }
    }

    /// Shows the prompt after a command.
    ///
    /// - Returns: the next line that was there already.
    private func finish(
        _ outcome: HMPShell.Outcome,
        on console: HMPClientConsole
    ) -> (line: String, console: HMPClientConsole)? {
        if outcome == .quit { console.finish() }
        // In one step, so that an end of input can't come in between.
        let (next, current) = state.withLock { state in
            state.isRunning = false
            if outcome == .quit, state.console === console {
                state.console = nil
                state.unread = []
                state.index = 0
            }
            state.console?.write(HMPShell.prompt)
            return (takeLine(&state), state.console)
        }
        if next == nil { current?.resumeInput() }
        return next
    }
}
