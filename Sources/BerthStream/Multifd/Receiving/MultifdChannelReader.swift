import BerthMemory
import BerthSystem
import BerthTransport
import BerthWire
import Glibc

/// Reads one multifd channel, on the thread of its own.
///
/// Pages go from the socket straight into the memory that the sink gives; each read also takes what
/// is there of the packet behind. Nothing is allocated for a page.
@safe
final class MultifdChannelReader {
    let id: Int
    let receiver: MultifdReceiver
    private let channel: Channel

    /// Two packet headers: the one that is worked on, and the one behind it.
    private let headers = UnsafeMutableRawBufferPointer.allocate(
        byteCount: 2 * MultifdPacketHeader.byteCount,
        alignment: 64
    )
    private var isSecondHeader = false
    /// Bytes of the header that is worked on, and of the one behind it, that have come.
    private var headerFill = 0
    private var nextHeaderFill = 0
    /// What a read fills: pages, and behind them the next header.
    private let vectors = UnsafeMutableBufferPointer<iovec>.allocate(
        capacity: MultifdPacketHeader.pageLimit + 1
    )
    /// Where in the channel the header that is worked on begins, for messages.
    private var position = UInt64(MultifdInitialPacket.byteCount)
    private var hasUnsynchronizedPages = false
    private var target: MultifdReceiver.Target?
    /// Has this thread run where the pages are.
    var follower = NUMANodes.Follower()

    /// What the packet's pages are for.
    let packet = MultifdPacketPages()
    let compression = ChannelCompression()

    init(_ id: Int, _ channel: Channel, _ receiver: MultifdReceiver) {
        self.id = id
        self.channel = channel
        self.receiver = receiver
    }

    deinit {
        unsafe headers.deallocate()
        unsafe vectors.deallocate()
    }

    /// Reads until the channel ends, fails, or all are ended.
    func run() {
        do throws(StreamError) {
            while let header = try nextHeader() {
                if header.normalCount + header.zeroCount > 0 {
                    guard let target = target ?? receiver.waitForTarget() else { break }
                    self.target = target
                    hasUnsynchronizedPages = true
                    try take(header, target)
                }
                position += UInt64(MultifdPacketHeader.byteCount + header.payloadByteCount)
                isSecondHeader.toggle()
                headerFill = nextHeaderFill
                nextHeaderFill = 0
                if header.flags.contains(.sync) {
                    hasUnsynchronizedPages = false
                    guard receiver.waitForOthers(id) else { break }
                }
            }
            receiver.close(id, hasUnsynchronizedPages: hasUnsynchronizedPages)
        } catch {
            receiver.fail(error.prefixed("multifd channel \(id)"))
        }
    }

    /// Reads the next header.
    ///
    /// Returns nil where the channel ends, or all are ended.
    private func nextHeader() throws(StreamError) -> MultifdPacketHeader? {
        while !receiver.isOver {
            if headerFill >= MultifdPacketHeader.prefixByteCount, let header = try decodeHeader() {
                return header
            }
            let space = unsafe UnsafeMutableRawBufferPointer(
                rebasing: header(isSecond: isSecondHeader)[headerFill...]
            )
            let count: Int
            do {
                count = unsafe try channel.read(into: space)
            } catch {
                throw StreamError(error)
            }
            receiver.count(byteCount: count)
            headerFill += count
            guard count > 0 else {
                guard headerFill == 0 || receiver.isOver else { throw truncated(at: headerFill) }
                return nil
            }
        }
        return nil
    }

    private func decodeHeader() throws(StreamError) -> MultifdPacketHeader? {
        let bytes = unsafe UnsafeMutableRawBufferPointer(rebasing: headerBytes[..<headerFill])
        var cursor = WireCursor(base: position)
        do {
            return try MultifdPacketHeader(
                decoding: &cursor,
                unsafe bytes.bindMemory(to: UInt8.self).span
            )
        } catch {
            if case .truncated = error { return nil }
            guard case .unknownKind("multifd packet", _, _) = error else {
                throw StreamError(error)
            }
            throw StreamError(
                .unsupported,
                error.description,
                hint: "detach the vfio devices, or turn capability multifd off at both ends"
            )
        }
    }

    private func header(isSecond: Bool) -> UnsafeMutableRawBufferPointer {
        let start = isSecond ? MultifdPacketHeader.byteCount : 0
        return unsafe UnsafeMutableRawBufferPointer(
            rebasing: headers[start..<start + MultifdPacketHeader.byteCount]
        )
    }

    /// The header that is worked on.
    var headerBytes: UnsafeMutableRawBufferPointer {
        unsafe header(isSecond: isSecondHeader)
    }

    /// Fills pieces of memory with a payload, and takes what is there of the next header.
    ///
    /// - Parameters:
    ///   - pieces: not changed.
    ///   - byteCount: the sum of their lengths.
    func readPayload(
        into pieces: UnsafeMutableBufferPointer<iovec>,
        byteCount: Int
    ) throws(StreamError) {
        for index in pieces.indices { unsafe vectors[index] = unsafe pieces[index] }
        let next = unsafe header(isSecond: !isSecondHeader)
        unsafe vectors[pieces.count] = unsafe iovec(
            iov_base: next.baseAddress,
            iov_len: next.count
        )
        var first = 0
        var left = byteCount
        while left > 0 {
            let rest = unsafe UnsafeMutableBufferPointer(
                rebasing: vectors[first...pieces.count]
            )
            var count: Int
            do {
                count = unsafe try channel.readVector(rest)
            } catch {
                throw StreamError(error)
            }
            guard count > 0 else {
                throw truncated(at: MultifdPacketHeader.byteCount + byteCount - left)
            }
            receiver.count(byteCount: count)
            left -= count
            while count > 0 {
                let used = unsafe min(count, vectors[first].iov_len)
                unsafe vectors[first].iov_base += used
                unsafe vectors[first].iov_len -= used
                count -= used
                if unsafe vectors[first].iov_len == 0 { first += 1 }
            }
        }
        nextHeaderFill = -left
    }

    private func truncated(at byteCount: Int) -> StreamError {
        StreamError(
            .truncated,
            "the connection was closed inside a packet",
            at: position + UInt64(byteCount),
            hint: "look at the source's own messages"
        )
    }
}
