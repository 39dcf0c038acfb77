import BerthMemory
import BerthSystem
import BerthTransport
public import BerthWire

/// Writes a guest with another writer, sums its pages up on the way, and puts a seal behind the
/// stream.
///
/// Function: the digest of a page is of the bytes that were handed on last. A page that a running
/// guest changes in between is sent again, as without digests.
public final class SealingWriter: GuestWriter {
    /// Writes the stream.
    public let inner: any GuestWriter
    private let algorithm: IntegrityAlgorithm
    private var digests: PageDigests?
    private var configuration = ConfigurationSection(machineName: "")
    private var start: UInt64 = 0
    /// As it was written: a stream may get an empty one for a guest that came without.
    private var description: [UInt8]?

    /// Makes a writer; nothing is written before `begin`.
    ///
    /// - Parameter inner: a writer to a regular file, positioned where the stream begins.
    public init(_ inner: any GuestWriter, _ algorithm: IntegrityAlgorithm) {
        self.inner = inner
        self.algorithm = algorithm
    }

    /// See `GuestWriter`.
    public var output: StreamOutput { inner.output }
    /// See `GuestWriter`.
    public var frame: StreamFrame? { inner.frame }
    /// See `GuestWriter`.
    public var pageByteCount: UInt64 { inner.pageByteCount }
    /// See `GuestWriter`.
    public var zeroCopyFallbackCount: UInt64 { inner.zeroCopyFallbackCount }

    /// Begins the stream; a file that can't be sealed at the end is refused now.
    public func begin(
        _ plan: StreamPlan,
        blocks: [StreamBlock],
        earlySections: [UInt8]
    ) throws(StreamError) {
        guard output.channel.objectKind == .regularFile else {
            throw StreamError(
                .unsupported,
                "cannot keep digests in '\(output.channel.name)', which isn't a regular file",
                hint: "set x-integrity to none, or save to a regular file"
            )
        }
        start = output.position
        configuration = plan.configuration
        // As the writer does.
        let mapped = "mapped-ram"
        if inner is MappedWriter, !configuration.capabilities.contains(mapped) {
            configuration.capabilities.append(mapped)
        }
        digests = try PageDigests(algorithm, blocks: blocks)
        try inner.begin(plan, blocks: blocks, earlySections: earlySections)
    }

    /// See `GuestWriter`.
    public func beginIteration() throws(StreamError) { try inner.beginIteration() }
    /// See `GuestWriter`.
    public func endIteration() throws(StreamError) { try inner.endIteration() }
    /// See `GuestWriter`.
    public func endPass() throws(StreamError) { try inner.endPass() }

    /// See `GuestWriter`.
    public func finish(
        deviceSections: [UInt8],
        description: [UInt8]?,
        closesMemory: Bool
    ) throws(StreamError) {
        self.description = description
        try inner.finish(
            deviceSections: deviceSections,
            description: description,
            closesMemory: closesMemory
        )
    }

    /// Puts the seal behind the stream, which `finish` has ended.
    ///
    /// - Parameter deviceState: the sections as the stream has them.
    @available(*, noasync, message: "blocks its thread")
    public func seal(_ deviceState: DeviceState) throws(StreamError) {
        guard let digests else { return }
        var deviceState = deviceState
        deviceState.description = description
        if let mapped = inner as? MappedWriter {
            mapped.noteMaps(in: digests)
        }
        try output.channel.writeSeal(
            of: digests,
            configuration: configuration,
            deviceState: deviceState,
            stream: start..<output.position
        )
    }

    /// See `GuestWriter`.
    public func end() { inner.end() }

    /// Sums the run up, and hands it on.
    public func write(_ run: DataRun) throws(StreamError) {
        digests?.note(run)
        try inner.write(run)
    }

    /// Notes zero pages, and hands them on.
    public func zero(block: Int, offset: Int, byteCount: Int) throws(StreamError) {
        digests?.noteZero(block: block, offset: offset, byteCount: byteCount)
        try inner.zero(block: block, offset: offset, byteCount: byteCount)
    }

    /// Refuses: what the page becomes isn't known here.
    public func apply(_ delta: PageDelta) throws(StreamError) {
        throw StreamError(
            .unsupported,
            "a page that comes as a difference can't be summed up on the way",
            at: delta.streamOffset,
            hint: "write the image without digests, then use 'berth seal'"
        )
    }

    /// See `PageSink`.
    public func settle() throws(StreamError) { try inner.settle() }
}
