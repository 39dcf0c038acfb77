public import BerthSystem
internal import Glibc
internal import Synchronization

/// The human monitor on a terminal: lines are edited with libedit, as in a shell.
///
/// A thread of its own reads the terminal. While a command runs the terminal is in the mode in which
/// it was found, and what is typed stays unread until the prompt returns.
///
/// There can be one in a process at a time: the library that libedit draws with (libtinfo) keeps what
/// it knows of the terminal in global variables.
public final class HMPTerminal: Sendable {
    private let input: OwnedDescriptor
    private let console: TerminalConsole
    private let shell: HMPShell
    private let version: String
    private let stopping: WakeEvent
    private let thread = Mutex<NamedThread?>(nil)

    /// Whether two descriptors are ends of terminals, so that a person can edit lines there.
    public static func canEdit(input: CInt, output: CInt) -> Bool {
        isatty(input) == 1 && isatty(output) == 1
    }

    /// Makes a console that has not begun to read.
    ///
    /// - Parameters:
    ///   - input: a terminal, opened for reading; a duplicate of the caller's.
    ///   - output: the same terminal, opened for writing.
    ///   - shell: runs the lines.
    ///   - version: for the banner, such as `10.0.2`.
    /// - Throws: `SystemCallError` when the process is out of descriptors.
    public init(
        input: consuming OwnedDescriptor,
        output: consuming OwnedDescriptor,
        shell: HMPShell,
        version: String
    ) throws(SystemCallError) {
        stopping = try WakeEvent()
        self.input = input
        console = TerminalConsole(output: output)
        self.shell = shell
        self.version = version
    }

    /// Shows the banner and begins to read.
    ///
    /// - Throws: `SystemCallError` when the system is out of threads.
    public func start() throws(SystemCallError) {
        let started = try NamedThread.start(name: "berth-console") { [self] in
            console.writeLine(HMPShell.banner(version: version))
            guard
                let editor = LineEditor(
                    input: input.raw,
                    console: console,
                    editing: LineEditing(prompt: HMPShell.prompt, history: shell.history) {
                        [table = shell.table] in table.completion(of: $0)
                    },
                    stopping: stopping
                )
            else {
                console.writeLine("Error: this terminal cannot be used for editing lines")
                return
            }
            while let line = editor.readLine() {
                guard run(line) == .proceed else { return }
            }
        }
        thread.withLock { $0 = started }
    }

    /// Ends the session from any thread: a command that runs is not waited for.
    ///
    /// The terminal gets its mode back; that has happened when `join()` returns.
    public func stop() { stopping.signal() }

    /// Waits until the thread has ended: after `stop()`, after `quit`, or when the terminal has gone.
    @available(*, noasync, message: "blocks its thread")
    public func join() {
        // Taken out first: the thread may be joined only once, and takes its time.
        let started = thread.withLock { started in
            defer { started = nil }
            return started
        }
        started?.join()
    }

    /// Runs a line and waits for its end.
    ///
    /// - Returns: nil when the session is to end.
    private func run(_ line: String) -> HMPShell.Outcome? {
        guard let done = try? WakeEvent() else {
            console.writeLine("Error: the process is out of file descriptors")
            return .proceed
        }
        let shared = OutcomeBox()
        Task { [shell, console] in
            let outcome = await shell.run(line, on: console)
            shared.outcome.withLock { $0 = outcome }
            done.signal()
        }
        let ended = try? Poll.wait(for: done.raw, .input, abort: stopping)
        guard ended == .ready else {
            console.close()
            return nil
        }
        return shared.outcome.withLock { $0 }
    }
}

/// Where a task leaves what came of a line.
private final class OutcomeBox: Sendable {
    let outcome = Mutex<HMPShell.Outcome?>(nil)
}
