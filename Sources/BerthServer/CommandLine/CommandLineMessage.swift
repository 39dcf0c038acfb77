import Glibc

/// A line for standard error, with what belongs to it.
struct CommandLineMessage: Sendable, Equatable {
    /// How bad it is.
    enum Severity: Sendable {
        case error, warning
    }

    var severity = Severity.error
    /// The option that it is about, as it was written: `-name foo,bogus=1`; nil if none.
    var location: String?
    /// One phrase.
    var text: String
    /// What follows on lines of their own, without prefix.
    var hints: [String] = []
}

/// What is wrong with a command line.
///
/// The process says so and ends with exit status 1.
struct CommandLineError: Error, Equatable {
    var messages: [CommandLineMessage]

    /// One message, not yet tied to an option.
    init(_ text: String, hints: [String] = []) {
        messages = [CommandLineMessage(text: text, hints: hints)]
    }

    init(messages: [CommandLineMessage]) {
        self.messages = messages
    }

    /// The error with the option that it is about, where that isn't known yet.
    func located(_ location: String?) -> CommandLineError {
        CommandLineError(
            messages: messages.map { message in
                var message = message
                message.location = message.location ?? location
                return message
            }
        )
    }
}

/// How messages on standard error look (QEMU: `-msg`).
public struct MessageFormat: Sendable, Equatable {
    /// What the process is called: the last component of its path.
    public var program: String
    /// Whether the time comes first.
    public var hasTimestamp = false
    /// The guest's name, where it is to follow the time.
    public var guestName: String?

    /// A format without any additions.
    public init(program: String) {
        self.program = program
    }

    /// A message as it is printed, with its hints and all line ends.
    ///
    /// - Parameters:
    ///   - location: the option that it is about.
    ///   - now: seconds and microseconds since 1970, for the timestamp.
    public func line(
        _ text: String,
        location: String? = nil,
        hints: [String] = [],
        now: (seconds: Int, microseconds: Int) = MessageFormat.now()
    ) -> String {
        var line = ""
        if hasTimestamp { line += Self.timestamp(now) + " " }
        if let guestName { line += guestName + " " }
        line += program + ": "
        if let location { line += location + ": " }
        line += text + "\n"
        for hint in hints { line += hint + "\n" }
        return line
    }

    func line(_ message: CommandLineMessage) -> String {
        let text = message.severity == .warning ? "warning: " + message.text : message.text
        return line(text, location: message.location, hints: message.hints)
    }

    /// The wall clock.
    public static func now() -> (seconds: Int, microseconds: Int) {
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        return (time.tv_sec, time.tv_nsec / 1000)
    }

    /// UTC, as in `2026-11-21T06:49:22.209934Z`.
    private static func timestamp(_ now: (seconds: Int, microseconds: Int)) -> String {
        var seconds = time_t(now.seconds)
        var parts = unsafe tm()
        unsafe gmtime_r(&seconds, &parts)
        func padded(_ number: Int, _ width: Int = 2) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let date = [
            padded(Int(unsafe parts.tm_year) + 1900, 4), padded(Int(unsafe parts.tm_mon) + 1),
            padded(Int(unsafe parts.tm_mday)),
        ].joined(separator: "-")
        let time = [
            padded(Int(unsafe parts.tm_hour)), padded(Int(unsafe parts.tm_min)),
            padded(Int(unsafe parts.tm_sec)),
        ].joined(separator: ":")
        return "\(date)T\(time).\(padded(now.microseconds, 6))Z"
    }
}
