import BerthSystem
import Glibc

/// Why pages of an image can't be memory where they lie: they are to be copied.
public struct ImageObstacle: Error, Sendable, Equatable {
    /// One phrase; lower case, no full stop.
    public let reason: String
}

extension RAMBlock {
    /// What stands against memory like this lying on an image; nil if nothing does.
    public var obstacleToImage: String? {
        if mapping.isHugetlb { return "hugetlb memory can't lie on a file" }
        if mapping.sharing == .shared {
            return "memory that is shared with others can't lie on a file of its own"
        }
        return nil
    }

    /// Whether pages that were never written are those of an image.
    public var liesOnImage: Bool { mapping.overlay != nil }

    /// Makes pages of a file the block's memory, where they lie.
    ///
    /// The time depends on how many gaps there are between the pages, not on how many pages: where
    /// the file has something else than a hole in a gap, fresh zeros are laid over it.
    ///
    /// - Parameters:
    ///   - image: the file.
    ///   - offset: where in it the block's first page is.
    ///   - present: the pages that have content; all others are zero.
    /// - Throws: `ImageObstacle`; the memory is all zero then.
    public func lie(
        on image: MemoryImage,
        from offset: UInt64,
        present: PageBitmap
    ) throws(ImageObstacle) {
        if let obstacleToImage { throw ImageObstacle(reason: obstacleToImage) }
        do throws(ImageObstacle) {
            try Self.explained { () throws(SystemCallError) in
                try mapping.lay(image.overlay, from: offset, over: 0..<byteCount)
            }
            try clearGaps(image, offset, present)
        } catch {
            clear()
            throw error
        }
    }

    /// Makes the gaps between the pages zero.
    private func clearGaps(
        _ image: MemoryImage,
        _ offset: UInt64,
        _ present: PageBitmap
    ) throws(ImageObstacle) {
        var page = 0
        while let gap = present.nextRun(of: false, from: page) {
            page = gap.upperBound
            let bytes = gap.lowerBound * targetPageByteCount..<gap.upperBound * targetPageByteCount
            let place = offset + UInt64(bytes.lowerBound)
            let isHole = try Self.explained { () throws(SystemCallError) in
                try image.isHole(place..<place + UInt64(bytes.count))
            }
            if isHole { continue }
            guard image.takeGap() else {
                throw ImageObstacle(
                    reason: "the image has old content in too many gaps between its pages"
                )
            }
            try Self.explained { () throws(SystemCallError) in
                try mapping.layZeros(over: bytes)
            }
        }
    }

    private static func explained<Value>(
        _ body: () throws(SystemCallError) -> Value
    ) throws(ImageObstacle) -> Value {
        do {
            return try body()
        } catch {
            throw ImageObstacle(reason: "\(error)")
        }
    }
}
