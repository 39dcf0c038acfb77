internal import Synchronization

/// Where the output of a command goes.
///
/// Commands end their lines with a line feed; a console writes what its medium needs instead.
public protocol HMPConsole: Sendable {
    /// Shows text, in the order of the calls.
    func write(_ text: String)

    /// Whether a person watches, so that a line may be drawn anew again and again.
    var isInteractiveTerminal: Bool { get }

    /// How many characters fit on a line; of use on interactive terminals only.
    var columnCount: Int { get }

    /// Whether the console can wait for the end of a command that takes long.
    var canSuspend: Bool { get }

    /// Whether somebody is still there; commands that only wait may stop then.
    var isOpen: Bool { get }
}

extension HMPConsole {
    /// Most consoles are read by a program.
    public var isInteractiveTerminal: Bool { false }

    /// The width that terminals have had since they were typewriters.
    public var columnCount: Int { 80 }

    /// Consoles with a prompt can.
    public var canSuspend: Bool { true }

    /// Most consoles stay open as long as a command runs.
    public var isOpen: Bool { true }

    /// Shows text and ends the line.
    public func writeLine(_ text: String) { write(text + "\n") }
}

/// Collects the output of a command, for `human-monitor-command`.
public final class HMPTextConsole: HMPConsole {
    private let collected = Mutex("")

    /// Makes a console that has shown nothing yet.
    public init() {}

    /// What was shown, with CR LF at the end of each line.
    public var text: String { collected.withLock { $0 } }

    /// False: the caller waits for the text, and every other monitor for the caller.
    public var canSuspend: Bool { false }

    /// Appends text.
    public func write(_ text: String) {
        collected.withLock { $0 += text.withCarriageReturns }
    }
}

extension String {
    /// The text with CR LF for each LF, as monitors end their lines.
    var withCarriageReturns: String {
        guard utf8.contains(UInt8(ascii: "\n")) else { return self }
        var result = ""
        for scalar in unicodeScalars {
            if scalar == "\n" { result.unicodeScalars.append("\r") }
            result.unicodeScalars.append(scalar)
        }
        return result
    }
}
