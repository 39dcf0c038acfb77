internal import CBerthLinux
internal import Glibc

/// A thread that has a file written to the disk while somebody else writes it to the page cache.
///
/// Without it the kernel begins after seconds, and whoever makes the file durable at the end waits
/// for the disk to take all of it. For files whose pages are written once: one that is written again
/// goes to the disk twice.
public final class Writeback: Sendable {
    /// Short enough that little is left at the end, long enough to hand the disk large pieces.
    private static let interval = Duration.milliseconds(100)

    private let thread: NamedThread
    private let stop: WakeEvent

    /// Starts the thread.
    ///
    /// - Parameter raw: a file open for writing, until `end()`.
    /// - Throws: `SystemCallError` if the system has no thread left.
    public init(of raw: CInt) throws(SystemCallError) {
        let stop = try WakeEvent()
        self.stop = stop
        thread = try NamedThread.start(name: "berth-writeback") {
            while (try? Poll.wait(for: stop.raw, .input, timeout: Self.interval)) == .timedOut {
                // What the disk has against it is said to whoever makes the file durable.
                _ = berth_start_writeback(raw)
            }
        }
    }

    /// Ends the thread.
    @available(*, noasync, message: "blocks its thread")
    public func end() {
        stop.signal()
        thread.join()
    }
}
