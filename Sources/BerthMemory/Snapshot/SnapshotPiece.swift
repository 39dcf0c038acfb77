/// A part of a block's memory as of the instant of a `MemorySnapshot`.
@safe
public struct SnapshotPiece: Sendable {
    /// Which block, as an index into those that the snapshot was made of.
    public let block: Int
    /// Where it begins in the block, in bytes; whole pages.
    public let offset: Int
    /// Its length in bytes, whole pages; a piece of zeros may be of any length, others have at most
    /// `MemorySnapshot.granuleByteCount`.
    public let byteCount: Int
    /// Its content, until `recycle`; nil if all of it is zero.
    public var bytes: UnsafeMutableRawBufferPointer? {
        unsafe address.map {
            unsafe UnsafeMutableRawBufferPointer(start: $0, count: byteCount)
        }
    }

    // SAFETY: belongs to whoever has the piece; nobody else touches the bytes until it is recycled.
    nonisolated(unsafe) let address: UnsafeMutableRawPointer?
    /// Whether the bytes are one of the snapshot's own buffers.
    let isPooled: Bool
}

/// What a `MemorySnapshot` cost its writers.
public struct SnapshotCounters: Sendable, Equatable {
    /// Writes that met protection before the instant; each lets one page go.
    public var faultsWhilePreparing = 0
    /// Pages that were protected while writers were paused, in the last step before the instant.
    public var pagesSealed = 0
    /// Writes that met protection after the instant.
    public var faults = 0
    /// Of those, how many had memory copied aside at once.
    public var copiesAside = 0
    /// Of those, how many had to wait for the saver, because all buffers were full.
    public var waitsForSaver = 0

    /// Nothing happened yet.
    public init() {}
}
