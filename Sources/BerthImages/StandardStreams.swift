import BerthSystem
public import BerthTransport
import Glibc

/// Standard input and output as channels.
public enum StandardStreams {
    /// Standard input, which may be a pipe, a socket or a file.
    /// - Throws: `ImageError` if it is closed.
    public static func input() throws(ImageError) -> Channel {
        try channel(STDIN_FILENO, name: "standard input")
    }

    /// Standard output.
    /// - Throws: `ImageError` if it is closed, or a terminal: a stream is nothing to look at.
    public static func output() throws(ImageError) -> Channel {
        // Main has put something that can't be written in the place of a closed one.
        guard fcntl(STDOUT_FILENO, F_GETFL) & O_ACCMODE != O_RDONLY else {
            throw ImageError(
                "cannot write to standard output, which is closed or was opened read-only",
                hint: "redirect it to a file or pipe"
            )
        }
        guard isatty(STDOUT_FILENO) == 0 else {
            throw ImageError(
                "standard output is a terminal, which can't take a stream",
                hint: "redirect it, or use -c URI"
            )
        }
        return try channel(STDOUT_FILENO, name: "standard output")
    }

    /// Standard output for answers to a source that talks through standard input, as QEMU's
    /// `exec:` does; nil where nobody would hear them.
    public static func answers() -> Channel? {
        guard let kind = try? FileStatus(of: STDOUT_FILENO).kind, kind == .fifo || kind == .socket
        else { return nil }
        return try? channel(STDOUT_FILENO, name: "standard output")
    }

    private static func channel(_ raw: CInt, name: String) throws(ImageError) -> Channel {
        do {
            let copy = try SystemCall.check("use", name) { fcntl(raw, F_DUPFD_CLOEXEC, 3) }
            return try Channel(OwnedDescriptor(copy), name: name)
        } catch let error as TransportError {
            throw ImageError(error)
        } catch {
            throw ImageError("\(error)")
        }
    }
}
