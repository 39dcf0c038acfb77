/// What a workload does right now.
public struct WorkloadStatus: Sendable, Equatable {
    /// One of the threads.
    public struct Thread: Sendable, Equatable {
        /// Bytes of written pages in a second of late; 0 while paused.
        public var throughput: UInt64
        /// The limit that was set for this thread, in bytes per second.
        public var limit: UInt64?

        /// Describes a thread.
        public init(throughput: UInt64, limit: UInt64?) {
            self.throughput = throughput
            self.limit = limit
        }
    }

    /// Whether it writes: it was resumed, and its memory was not found corrupt.
    public var isRunning: Bool
    /// How often pages were written since the memory was zero, here and elsewhere, as counted.
    public var writes: UInt64
    /// Bytes of written pages in a second of late, of all threads; 0 while paused.
    public var throughput: UInt64
    /// The longest that the write of one page took since `beginMeasurement`, in nanoseconds.
    public var longestWrite: UInt64
    /// How much of their time the threads lose, in percent.
    public var throttle: Int
    /// The threads.
    public var threads: [Thread]
}
