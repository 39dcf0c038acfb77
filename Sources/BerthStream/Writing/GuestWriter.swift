/// Writes a guest as a stream: the steps of a save.
///
/// Between `begin` and `finish` pages come through `PageSink`, inside an iteration. A stream that
/// was not finished never looks complete to a reader.
///
/// Pages come in any order and lie anywhere. They must stay as they are until `settle` returns if
/// the caller needs them to arrive as they were at the time of `write`.
public protocol GuestWriter: PageSink {
    /// The output, for its counters and for flushing at the end of a batch.
    var output: StreamOutput { get }

    /// What stands around the pages; nil before `begin`.
    var frame: StreamFrame? { get }

    /// Bytes of pages that left beside `output`: at places of their own, or on other channels.
    var pageByteCount: UInt64 { get }

    /// Sends that were to be made without a copy and were copied all the same.
    var zeroCopyFallbackCount: UInt64 { get }

    /// Writes the header, the configuration and the list of blocks.
    ///
    /// - Parameter earlySections: whole sections that come before the first page (virtio-mem).
    func begin(
        _ plan: StreamPlan,
        blocks: [StreamBlock],
        earlySections: [UInt8]
    ) throws(StreamError)

    /// Closes the iteration and hands everything to the channel.
    func endIteration() throws(StreamError)

    /// Ends a pass over memory: a page that comes from now on may be newer than one that came
    /// before, and must win.
    ///
    /// Comes inside an iteration. Between two of them each page comes once at most.
    func endPass() throws(StreamError)

    /// Closes the RAM section and writes device state, end mark and description.
    ///
    /// - Parameters:
    ///   - deviceSections: whole sections, with headers and footers.
    ///   - description: the JSON text of the vmdesc; may be empty. Nil for none, as QEMU does it
    ///     with suppress-vmdesc=on: a file then ends with its end mark, a destination that wasn't
    ///     told the same waits for more as long as its connection is open.
    ///   - closesMemory: true after `beginCompletion`. False in a background snapshot, whose RAM
    ///     section has no end: it follows the last `endIteration`.
    func finish(
        deviceSections: [UInt8],
        description: [UInt8]?,
        closesMemory: Bool
    ) throws(StreamError)

    /// Ends what works beside the caller: threads, further channels.
    ///
    /// Comes last, whether the stream was finished or not.
    func end()
}

extension GuestWriter {
    /// Closes the RAM section after `beginCompletion`, and finishes.
    public func finish(deviceSections: [UInt8], description: [UInt8]?) throws(StreamError) {
        try finish(
            deviceSections: deviceSections,
            description: description,
            closesMemory: true
        )
    }

    /// Opens one iteration of the RAM section.
    public func beginIteration() throws(StreamError) {
        try frame?.beginPart(isLast: false)
    }

    /// Closes the iteration and hands everything to the channel.
    public func endIteration() throws(StreamError) {
        try frame?.endPart()
        try output.flush()
    }

    /// None where every send is a copy.
    public var zeroCopyFallbackCount: UInt64 { 0 }

    /// Nothing to end where the caller does all the work.
    public func end() {}

    /// Nothing to do where pages reach the destination in the order in which they were sent.
    public func endPass() throws(StreamError) {}

    /// None where all pages go through `output`.
    public var pageByteCount: UInt64 { 0 }

    /// Opens the last iteration; the guest is stopped.
    ///
    /// - Parameter announced: whether SWITCHOVER_START is sent: QEMU before 10.0 fails on it.
    public func beginCompletion(announced: Bool) throws(StreamError) {
        try frame?.beginPart(isLast: true, announced: announced)
    }
}
