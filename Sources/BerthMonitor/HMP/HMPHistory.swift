internal import Synchronization

/// The lines that were typed on a monitor, across its connections.
public final class HMPHistory: Sendable {
    /// How many lines are kept, as in QEMU.
    public static let limit = 64

    private let entries = Mutex<[String]>([])

    /// Makes an empty history.
    public init() {}

    /// The lines, oldest first.
    public var lines: [String] { entries.withLock { $0 } }

    /// Adds a line; one that is there already moves to the end, an empty one is not kept.
    public func add(_ line: String) {
        guard !line.isEmpty else { return }
        entries.withLock { entries in
            entries.removeAll { $0.utf8.elementsEqual(line.utf8) }
            entries.append(line)
            if entries.count > Self.limit { entries.removeFirst() }
        }
    }
}
