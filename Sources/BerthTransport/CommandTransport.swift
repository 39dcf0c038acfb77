internal import BerthSystem
internal import Glibc
internal import SystemPackage

/// Starts the commands of `exec:` addresses.
enum CommandTransport {
    /// Starts a command and joins it by a pipe: its input if we write, its output if we read.
    ///
    /// - Throws: `TransportError` if there is no such program.
    static func open(
        _ address: MigrationAddress,
        _ arguments: [String],
        _ direction: MigrationDirection
    ) throws(TransportError) -> Channel {
        let name = address.description
        guard !arguments.isEmpty else {
            throw TransportError("start", name, reason: "the list of arguments is empty")
        }
        let started: ChildProcess.Started
        do {
            started = try ChildProcess.start(
                arguments,
                piping: direction == .outgoing ? .standardInput : .standardOutput
            )
        } catch {
            throw TransportError(
                "start",
                name,
                cause: error,
                hint: error.errno.rawValue == ENOENT
                    ? "give the program's full path: it isn't searched for" : nil
            )
        }
        let command = started.process
        return try Channel(started.takePipe(), name: name, command: command)
    }
}
