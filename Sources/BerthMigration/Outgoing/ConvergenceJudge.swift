/// Finds out that a guest changes its memory faster than it can be sent, and what to do about it.
///
/// The rule is QEMU's: in every period of more than a second between two syncs the bytes found
/// dirty are held against those sent; every second period in which they are too many, the guest is
/// slowed down a step further.
struct ConvergenceJudge {
    /// How a guest is slowed down.
    enum Means: Sendable {
        /// Capability `auto-converge`: all writers lose a share of their time.
        case throttle
        /// Capability `dirty-limit`: each writer may change only so much.
        case dirtyLimit
    }

    let means: Means?
    private var strikes = 0
    private var percentage = 0

    init(_ means: Means?) {
        self.means = means
    }

    /// Judges one period.
    ///
    /// - Returns: the restraint that the guest is to be under from now on, or nil for no change.
    mutating func judge(
        dirtyByteCount: UInt64,
        transferredByteCount: UInt64,
        _ limits: MigrationLimits
    ) -> GuestRestraint? {
        guard let means else { return nil }
        let allowed = Double(transferredByteCount) * Double(limits.triggerPercentage) / 100
        guard Double(dirtyByteCount) > allowed else { return nil }
        strikes += 1
        guard strikes == 2 else { return nil }
        strikes = 0
        switch means {
        case .dirtyLimit:
            return .dirtyLimit(megabytesPerSecond: limits.dirtyLimit)
        case .throttle:
            percentage = next(limits, dirty: Double(dirtyByteCount), allowed: allowed)
            return .throttle(percentage: percentage)
        }
    }

    private func next(_ limits: MigrationLimits, dirty: Double, allowed: Double) -> Int {
        guard percentage > 0 else { return limits.throttleInitial }
        var step = limits.throttleIncrement
        if limits.throttlesSlowlyAtTheEnd {
            // What would just do, were the guest to change memory in proportion to its time.
            let left = Double(100 - percentage)
            step = min(step, Int(left - left * allowed / dirty))
        }
        return min(percentage + step, limits.throttleMaximum)
    }
}

/// What holds a guest back so that its migration ends.
public enum GuestRestraint: Sendable, Equatable {
    /// All writers lose this share of their time, in per cent.
    case throttle(percentage: Int)
    /// Each writer may change this much memory.
    case dirtyLimit(megabytesPerSecond: UInt64)
}
