internal import CBerthLinux
internal import Glibc

// What a file shares with other processes, and with other files.

extension OwnedDescriptor {
    /// Tells others who ask that the file is being read and must stay as it is.
    ///
    /// Any number of open files can hold this lock at once. It goes when the last duplicate of the
    /// descriptor is closed. Based on `F_OFD_SETLK` of fcntl(2).
    ///
    /// - Throws: `SystemCallError` for `lock`: `EAGAIN` while somebody holds `lockForWriting`.
    public func lockForReading(name: String) throws(SystemCallError) {
        try SystemCall.check("lock", name) { berth_lock_file_for_reading(raw) }
    }

    /// Tells others who ask that the file is being written from `offset` on.
    ///
    /// Others may write elsewhere: a device can hold several images. Nobody can hold
    /// `lockForReading` meanwhile.
    ///
    /// - Throws: `SystemCallError` for `lock`: `EAGAIN` while somebody holds `lockForReading`, or
    ///   this one for the same offset.
    public func lockForWriting(from offset: UInt64 = 0, name: String) throws(SystemCallError) {
        let place = Int64(clamping: offset)
        try SystemCall.check("lock", name) { berth_lock_file_for_writing(raw, place) }
    }

    /// Gives a lock back, while the file stays open.
    public static func unlock(_ raw: CInt) {
        _ = berth_unlock_file(raw)
    }

    /// Has one file share blocks of another on the same file system, as if they had been copied.
    ///
    /// What the source's page cache has for them is written to the disk first.
    ///
    /// - Parameters:
    ///   - source: open for reading.
    ///   - range: bytes of the source; whole blocks of the file system.
    ///   - target: open for writing.
    ///   - place: where the first byte goes in the target; the start of a block.
    /// - Throws: `SystemCallError` for `share blocks of`: `EXDEV` for another file system,
    ///   `EOPNOTSUPP` for one that can't, `EINVAL` for what isn't whole blocks.
    @available(*, noasync, message: "blocks its thread")
    public static func shareBlocks(
        of source: CInt,
        _ range: Range<UInt64>,
        with target: CInt,
        at place: UInt64,
        name: String
    ) throws(SystemCallError) {
        try SystemCall.check("share blocks of", name) {
            berth_clone_range(
                target,
                place,
                source,
                range.lowerBound,
                range.upperBound - range.lowerBound
            )
        }
    }

    /// Where the first byte at or after `offset` is that isn't in a hole of the file.
    ///
    /// Where the file system can't tell, that is `offset` itself.
    ///
    /// - Returns: nil if there is none up to the end of the file.
    /// - Throws: `SystemCallError` for `lseek`.
    public static func firstData(
        of raw: CInt,
        from offset: UInt64,
        name: String
    ) throws(SystemCallError) -> UInt64? {
        guard let start = off_t(exactly: offset) else { return nil }
        let (place, code) = SystemCall.uninterrupted { lseek(raw, start, berth_SEEK_DATA) }
        if place >= 0 { return UInt64(place) }
        if code == ENXIO { return nil }
        // A block device has no holes to tell of.
        if code == EINVAL { return offset }
        throw SystemCall.failure("lseek", name, code)
    }

    /// The next bytes of a file that aren't in a hole; the file's position moves.
    ///
    /// Where the file system can't tell, all bytes are.
    ///
    /// - Returns: the first range that ends behind `offset`, from `offset` on; nil if there is none
    ///   up to the end of the file.
    /// - Throws: `SystemCallError` for `lseek`.
    public static func data(
        of raw: CInt,
        from offset: UInt64,
        name: String
    ) throws(SystemCallError) -> Range<UInt64>? {
        guard let first = try firstData(of: raw, from: offset, name: name),
            let place = off_t(exactly: first)
        else { return nil }
        let (end, code) = SystemCall.uninterrupted { lseek(raw, place, berth_SEEK_HOLE) }
        if end == -1, code == EINVAL { return first..<UInt64(off_t.max) }
        guard end != -1 else { throw SystemCall.failure("lseek", name, code) }
        return first..<UInt64(max(end, place))
    }
}
