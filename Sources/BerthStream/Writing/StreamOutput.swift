public import BerthTransport
import Glibc

/// Gathers the bytes of a stream and writes them in large vectored calls.
///
/// Small fields are copied into an arena, pages are referred to where they lie; both leave
/// together when the vector or the arena is full. 1024 vector elements (a header and a page each)
/// a call is what measures best on files and sockets alike (limits in docs/architecture.md).
/// Owned by one thread; nothing is allocated after `init`.
@safe
public final class StreamOutput {
    /// The channel that takes the bytes.
    public let channel: Channel
    /// Bytes put so far, counted from the position given to `init` or to `seek`.
    public private(set) var position: UInt64
    /// Bytes handed to the channel so far, over all seeks.
    public private(set) var transferredByteCount: UInt64 = 0

    /// The kernel's limit for one writev.
    private static let vectorCapacity = 1024
    /// Room for a header of every page in a vector, and for the small sections around them.
    private static let arenaCapacity = 256 * 1024

    private let vector: UnsafeMutableBufferPointer<iovec>
    private var vectorCount = 0
    private let arena: UnsafeMutableRawBufferPointer
    private var arenaCount = 0
    private var pendingByteCount = 0

    /// Makes an output that continues at `position` of the stream.
    public init(_ channel: Channel, position: UInt64 = 0) {
        self.channel = channel
        self.position = position
        unsafe vector = .allocate(capacity: Self.vectorCapacity)
        unsafe arena = .allocate(byteCount: Self.arenaCapacity, alignment: 16)
    }

    deinit {
        unsafe vector.deallocate()
        unsafe arena.deallocate()
    }

    /// Appends bytes by copying them.
    /// - Throws: the channel's error if a flush was due.
    public func put(_ bytes: [UInt8]) throws(StreamError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let room = try reserve(min(rest.count, Self.arenaCapacity / 2))
            let part = rest.prefix(room)
            unsafe part.withUnsafeBytes {
                unsafe UnsafeMutableRawBufferPointer(rebasing: arena[arenaCount...])
                    .copyMemory(from: $0)
            }
            commit(part.count)
            rest = rest.dropFirst(room)
        }
    }

    /// Appends one page record: the word, then the page that lies at `page`.
    ///
    /// The page is read when the vector leaves, at the latest at the next `flush`.
    public func putPage(
        word: UInt64,
        page: UnsafeMutableRawPointer,
        byteCount: Int
    ) throws(StreamError) {
        try put(word)
        unsafe append(page, byteCount)
    }

    /// Appends bytes by reference, without a word before them; see above.
    public func putPage(_ page: UnsafeMutableRawPointer, byteCount: Int) throws(StreamError) {
        _ = try reserve(0)
        unsafe append(page, byteCount)
    }

    @inline(__always)
    private func append(_ page: UnsafeMutableRawPointer, _ byteCount: Int) {
        unsafe vector[vectorCount] = iovec(iov_base: page, iov_len: byteCount)
        vectorCount += 1
        pendingByteCount += byteCount
        position += UInt64(byteCount)
    }

    /// Appends a big-endian 64-bit word.
    @inline(__always)
    public func put(_ word: UInt64) throws(StreamError) {
        _ = try reserve(8)
        unsafe arena.storeBytes(of: word.bigEndian, toByteOffset: arenaCount, as: UInt64.self)
        commit(8)
    }

    /// Appends one byte.
    @inline(__always)
    public func put(_ byte: UInt8) throws(StreamError) {
        _ = try reserve(1)
        unsafe arena[arenaCount] = byte
        commit(1)
    }

    /// Hands everything to the channel.
    public func flush() throws(StreamError) {
        guard vectorCount > 0 else { return }
        do {
            unsafe try channel.writeVector(
                UnsafeMutableBufferPointer(rebasing: vector[0..<vectorCount])
            )
        } catch {
            throw StreamError(error)
        }
        transferredByteCount += UInt64(pendingByteCount)
        vectorCount = 0
        arenaCount = 0
        pendingByteCount = 0
    }

    /// Goes on at another offset of a seekable channel.
    public func seek(to offset: UInt64) throws(StreamError) {
        try flush()
        do {
            try channel.seek(to: offset)
        } catch {
            throw StreamError(error)
        }
        position = offset
    }

    /// Makes room for `byteCount` bytes in the arena and for two elements in the vector.
    @inline(__always)
    private func reserve(_ byteCount: Int) throws(StreamError) -> Int {
        if arenaCount + byteCount > Self.arenaCapacity || vectorCount + 2 > Self.vectorCapacity {
            try flush()
        }
        return byteCount
    }

    /// Accounts for bytes just stored at the arena's end.
    @inline(__always)
    private func commit(_ byteCount: Int) {
        guard let base = unsafe arena.baseAddress else { return }
        let start = unsafe base + arenaCount
        if vectorCount > 0,
            unsafe vector[vectorCount - 1].iov_base + vector[vectorCount - 1].iov_len == start
        {
            unsafe vector[vectorCount - 1].iov_len += byteCount
        } else {
            unsafe vector[vectorCount] = iovec(iov_base: start, iov_len: byteCount)
            vectorCount += 1
        }
        arenaCount += byteCount
        pendingByteCount += byteCount
        position += UInt64(byteCount)
    }
}
