public import BerthSystem
internal import CEdit
internal import Glibc
internal import Synchronization

/// The console of a person at a terminal, or of whatever else takes its output.
public final class TerminalConsole: HMPConsole {
    private let output: OwnedDescriptor
    private let open = Atomic(true)

    /// Makes a console.
    ///
    /// - Parameter output: a terminal or anything else that is open for writing.
    public init(output: consuming OwnedDescriptor) {
        isInteractiveTerminal = isatty(output.raw) == 1
        self.output = output
    }

    /// The terminal's number.
    var raw: CInt { output.raw }

    /// Whether it is a terminal, where somebody watches.
    public let isInteractiveTerminal: Bool

    /// The window's width now; 80 where the terminal doesn't know.
    public var columnCount: Int {
        let count = berth_terminal_columns(output.raw)
        return count > 0 ? Int(count) : 80
    }

    /// Whether the session goes on.
    public var isOpen: Bool { open.load(ordering: .relaxed) }

    /// Notes that the session has ended.
    func close() { open.store(false, ordering: .relaxed) }

    /// Writes all of it; what a terminal that has gone doesn't take is dropped.
    public func write(_ text: String) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = unsafe bytes.withUnsafeBytes { buffer in
                unsafe Glibc.write(output.raw, buffer.baseAddress, buffer.count)
            }
            if count > 0 {
                bytes = bytes.dropFirst(count)
            } else if errno == EAGAIN {
                // Somebody who shares the terminal has made it non-blocking.
                var request = pollfd(fd: output.raw, events: Int16(POLLOUT), revents: 0)
                _ = unsafe poll(&request, 1, -1)
            } else if errno != EINTR {
                return
            }
        }
    }
}
