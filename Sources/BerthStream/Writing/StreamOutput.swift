public import BerthTransport
import Glibc

/// Gathers the bytes of a stream and writes them in large calls.
///
/// For sockets and pipes small fields are copied into an arena and pages are referred to where they
/// lie; both leave together, up to 1024 vector elements a call. For files pages are copied into the
/// arena, too, and leave in calls that end on a multiple of 32 KiB in the file: copying costs less
/// there than a page cache that is filled in odd pieces. Owned by one thread; nothing is allocated
/// after `init`.
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

    /// Files are written in calls that end on a multiple of this.
    private static let fileAlignment: UInt64 = 32 << 10

    /// What writes the channel's file, if that isn't done by the calls themselves.
    let behind: WriteBehind?
    private let copiesPages: Bool
    private let vector: UnsafeMutableBufferPointer<iovec>
    private var vectorCount = 0
    private let arena: UnsafeMutableRawBufferPointer
    private var arenaCount = 0
    private var pendingByteCount = 0

    /// Makes an output that continues at `position` of the stream.
    ///
    /// - Parameter behind: writes the channel's file; `position` is then the place in that.
    public init(_ channel: Channel, position: UInt64 = 0, behind: WriteBehind? = nil) {
        self.channel = channel
        self.position = position
        self.behind = behind
        // With a thread that writes they are copied there.
        copiesPages = channel.isSeekable && behind == nil
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

    /// Appends bytes, at most a page and a few, by copying them: their memory may change at once.
    public func put(copyOf bytes: UnsafeRawBufferPointer) throws(StreamError) {
        let count = bytes.count
        _ = try reserve(count)
        unsafe UnsafeMutableRawBufferPointer(rebasing: arena[arenaCount...])
            .copyMemory(from: bytes)
        commit(count)
    }

    /// Appends a page that lies at `page`.
    ///
    /// It is read when the vector leaves, at the latest at the next `flush` or `settle`.
    public func putPage(_ page: UnsafeMutableRawPointer, byteCount: Int) throws(StreamError) {
        unsafe try append(page, byteCount)
    }

    @inline(__always)
    private func append(
        _ page: UnsafeMutableRawPointer,
        _ byteCount: Int
    ) throws(StreamError) {
        guard !copiesPages else {
            return unsafe try put(copyOf: UnsafeRawBufferPointer(start: page, count: byteCount))
        }
        _ = try reserve(0)
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

    /// Hands everything to the channel, and waits until that has it.
    public func flush() throws(StreamError) {
        try sendPending()
        try behind?.flush()
    }

    private func sendPending() throws(StreamError) {
        try send(pendingByteCount)
        vectorCount = 0
        arenaCount = 0
        pendingByteCount = 0
    }

    /// Lets go of the pages that were put so far: their memory may be used again.
    ///
    /// For a file nothing is to do, as pages were copied.
    public func settle() throws(StreamError) {
        guard !copiesPages else { return }
        try sendPending()
    }

    /// Hands to the channel what must go for the arena and the vector to have room.
    private func makeRoom() throws(StreamError) {
        let tail = Int(position % Self.fileAlignment)
        guard copiesPages, tail < arenaCount else { return try sendPending() }
        // All that is pending lies together in the arena: what ends on a multiple goes.
        let byteCount = arenaCount - tail
        unsafe vector[0].iov_len = byteCount
        try send(byteCount)
        guard let base = unsafe arena.baseAddress else { return }
        unsafe memmove(base, base + byteCount, tail)
        unsafe vector[0] = iovec(iov_base: base, iov_len: tail)
        vectorCount = tail > 0 ? 1 : 0
        arenaCount = tail
        pendingByteCount = tail
    }

    private func send(_ byteCount: Int) throws(StreamError) {
        guard vectorCount > 0 else { return }
        if let behind {
            unsafe try behind.write(
                UnsafeMutableBufferPointer(rebasing: vector[0..<vectorCount]),
                at: position - UInt64(pendingByteCount)
            )
            transferredByteCount += UInt64(byteCount)
            return
        }
        do {
            unsafe try channel.writeVector(
                UnsafeMutableBufferPointer(rebasing: vector[0..<vectorCount])
            )
        } catch {
            throw StreamError(error)
        }
        transferredByteCount += UInt64(byteCount)
    }

    /// Goes on at another offset of a seekable channel.
    public func seek(to offset: UInt64) throws(StreamError) {
        try sendPending()
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
            try makeRoom()
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
