/// When a throttled thread sleeps, and how long: after each 10 ms as long as its percentage needs.
///
/// All times are nanoseconds of one clock. QEMU: the time slice of `cpu-throttle`.
struct DutyCycle {
    /// How long a thread runs at a time.
    static let slice: UInt64 = 10_000_000

    private var begin: UInt64 = 0
    private var surplus: UInt64 = 0

    /// Begins anew, owing nothing.
    mutating func start(at now: UInt64) {
        begin = now
        surplus = 0
    }

    /// Whether the time slice is over.
    func isOver(at now: UInt64) -> Bool {
        now &- begin >= Self.slice
    }

    /// How long to sleep after a time slice that ended at `end`.
    ///
    /// - Parameter throttle: percent of the time, 0 to 99.
    func rest(after end: UInt64, throttle: Int) -> UInt64 {
        let need = need(after: end, throttle)
        return need > surplus ? need - surplus : 0
    }

    /// Begins the next time slice at `now`.
    ///
    /// Sleeps are not exact: what was slept beyond the need is taken off later ones.
    mutating func next(after end: UInt64, at now: UInt64, throttle: Int) {
        let need = need(after: end, throttle)
        let slept = surplus &+ (now &- end)
        surplus = throttle > 0 && slept > need ? min(slept - need, Self.slice) : 0
        begin = now
    }

    private func need(after end: UInt64, _ throttle: Int) -> UInt64 {
        guard throttle > 0, throttle < 100 else { return 0 }
        // Who was held up for longer did not run for longer.
        let ran = min(end &- begin, 2 * Self.slice)
        return ran * UInt64(throttle) / UInt64(100 - throttle)
    }

    /// The part of a wait that a throttled thread may take in one go.
    func clamp(_ delay: UInt64, throttle: Int) -> UInt64 {
        throttle > 0 ? min(delay, Self.slice) : delay
    }
}
