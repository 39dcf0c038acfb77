/// Which pages a workload writes, and what.
public enum WorkloadPattern: String, Sendable, CaseIterable {
    /// One page after the other, round after round; a word in each line of 64 bytes.
    case increment
    /// Pages chosen evenly, written in full with bytes that can't be compressed.
    case random
    /// One page after the other, written in full with bytes that can't be compressed.
    case sequential
    /// Pages chosen by Zipf's law, written in full with bytes that can't be compressed.
    case zipf
}
