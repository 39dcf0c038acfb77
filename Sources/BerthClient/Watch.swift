internal import BerthMonitor
internal import BerthSystem
internal import Glibc

/// Shows a migration until it is over, or somebody has seen enough.
struct Watch {
    /// Time from one look to the next: as often as the numbers change, in real QEMU, too.
    static let defaultInterval = Duration.seconds(1)

    private let conversation: any Conversation
    private let output: any HMPConsole
    private let input: CInt
    private let interval: Duration

    /// - Parameter input: where keys come from, if it is a terminal.
    init(
        _ conversation: any Conversation,
        output: any HMPConsole,
        input: CInt,
        interval: Duration
    ) {
        self.conversation = conversation
        self.output = output
        self.input = input
        self.interval = interval
    }

    /// Reads the words after `watch`.
    ///
    /// - Throws: `ClientError` for anything but a number of seconds, 0.1 to 3600.
    static func interval(_ words: ArraySlice<String>) throws(ClientError) -> Duration {
        guard let word = words.first else { return defaultInterval }
        guard words.count == 1, let seconds = Double(word), (0.1...3600).contains(seconds) else {
            throw .badLine(
                "cannot watch: '\(words.joined(separator: " "))' is no number of seconds",
                hint: "use watch [SECONDS], from 0.1 to 3600"
            )
        }
        return .seconds(seconds)
    }

    /// Returns when the migration is over, or a key has ended the view.
    ///
    /// - Returns: false when the migration has failed or was cancelled.
    /// - Throws: `ClientError` when the session is broken.
    @available(*, noasync, message: "blocks its thread")
    func run() throws(ClientError) -> Bool {
        let keys = output.isInteractiveTerminal ? RawKeys(input) : nil
        var view = WatchView(style: Self.style)
        var height = 0
        while true {
            let progress = try conversation.migrationProgress()
            view.add(progress, workloads: try conversation.workloads())
            if output.isInteractiveTerminal {
                // The last column stays free: some terminals wrap as soon as it is written.
                let lines = view.lines(width: max(output.columnCount - 1, 1))
                output.write(Self.redraw(lines, over: height))
                height = lines.count
            } else {
                output.writeLine(view.plainLine)
            }
            if progress.isOver { return progress.status == "completed" }
            guard goesOn(keys) else { return true }
        }
    }

    /// The text that draws lines over those drawn before.
    static func redraw(_ lines: [String], over height: Int) -> String {
        let up = height > 0 ? "\u{1B}[\(height)A" : ""
        return up + lines.map { "\r\($0)\u{1B}[K\n" }.joined() + "\u{1B}[J"
    }

    /// Waits for the time of the next look.
    ///
    /// - Returns: false when a key has ended the view.
    @available(*, noasync, message: "blocks its thread")
    private func goesOn(_ keys: RawKeys?) -> Bool {
        let deadline = ContinuousClock.now + interval
        while true {
            let left = ContinuousClock.now.duration(to: deadline)
            let descriptor = keys == nil ? -1 : input
            let outcome = try? Poll.wait(for: descriptor, .input, timeout: left)
            guard outcome == .ready, let keys else { return true }
            guard let pressed = keys.read() else { return false }
            // q, Q, ^C, ^D.
            if pressed.contains(where: { [0x71, 0x51, 0x03, 0x04].contains($0) }) { return false }
        }
    }

    /// Blocks where the locale says that they can be shown.
    private static var style: Sparkline.Style {
        for name in ["LC_ALL", "LC_CTYPE", "LANG"] {
            guard let value = unsafe getenv(name) else { continue }
            let text = unsafe String(cString: value).lowercased()
            guard !text.isEmpty else { continue }
            return text.contains("utf-8") || text.contains("utf8") ? .blocks : .ascii
        }
        return .ascii
    }
}
