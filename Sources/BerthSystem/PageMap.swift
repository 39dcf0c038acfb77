internal import CBerthLinux
internal import Glibc

/// What the kernel knows about the pages of a process.
///
/// Based on the PAGEMAP_SCAN of Linux 6.7; see the kernel's admin-guide/mm/pagemap.
public final class PageMap: Sendable {
    /// A range of addresses, whole pages.
    public struct Region: Sendable, Equatable {
        /// The first byte.
        public let start: UInt64
        /// One behind the last byte.
        public let end: UInt64
    }

    /// What is asked of a page.
    public enum Question: Sendable {
        /// It was written since it was last protected; it is protected again in the same step.
        ///
        /// For memory that is registered with an asynchronous `Userfaultfd`.
        case writtenSinceLast
        /// It is backed by memory or swap: it may have content.
        case populated
        /// It is in memory right now.
        ///
        /// Unlike `populated` it is never said of a page of a file that was only protected.
        case present
    }

    private static let regionCapacity = 512

    private let descriptor: OwnedDescriptor
    private let name: String

    /// Opens the page map of a process.
    ///
    /// - Parameter process: nil is this one; another needs the right to trace it (ptrace(2)).
    /// - Throws: `SystemCallError` for `open` (`EACCES`) with the path.
    public init(process: Int32? = nil) throws(SystemCallError) {
        name = "/proc/\(process.map(String.init) ?? "self")/pagemap"
        descriptor = try OwnedDescriptor.open(name, O_RDONLY)
    }

    /// Finds the pages of a range of addresses that answer `question` with yes.
    ///
    /// - Parameters:
    ///   - start: first byte, the start of a page.
    ///   - byteCount: whole pages.
    ///   - visit: is given the regions in order.
    /// - Throws: `SystemCallError` for `ioctl`: `ENOTTY` from a kernel that is too old, `EPERM` for
    ///   memory that isn't registered, `ESRCH` for a process that has ended.
    public func scan(
        _ question: Question,
        from start: UInt,
        byteCount: Int,
        _ visit: (Region) -> Void
    ) throws(SystemCallError) {
        let end = UInt64(start) + UInt64(byteCount)
        let categories =
            switch question {
            case .writtenSinceLast: berth_PAGE_IS_WRITTEN
            case .populated: berth_PAGE_IS_PRESENT | berth_PAGE_IS_SWAPPED
            case .present: berth_PAGE_IS_PRESENT
            }
        let rearms = question == .writtenSinceLast ? CInt(1) : 0
        let ranges = UnsafeMutableBufferPointer<berth_page_range>.allocate(
            capacity: Self.regionCapacity
        )
        defer { unsafe ranges.deallocate() }
        var position = UInt64(start)
        while position < end {
            var walked: UInt64 = 0
            let count = try SystemCall.check("scan", name) {
                unsafe berth_pagemap_scan(
                    descriptor.raw,
                    position,
                    end,
                    categories,
                    rearms,
                    ranges.baseAddress,
                    ranges.count,
                    &walked
                )
            }
            for index in 0..<count {
                unsafe visit(Region(start: ranges[index].start, end: ranges[index].end))
            }
            guard walked > position else { return }
            position = walked
        }
    }
}
