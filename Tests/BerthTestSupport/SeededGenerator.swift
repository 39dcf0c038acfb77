import Foundation

/// Random numbers that a second run can repeat (SplitMix64).
///
/// The seed comes from `BERTH_TEST_SEED` or the system; a test states it in its expectations, so
/// that a failure prints it.
public struct SeededGenerator: RandomNumberGenerator {
    /// The number to put into `BERTH_TEST_SEED` to get the same values again.
    public let seed: UInt64
    private var state: UInt64

    /// Starts from `BERTH_TEST_SEED` if that is a number, else from a random seed.
    public init() {
        let given = ProcessInfo.processInfo.environment["BERTH_TEST_SEED"].flatMap(UInt64.init)
        self.init(seed: given ?? UInt64.random(in: 0...UInt64.max))
    }

    /// Starts from a given seed.
    public init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    /// The next number.
    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
