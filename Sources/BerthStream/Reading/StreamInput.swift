public import BerthTransport
public import BerthWire
import Glibc

/// Buffered, bounded reading of a stream from a channel.
///
/// Owned by one thread.
///
/// Reads are large; fields are decoded where they lie in the buffer. The buffer grows only on
/// demand of a caller that knows a limit.
@safe
public final class StreamInput {
    /// The channel that gives the bytes.
    public let channel: Channel
    /// Offset in the stream (in the file, for a file) of the next unread byte.
    public private(set) var position: UInt64

    /// 2 MiB: 511 page records a read, past which reading in larger parts gains nothing.
    static let readByteCount = 2 << 20

    /// 64 KiB: all of an image's stream before its pages, which are elsewhere.
    private static let firstReadByteCount = 64 << 10
    /// The most to read next: twice as much each time.
    private var nextReadByteCount = StreamInput.firstReadByteCount

    private var storage: UnsafeMutableRawBufferPointer
    private var head = 0
    private var tail = 0

    /// Where the input is taken to end, though the channel has more.
    private let end: UInt64?

    /// Makes an input whose first byte has the offset `position`.
    ///
    /// - Parameter end: the offset behind the last byte, if that is known; see `Seal.streamEnd`.
    public init(_ channel: Channel, position: UInt64 = 0, end: UInt64? = nil) {
        self.channel = channel
        self.position = position
        self.end = end
        unsafe storage = Self.room()
    }

    /// Makes an input whose first bytes were read from the channel already.
    ///
    /// - Parameter first: at most a page.
    init(_ channel: Channel, first: [UInt8]) {
        self.channel = channel
        position = 0
        end = nil
        unsafe storage = Self.room()
        unsafe storage.copyBytes(from: first)
        tail = first.count
    }

    deinit {
        unsafe free(storage.baseAddress)
    }

    /// Number of bytes that can be looked at without reading.
    public var available: Int { tail - head }

    /// The unread bytes.
    ///
    /// Valid until the next call that reads or consumes.
    public var unread: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(rebasing: storage[head..<tail])
    }

    /// Skips bytes that were looked at.
    @inline(__always)
    public func consume(_ byteCount: Int) {
        head += byteCount
        position += UInt64(byteCount)
    }

    /// Reads until at least `byteCount` bytes are available.
    ///
    /// - Parameter what: name of the field that is wanted, for the error.
    /// - Throws: `.truncated` at the end of the stream, or the channel's error.
    public func require(_ byteCount: Int, _ what: String) throws(StreamError) {
        guard try fetch(byteCount) else {
            throw StreamError(
                .truncated,
                "the stream ends inside \(what), \(byteCount - available) bytes are missing",
                at: position + UInt64(available)
            )
        }
    }

    /// Reads until at least `byteCount` bytes are available.
    ///
    /// - Returns: false if the stream ended before.
    public func fetch(_ byteCount: Int) throws(StreamError) -> Bool {
        while available < byteCount {
            try makeRoom(for: byteCount)
            let limit = min(max(nextReadByteCount, byteCount - available), byteCountToEnd)
            guard limit > 0 else { return false }
            let stop = unsafe min(storage.count, tail + limit)
            let space = unsafe UnsafeMutableRawBufferPointer(rebasing: storage[tail..<stop])
            nextReadByteCount = min(nextReadByteCount * 2, Self.readByteCount)
            let count: Int
            do {
                count = unsafe try channel.read(into: space)
            } catch {
                throw StreamError(error)
            }
            guard count > 0 else { return false }
            tail += count
        }
        return true
    }

    /// Decodes one value from the unread bytes, reading more as long as the codec asks for it.
    public func decode<Value>(
        _ what: String,
        _ body: (inout WireCursor, Span<UInt8>) throws(WireError) -> Value
    ) throws(StreamError) -> Value {
        let (value, byteCount) = try peek(what, body)
        consume(byteCount)
        return value
    }

    /// Decodes one value and leaves its bytes unread.
    ///
    /// - Returns: the value and the number of its bytes.
    public func peek<Value>(
        _ what: String,
        _ body: (inout WireCursor, Span<UInt8>) throws(WireError) -> Value
    ) throws(StreamError) -> (value: Value, byteCount: Int) {
        while true {
            var cursor = WireCursor(base: position)
            let needed: Int
            do {
                let bytes = unsafe unread.bindMemory(to: UInt8.self)
                let value = try body(&cursor, unsafe bytes.span)
                return (value, cursor.offset)
            } catch {
                guard case .truncated(_, _, let total) = error else {
                    throw StreamError(error)
                }
                needed = total
            }
            try require(max(needed, available + 1), what)
        }
    }

    /// Decodes one value if all of it is among the unread bytes; never reads.
    ///
    /// - Returns: nil if bytes are missing; what is there of the value stays unread.
    public func decodeAvailable<Value>(
        _ body: (inout WireCursor, Span<UInt8>) throws(WireError) -> Value
    ) throws(StreamError) -> Value? {
        var cursor = WireCursor(base: position)
        do {
            let bytes = unsafe unread.bindMemory(to: UInt8.self)
            let value = try body(&cursor, unsafe bytes.span)
            consume(cursor.offset)
            return value
        } catch {
            if case .truncated = error { return nil }
            throw StreamError(error)
        }
    }

    /// Goes on at another offset of a seekable channel.
    public func seek(to offset: UInt64) throws(StreamError) {
        if offset >= position, offset - position <= UInt64(available) {
            consume(Int(offset - position))
            return
        }
        do {
            try channel.seek(to: offset)
        } catch {
            throw StreamError(error)
        }
        head = 0
        tail = 0
        position = offset
    }

    /// Bytes that may still be read.
    private var byteCountToEnd: Int {
        guard let end else { return .max }
        let read = position + UInt64(available)
        return read < end ? Int(clamping: end - read) : 0
    }

    private func makeRoom(for byteCount: Int) throws(StreamError) {
        // What is left is less than was asked for, so moving it costs less than a short read.
        if head > 0 {
            if let base = unsafe storage.baseAddress {
                unsafe memmove(base, base + head, available)
            }
            tail -= head
            head = 0
        }
        guard unsafe byteCount > storage.count else { return }
        // Grown where it lies: a copy would be there twice while it is made.
        let larger = unsafe max(byteCount, storage.count * 2)
        guard let grown = unsafe realloc(storage.baseAddress, larger) else {
            throw StreamError(
                .limitExceeded,
                "there is no memory for \(larger) bytes that belong together",
                at: position
            )
        }
        unsafe storage = UnsafeMutableRawBufferPointer(start: grown, count: larger)
    }

    /// Room for the first bytes, of the allocator that `realloc` belongs to.
    private static func room() -> UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(
            start: malloc(readByteCount),
            count: readByteCount
        )
    }
}
