public import BerthQAPI

/// What `calc-dirty-rate` asks for, judged.
public struct DirtyRateRequest: Sendable, Equatable {
    /// Milliseconds to measure, 50 to 60,000.
    public let milliseconds: Int64
    /// Pages compared for each GiB; 0 unless pages are sampled.
    public let samplePages: Int
    /// How to measure.
    public let mode: DirtyRateMeasureMode

    /// QEMU's default.
    private static let defaultSamplePages = 512

    /// Judges the arguments of the command.
    ///
    /// - Parameter time: in `unit`.
    /// - Throws: `MigrationError` for what is out of range, or a mode that needs virtual CPUs.
    public init(
        time: Int64,
        unit: TimeUnit,
        samplePages: Int64?,
        mode: DirtyRateMeasureMode
    ) throws(MigrationError) {
        let (milliseconds, overflow) = time.multipliedReportingOverflow(
            by: unit == .second ? 1000 : 1
        )
        guard !overflow, (50...60_000).contains(milliseconds) else {
            throw MigrationError(
                "cannot measure for \(time) \(unit.rawValue)s: 50 ms to 60 s are possible"
            )
        }
        if let samplePages {
            guard mode == .pageSampling else {
                throw MigrationError(
                    "'sample-pages' has no meaning in mode '\(mode.rawValue)'",
                    hint: "leave it out, or use mode 'page-sampling'"
                )
            }
            guard (128...16384).contains(samplePages) else {
                throw MigrationError("'sample-pages' is \(samplePages), 128 to 16384 are possible")
            }
        }
        guard mode != .dirtyRing else {
            throw MigrationError(
                "mode 'dirty-ring' needs virtual CPUs with KVM's dirty ring, this guest has none",
                hint: "use mode 'dirty-bitmap'; x-query-workload tells the rate of each workload"
            )
        }
        self.milliseconds = milliseconds
        self.mode = mode
        self.samplePages =
            mode == .pageSampling ? samplePages.map { Int($0) } ?? Self.defaultSamplePages : 0
    }
}
