/// The moments of one outgoing migration, for the times that `query-migrate` shows.
struct MigrationTimes: Sendable {
    /// When `migrate` was accepted.
    var start: ContinuousClock.Instant?
    /// Just before the guest was stopped.
    var stop: ContinuousClock.Instant?
    /// When the guest went on, if it was only held for a snapshot.
    var resumption: ContinuousClock.Instant?
    /// When it completed; the clock stops.
    var end: ContinuousClock.Instant?

    /// Milliseconds since the start, or up to the end.
    var total: UInt64? {
        start.map { Self.milliseconds($0.duration(to: end ?? .now)) }
    }

    /// Milliseconds from the guest's stop to completion, or until it went on.
    var downtime: UInt64? {
        guard let stop, let end else { return nil }
        return Self.milliseconds(stop.duration(to: resumption ?? end))
    }

    private static func milliseconds(_ duration: Duration) -> UInt64 {
        UInt64(max(0, duration / .milliseconds(1)))
    }
}
