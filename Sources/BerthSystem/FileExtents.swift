internal import CBerthLinux

/// Where a part of a file lies on its device, as far as the file system tells.
public struct FileExtents: Sendable, Equatable {
    /// Bytes that lie together on the device.
    struct Extent: Equatable, Sendable {
        /// Bytes of the part, counted from its beginning.
        var bytes: Range<UInt64>
        /// Where the first of them is on the device.
        var place: UInt64
    }

    /// The number of the device; places of two devices have nothing to do with each other.
    let device: UInt64
    /// In order, with gaps where there is a hole or no certain place.
    private(set) var extents: [Extent] = []

    /// The most that are asked for: 2 MiB of them, for a file in very small pieces.
    private static let limit = 1 << 16

    /// Flags of an extent whose bytes aren't plainly on the device: unknown place, not written yet,
    /// compressed, encrypted, not aligned, inside of metadata, or zero until it is written.
    private static let uncertain: UInt32 = 0xF8E

    init(device: UInt64, extents: [Extent]) {
        self.device = device
        self.extents = extents
    }

    /// Asks the file system; finds nothing where it can't tell.
    ///
    /// - Parameters:
    ///   - raw: an open file.
    ///   - part: bytes of the file.
    ///   - isCertain: whether what was written lately is on the disk first; else a file can seem to
    ///     have blocks that it is about to leave.
    @available(*, noasync, message: "blocks its thread")
    public init(of raw: CInt, _ part: Range<UInt64>, isCertain: Bool) {
        device = (try? FileStatus(of: raw))?.device ?? 0
        var found = [berth_extent](repeating: berth_extent(), count: 64)
        var offset = part.lowerBound
        while offset < part.upperBound, extents.count < Self.limit {
            let count = unsafe berth_extents(
                raw,
                offset,
                part.upperBound - offset,
                isCertain ? 1 : 0,
                &found,
                found.count
            )
            guard count > 0 else { return }
            for extent in found.prefix(count) {
                let end = extent.offset.addingReportingOverflow(extent.count)
                // Something else than a step ahead would be asked for without end.
                guard !end.overflow, end.partialValue > offset else { return }
                offset = end.partialValue
                let bytes = (extent.offset..<end.partialValue).clamped(to: part)
                if extent.flags & Self.uncertain == 0, !bytes.isEmpty {
                    extents.append(
                        Extent(
                            bytes: bytes.lowerBound - part.lowerBound..<bytes.upperBound
                                - part.lowerBound,
                            place: extent.place &+ (bytes.lowerBound - extent.offset)
                        )
                    )
                }
            }
        }
    }

    /// Finds the bytes that two parts have at the same place of the same device.
    public static func visitCommon(
        _ one: FileExtents,
        _ other: FileExtents,
        _ body: (Range<UInt64>) -> Void
    ) {
        guard one.device == other.device else { return }
        var (index, otherIndex) = (0, 0)
        while index < one.extents.count, otherIndex < other.extents.count {
            let (a, b) = (one.extents[index], other.extents[otherIndex])
            let common = a.bytes.clamped(to: b.bytes)
            if !common.isEmpty,
                a.place &+ (common.lowerBound - a.bytes.lowerBound)
                    == b.place &+ (common.lowerBound - b.bytes.lowerBound)
            {
                body(common)
            }
            if a.bytes.upperBound <= b.bytes.upperBound { index += 1 } else { otherIndex += 1 }
        }
    }
}
