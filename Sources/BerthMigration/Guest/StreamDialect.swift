/// What machine types and `-global migration.` change in the streams of a guest.
public struct StreamDialect: Sendable, Equatable {
    /// Whether a fresh guest's stream announces its final stage; off for machine types before 10.0.
    ///
    /// QEMU: `send-switchover-start`.
    public var sendsSwitchoverStart: Bool
    /// Whether multifd channels are brought into step after each section, rather than after each
    /// pass over memory; on for machine types before 8.1.
    ///
    /// QEMU: `multifd-flush-after-each-section`; both ends must agree.
    public var flushesEachSection: Bool

    /// Describes streams; without arguments those of the newest machine types.
    public init(sendsSwitchoverStart: Bool = true, flushesEachSection: Bool = false) {
        self.sendsSwitchoverStart = sendsSwitchoverStart
        self.flushesEachSection = flushesEachSection
    }
}
