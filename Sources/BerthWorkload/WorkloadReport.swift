/// What the pages of a workload prove.
public struct WorkloadReport: Sendable, Equatable {
    /// Most faults that a report names.
    public static let namedFaultCount = 16

    /// The result of a check.
    public enum Verdict: String, Sendable, CaseIterable {
        /// Nothing was looked at: the workload writes, or its content isn't there yet.
        case unchecked
        /// Every page is whole, in its place, and of the present.
        case clean
        /// Some pages are not.
        case corrupt
    }

    /// What is wrong with a page.
    public enum FaultKind: String, Sendable, CaseIterable {
        /// Parts of it were written at different times.
        case torn
        /// It has the content of another page, or no workload's.
        case misplaced
        /// It is older than the pages around it, or newer.
        case stale
    }

    /// A page that isn't as it should be.
    public struct Fault: Sendable, Equatable {
        /// Bytes from the start of the block.
        public let offset: Int
        /// What is wrong with it.
        public let kind: FaultKind

        /// Describes a fault.
        public init(offset: Int, kind: FaultKind) {
            self.offset = offset
            self.kind = kind
        }
    }

    /// The result.
    public var verdict: Verdict
    /// The first faulty pages in the order of memory.
    ///
    /// At most `namedFaultCount` of them.
    public var faults: [Fault]
    /// How many pages are faulty.
    public var faultCount: Int
    /// How often pages were written since the memory was zero, here and elsewhere.
    ///
    /// The sum of what the pages say if they were looked at, else what was counted.
    public var writes: UInt64

    /// Makes a report; see the members.
    public init(verdict: Verdict, faults: [Fault] = [], faultCount: Int = 0, writes: UInt64) {
        self.verdict = verdict
        self.faults = faults
        self.faultCount = faultCount
        self.writes = writes
    }

    /// Adds what was found in another, later part of the memory.
    mutating func add(_ other: WorkloadReport) {
        if other.verdict == .corrupt { verdict = .corrupt }
        faults = Array(
            (faults + other.faults).sorted { $0.offset < $1.offset }.prefix(Self.namedFaultCount)
        )
        faultCount += other.faultCount
        writes &+= other.writes
    }
}
