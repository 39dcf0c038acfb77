import BerthMemory
import BerthSystem

/// Pages as the destination has them: what differences are made against.
///
/// Every page has one place that it shares with others. A page that was sent in this round or the
/// one before keeps its place, so that two pages that change all the time don't take turns.
///
/// Memory is set aside once, and touched as pages come.
@safe
final class XBZRLECache {
    /// Pages that fit, a power of two.
    let pageCount: Int

    private struct Place {
        /// The page's identity; 0 if the place is free.
        var key: UInt64
        /// The round in which the page was asked for last.
        var round: UInt64
    }

    private let memory: MemoryMapping
    private let places: UnsafeMutableBufferPointer<Place>

    /// Rounds for which a page keeps its place against another.
    private static let protectedRoundCount: UInt64 = 2
    /// 64 TiB, as much memory as a stream can have.
    private static let largestByteCount: UInt64 = 1 << 46

    /// Makes an empty cache.
    ///
    /// - Parameter byteCount: bytes of pages, rounded down to a power of two, at least one page.
    /// - Throws: `.limitExceeded` if the memory can't be had.
    init(byteCount: UInt64) throws(StreamError) {
        pageCount = Self.pageCount(forByteCount: byteCount)
        let placesOffset = pageCount * targetPageByteCount
        do throws(SystemCallError) {
            memory = try .anonymous(
                byteCount: placesOffset + pageCount * MemoryLayout<Place>.stride
            )
        } catch {
            throw StreamError(
                .limitExceeded,
                "no memory for \(byteCount) bytes of pages to make differences against: \(error)",
                hint: "lower the parameter xbzrle-cache-size, or turn the capability xbzrle off"
            )
        }
        // Fresh memory is zero, and so is a free place.
        unsafe places = UnsafeMutableBufferPointer(
            start: (memory.base + placesOffset).bindMemory(to: Place.self, capacity: pageCount),
            count: pageCount
        )
    }

    /// Pages that fit a cache of so many bytes.
    static func pageCount(forByteCount byteCount: UInt64) -> Int {
        let pages = max(1, min(byteCount, largestByteCount) / UInt64(targetPageByteCount))
        return 1 << (UInt64.bitWidth - 1 - pages.leadingZeroBitCount)
    }

    /// The page as the destination has it, nil if that isn't known.
    ///
    /// A caller that sends the page afterwards puts what it sends into this memory.
    func content(block: Int, page: Int, round: UInt64) -> UnsafeMutableRawBufferPointer? {
        let place = place(block, page)
        guard unsafe places[place].key == key(block, page) else { return nil }
        unsafe places[place].round = round
        return unsafe content(at: place)
    }

    /// Gives a page that isn't known its place, whose content the caller replaces by what it sends.
    ///
    /// - Returns: nil if another page keeps the place.
    func claim(block: Int, page: Int, round: UInt64) -> UnsafeMutableRawBufferPointer? {
        let place = place(block, page)
        let present = unsafe places[place]
        guard present.key == 0 || present.round + Self.protectedRoundCount <= round else {
            return nil
        }
        unsafe places[place] = Place(key: key(block, page), round: round)
        return unsafe content(at: place)
    }

    private func content(at place: Int) -> UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(
            start: memory.base + place * targetPageByteCount,
            count: targetPageByteCount
        )
    }

    @inline(__always)
    private func key(_ block: Int, _ page: Int) -> UInt64 {
        // Never 0; a block has far fewer than 2^40 pages.
        UInt64(truncatingIfNeeded: block &+ 1) << 40 | UInt64(truncatingIfNeeded: page)
    }

    @inline(__always)
    private func place(_ block: Int, _ page: Int) -> Int {
        // Neighbours never meet, and the first pages of blocks rarely do.
        let start = UInt64(truncatingIfNeeded: block) &* 0x9e37_79b9_7f4a_7c15 >> 20
        return (page &+ Int(truncatingIfNeeded: start)) & (pageCount - 1)
    }
}
