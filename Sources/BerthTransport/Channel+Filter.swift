internal import BerthSystem
internal import Glibc
internal import SystemPackage

extension Channel {
    /// What comes out of a program that reads a file.
    ///
    /// `close()` waits for the program and judges how it ended.
    ///
    /// - Parameters:
    ///   - file: the program's standard input, from where it stands.
    ///   - arguments: the program's name, which is searched for in `PATH`, and its arguments.
    ///   - name: the file's, for messages.
    /// - Throws: `TransportError`, also if there is no such program.
    public static func reading(
        _ file: Channel,
        through arguments: [String],
        name: String
    ) throws(TransportError) -> Channel {
        try filtering(file, through: arguments, piping: .standardOutput, name: name)
    }

    /// What a program reads whose output goes into a file.
    ///
    /// `close()` ends its input, waits for it and judges how it ended.
    ///
    /// - Parameters:
    ///   - file: the program's standard output, from where it stands.
    ///   - arguments: the program's name, which is searched for in `PATH`, and its arguments.
    ///   - name: the file's, for messages.
    /// - Throws: `TransportError`, also if there is no such program.
    public static func writing(
        _ file: Channel,
        through arguments: [String],
        name: String
    ) throws(TransportError) -> Channel {
        try filtering(file, through: arguments, piping: .standardInput, name: name)
    }

    private static func filtering(
        _ file: Channel,
        through arguments: [String],
        piping stream: ChildProcess.PipedStream,
        name: String
    ) throws(TransportError) -> Channel {
        let operation = stream == .standardOutput ? "read" : "write"
        guard let program = arguments.first, let path = ProgramSearch.path(of: program) else {
            let program = arguments.first ?? ""
            throw TransportError(
                operation,
                name,
                reason: "there is no program '\(program)' in PATH",
                hint: "install it"
            )
        }
        let started: ChildProcess.Started
        let messages: ProgramMessages
        do {
            messages = try ProgramMessages()
            started = try ChildProcess.start(
                [path] + arguments.dropFirst(),
                piping: stream,
                file: file.raw,
                messages: messages
            )
        } catch {
            throw TransportError("start '\(program)' for", name, cause: error)
        }
        let command = started.process
        return try Channel(
            started.takePipe(),
            name: name,
            command: command,
            filter: FilterProgram(name: program, operation: operation, messages: messages)
        )
    }
}
