import BerthMemory
public import BerthTransport
import BerthWire
import Glibc

/// Writes QEMU's sequential stream with pages on channels of their own: capability `multifd`.
///
/// Overview: the main channel carries what a sequential stream has, without the pages. Those go in
/// packets, straight from where they lie, over whichever channel is idle.
///
/// Function: nothing orders one channel against another but sync points. There is one at the end of
/// each pass over memory (or of each section, for old machine types), so that a page that was sent
/// again arrives later than its older content.
///
/// Odd cases: once a channel has failed everything fails, with its error. What is written to
/// `output` directly may fail later, and says less.
///
/// Format: docs/wire/multifd.md.
public final class MultifdWriter: GuestWriter {
    /// The main channel's output.
    public var output: StreamOutput { main.output }

    /// See `GuestWriter`.
    public var frame: StreamFrame? { main.frame }

    private let main: SequentialWriter
    private let options: MultifdSendOptions
    private let connections: [Channel]
    private var sendChannels: [MultifdSendChannel] = []
    private var channels: MultifdSendChannels?
    /// The packet that is being filled: its index, and itself.
    private var current: (index: Int, packet: MultifdPacket)?
    private var isFinished = false

    /// How long a destination whose channel broke gets to say why, over the main one.
    static let patience = Duration.seconds(1)

    /// Makes a writer; nothing is written before `begin`.
    ///
    /// - Parameters:
    ///   - output: the main channel's.
    ///   - channels: 1 to 255 further connections to the same destination, closed by `end`.
    ///   - options: what the destination expects.
    public init(_ output: StreamOutput, channels: [Channel], options: MultifdSendOptions) {
        main = SequentialWriter(output)
        connections = channels
        self.options = options
    }

    /// Bytes that left on the channels.
    public var pageByteCount: UInt64 { sendChannels.reduce(0) { $0 + $1.byteCount } }

    /// How often, at a sync point, a channel had sent nothing since the one before without copying
    /// it, although zero-copy was asked for.
    public var zeroCopyFallbackCount: UInt64 {
        sendChannels.reduce(0) { $0 + $1.zeroCopyFallbackCount }
    }

    /// The error of the channel that failed first; nil as long as all work.
    public var failure: StreamError? { channels?.error }

    /// Says on each channel which it is, then writes header, configuration and list of blocks.
    public func begin(
        _ plan: StreamPlan,
        blocks: [StreamBlock],
        earlySections: [UInt8]
    ) throws(StreamError) {
        precondition((1...255).contains(connections.count), "there are 1 to 255 multifd channels")
        for (id, connection) in connections.enumerated() {
            sendChannels.append(try MultifdSendChannel(connection, id: id, options))
        }
        let channels = try MultifdSendChannels(
            sendChannels,
            main: output.channel,
            blockNames: blocks.map(\.name),
            patience: Self.patience
        )
        self.channels = channels
        try channels.introduce(options.uuid)
        try channels.start()
        try onMain { () throws(StreamError) in
            try main.beginList(plan, blocks: blocks)
            try sync()
            try main.endList(earlySections: earlySections)
            // The destination reads no channel beyond its sync point before it has this.
            try output.flush()
        }
    }

    /// See `GuestWriter`.
    public func endIteration() throws(StreamError) {
        if options.flushesEachSection { try sync() }
        try onMain { () throws(StreamError) in
            try frame?.endPart()
            try output.flush()
        }
    }

    /// Has the destination wait for all that was sent.
    ///
    /// Nothing to do where sections do that: no page comes twice in one.
    public func endPass() throws(StreamError) {
        guard !options.flushesEachSection else { return }
        try sync()
        try onMain { () throws(StreamError) in try output.flush() }
    }

    /// Closes the RAM section after a last sync point, and writes the rest.
    ///
    /// - Throws: `.unsupported` for a RAM section without an end, which has no last sync point.
    public func finish(
        deviceSections: [UInt8],
        description: [UInt8]?,
        closesMemory: Bool
    ) throws(StreamError) {
        guard closesMemory else {
            throw StreamError(.unsupported, "a background snapshot has no multifd channels")
        }
        try sync()
        try onMain { () throws(StreamError) in
            try main.finish(
                deviceSections: deviceSections,
                description: description,
                closesMemory: closesMemory
            )
        }
        isFinished = true
    }

    /// Ends the threads and closes the channels; whoever made a writer calls it in any case.
    ///
    /// What was not finished is given up: channels that block are aborted.
    public func end() {
        channels?.end(isFinished: isFinished)
        for connection in connections {
            connection.closeWithoutWaiting()
        }
    }

    /// Writes to the main channel, whose errors count only if no other channel has failed.
    private func onMain(_ body: () throws(StreamError) -> Void) throws(StreamError) {
        if let failure { throw failure }
        do {
            try body()
        } catch {
            throw failure ?? error
        }
    }

    // MARK: Sync points

    private func sync() throws(StreamError) {
        guard let channels else { return }
        try handOutCurrent()
        try channels.sync()
        if !options.flushesEachSection {
            try output.put(RAMWord(offset: 0, flags: .multifdFlush).rawValue)
        }
    }

    // MARK: Pages

    /// Adds the pages to packets; they are read when those leave, at the latest in `settle`.
    public func write(_ run: DataRun) throws(StreamError) {
        var offset = run.offset
        for index in unsafe 0..<run.pieces.count {
            let piece = unsafe run.pieces[index]
            guard var base = unsafe piece.iov_base else { continue }
            var left = unsafe piece.iov_len.pageCountRoundedUp
            while left > 0 {
                let packet = try packet(for: run.block)
                let count = min(left, packet.room)
                unsafe packet.append(base, offset: offset, pageCount: count)
                if packet.room == 0 { try handOutCurrent() }
                left -= count
                offset += count * targetPageByteCount
                unsafe base += count * targetPageByteCount
            }
        }
    }

    /// Adds the pages to packets, or writes them to the main channel.
    public func zero(block: Int, offset: Int, byteCount: Int) throws(StreamError) {
        guard options.zeroPages == .inPackets else {
            return try onMain { () throws(StreamError) in
                try main.zero(block: block, offset: offset, byteCount: byteCount)
            }
        }
        var offset = offset
        var left = byteCount.pageCountRoundedUp
        while left > 0 {
            let packet = try packet(for: block)
            let count = min(left, packet.room)
            packet.appendZeros(offset: offset, pageCount: count)
            if packet.room == 0 { try handOutCurrent() }
            left -= count
            offset += count * targetPageByteCount
        }
    }

    /// Refuses the difference: it would need the page as it was before on the main channel.
    public func apply(_ delta: PageDelta) throws(StreamError) {
        throw StreamError(
            .unsupported,
            "XBZRLE pages can't be sent with multifd channels",
            hint: "turn one of the capabilities xbzrle and multifd off"
        )
    }

    /// Waits until all pages have left.
    public func settle() throws(StreamError) {
        try handOutCurrent()
        try channels?.settle()
    }

    /// The packet to add pages of a block to, which has room.
    @inline(__always)
    private func packet(for block: Int) throws(StreamError) -> MultifdPacket {
        if let packet = current?.packet {
            if packet.block == block { return packet }
            try handOutCurrent()
        }
        guard let channels else { throw StreamError(.aborted, "the stream hasn't begun") }
        let index = try channels.takeEmpty()
        let packet = channels[index]
        packet.begin(block: block)
        current = (index, packet)
        return packet
    }

    private func handOutCurrent() throws(StreamError) {
        guard let index = current?.index else { return }
        current = nil
        try channels?.handOut(index)
    }
}
