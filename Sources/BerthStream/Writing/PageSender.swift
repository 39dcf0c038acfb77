public import BerthMemory

/// A way to send a guest's dirty pages.
public protocol PageSender {
    /// Sends pages of `block` whose bits are set, clears those bits, and stops after `limit` pages.
    ///
    /// - Parameters:
    ///   - index: the block's index in the stream's list.
    ///   - dirty: the block's bitmap.
    ///   - page: where to go on; moved past the last page sent, to the end if none is left.
    ///   - limit: number of pages after which to return, so that the caller can look around.
    func send(
        _ block: RAMBlock,
        index: Int,
        dirty: inout PageBitmap,
        from page: inout Int,
        limit: Int,
        to sink: any PageSink
    ) throws(StreamError) -> SentPages
}

/// What was done with pages that were to be sent.
public struct SentPages: Sendable, Equatable {
    /// Pages sent as zero.
    public var zeroCount = 0
    /// Pages sent with content.
    public var dataCount = 0
    /// Pages sent as a difference.
    public var deltaCount = 0
    /// Bytes of those differences with all that goes with them but the page's word.
    public var deltaByteCount: UInt64 = 0
    /// Pages for which nothing was sent: the destination has them as they are.
    public var unchangedCount = 0

    /// None.
    public init() {}

    /// Pages that are done.
    public var count: Int {
        zeroCount + dataCount + deltaCount + unchangedCount
    }

    /// Adds what another call did.
    public static func += (left: inout SentPages, right: SentPages) {
        left.zeroCount += right.zeroCount
        left.dataCount += right.dataCount
        left.deltaCount += right.deltaCount
        left.deltaByteCount += right.deltaByteCount
        left.unchangedCount += right.unchangedCount
    }
}
