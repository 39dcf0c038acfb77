import BerthStream
import BerthSystem
import Glibc

/// A line of progress on standard error, if that is a terminal.
final class ProgressLine {
    private let verb: String
    private let isShown = isatty(STDERR_FILENO) != 0
    private let start = ContinuousClock.now
    private var hasShown = false

    /// Width of the bar in characters: the line with its numbers fits 80 columns.
    private static let barWidth = 30

    init(verb: String) {
        self.verb = verb
    }

    /// Redraws the line.
    ///
    /// Pages that came again can bring it past the guest's size: the bar stays full then.
    func show(_ progress: StreamProgress) {
        guard isShown else { return }
        let pages = progress.dataPageCount + progress.zeroPageCount
        let done = min(pages * 4096, progress.totalByteCount)
        let total = max(progress.totalByteCount, 1)
        let filled = Int(done * UInt64(Self.barWidth) / total)
        let seconds = max(start.duration(to: .now) / .seconds(1), 0.001)
        let rate = Int(Double(progress.streamByteCount >> 20) / seconds)
        let bar =
            String(repeating: "#", count: filled)
            + String(repeating: ".", count: Self.barWidth - filled)
        StandardError.write(
            "\r[\(bar)] \(done * 100 / total)% of \(total >> 20) MiB \(verb), \(rate) MiB/s\u{1B}[K"
        )
        hasShown = true
    }

    /// Leaves the line.
    func end() {
        if hasShown {
            StandardError.write("\n")
        }
    }
}
