/// Writes a guest as a stream: the steps of a save, in the order of these members.
///
/// Between `begin` and `finish` pages come through `PageSink`, inside an iteration. A stream that
/// was not finished never looks complete to a reader.
public protocol GuestWriter: PageSink {
    /// The output, for its counters and for flushing at the end of a batch.
    var output: StreamOutput { get }

    /// What stands around the pages; nil before `begin`.
    var frame: StreamFrame? { get }

    /// Writes the header, the configuration and the list of blocks.
    ///
    /// - Parameter earlySections: whole sections that come before the first page (virtio-mem).
    func begin(
        _ plan: StreamPlan,
        blocks: [StreamBlock],
        earlySections: [UInt8]
    ) throws(StreamError)

    /// Closes the RAM section and writes device state, end mark and description.
    ///
    /// - Parameters:
    ///   - deviceSections: whole sections, with headers and footers.
    ///   - description: the JSON text of the vmdesc; may be empty.
    func finish(deviceSections: [UInt8], description: [UInt8]) throws(StreamError)
}

extension GuestWriter {
    /// Opens one iteration of the RAM section.
    public func beginIteration() throws(StreamError) {
        try frame?.beginPart(isLast: false)
    }

    /// Closes the iteration and hands everything to the channel.
    public func endIteration() throws(StreamError) {
        try frame?.endPart()
        try output.flush()
    }

    /// Opens the last iteration; the guest is stopped.
    ///
    /// - Parameter announced: whether SWITCHOVER_START is sent: QEMU before 10.0 fails on it.
    public func beginCompletion(announced: Bool) throws(StreamError) {
        try frame?.beginPart(isLast: true, announced: announced)
    }
}
