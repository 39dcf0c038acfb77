/// Whatever writes guest memory while the guest runs.
///
/// The promise that a migration needs: after `pause` returned, no byte of guest memory changes, and
/// every page written before can be found by its block's `tracking`.
public protocol GuestActivity: Sendable {
    /// Stops all writers; returns once the last write is made, within a millisecond or so.
    /// - Throws: `MigrationError` if one doesn't stop; then all go on as before.
    func pause() throws(MigrationError)

    /// Lets the writers go on.
    func resume()

    /// Takes this share of the writers' time away; 0 gives it back.
    func throttle(percentage: Int)

    /// Limits how much memory each writer changes; nil lifts the limit.
    func limitDirtyRate(bytesPerSecond: UInt64?)

    /// A migration begins: figures about the writers start anew.
    func migrationBegins()

    /// A guest came in: what is in memory isn't what the writers left there.
    func contentReplaced()

    /// Why the writers of a guest that runs can't be followed, or nil.
    ///
    /// - Parameter snapshot: by a background snapshot, rather than by finding dirty pages.
    func obstacle(toSnapshot snapshot: Bool) -> MigrationError?
}

extension GuestActivity {
    /// Writers that can't be slowed down stay as they are.
    public func throttle(percentage: Int) {}

    /// Writers that can't be slowed down stay as they are.
    public func limitDirtyRate(bytesPerSecond: UInt64?) {}

    /// Not every writer has figures.
    public func migrationBegins() {}

    /// Not every writer cares.
    public func contentReplaced() {}

    /// Writers in this process are no obstacle.
    public func obstacle(toSnapshot snapshot: Bool) -> MigrationError? { nil }
}
