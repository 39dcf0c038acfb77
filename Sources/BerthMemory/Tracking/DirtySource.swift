/// A way to find writes to one range of memory.
public enum DirtyTrackingMechanism: String, Sendable, CaseIterable {
    /// Writers in this process mark pages in a `DirtyLog`.
    case software
    /// The kernel notes writes of this process.
    case kernel
    /// The kernel notes writes of another process.
    case peer
}

/// Finds the writes to one RAM block by one mechanism.
///
/// Used by one thread at a time; `DirtyTracking` sees to that.
public protocol DirtySource: Sendable {
    /// How it works, for the monitors.
    var mechanism: DirtyTrackingMechanism { get }

    /// Begins to note writes; those before are not of interest.
    /// - Throws: `DirtyTrackingError` that says what is missing; nothing is armed then.
    func start() throws(DirtyTrackingError)

    /// Adds every page that was written since `start` or the last call to `bitmap`.
    ///
    /// A page that is written while this runs is in this result or in the next one, or in both.
    /// - Returns: how many pages were not set in `bitmap` before.
    /// - Throws: `DirtyTrackingError` if writes may have been missed; the source is useless then.
    func collect(into bitmap: inout PageBitmap) throws(DirtyTrackingError) -> Int

    /// Ends; writes cost nothing any more.
    func stop()
}

/// Why writes can't be found, in words for the operator.
public struct DirtyTrackingError: Error, Sendable, Equatable {
    /// One phrase: what was attempted and what was wrong.
    public let message: String
    /// What to do about it.
    public let hint: String?

    /// Makes an error; see the members.
    public init(_ message: String, hint: String? = nil) {
        self.message = message
        self.hint = hint
    }
}
