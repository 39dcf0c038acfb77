internal import BerthSystem
internal import Glibc

// Access by offset, for regular files and block devices.

extension Channel {
    /// Reads at an offset; the position for reading in order stays where it is.
    ///
    /// - Parameters:
    ///   - offset: bytes from the file's beginning.
    ///   - buffer: filled unless the file ends.
    /// - Returns: bytes read, less than asked for only at the end of the file.
    /// - Throws: `TransportError`.
    @available(*, noasync, message: "blocks its thread")
    public func read(
        at offset: UInt64,
        into buffer: UnsafeMutableRawBufferPointer
    ) throws(TransportError) -> Int {
        var done = 0
        while done < buffer.count {
            try checkAborted("read from")
            let place = try fileOffset(offset, done, "read from")
            let start = unsafe buffer.baseAddress.map { unsafe $0 + done }
            let byteCount = min(buffer.count - done, Self.storageCallByteLimit)
            let count = try check("read from", "pread") {
                unsafe pread(raw, start, byteCount, place)
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    /// Writes all bytes of a buffer at an offset.
    ///
    /// Bytes between the file's old end and `offset` read as zeros and take no space.
    ///
    /// - Throws: `TransportError`; how much was written before is then unknown.
    @available(*, noasync, message: "blocks its thread")
    public func write(
        at offset: UInt64,
        _ buffer: UnsafeRawBufferPointer
    ) throws(TransportError) {
        var done = 0
        while done < buffer.count {
            try checkAborted("write to")
            let place = try fileOffset(offset, done, "write to")
            let start = unsafe buffer.baseAddress.map { unsafe $0 + done }
            let byteCount = min(buffer.count - done, storageWriteByteLimit)
            let count = try check("write to", "pwrite") {
                unsafe pwrite(raw, start, byteCount, place)
            }
            guard count > 0 else {
                throw TransportError(
                    "write to",
                    name,
                    cause: SystemCall.failure("pwrite", name, ENOSPC)
                )
            }
            done += count
        }
    }

    /// Bytes in the regular file or on the block device now; `nil` for anything else.
    public var byteCount: UInt64? {
        guard medium == .storage else { return nil }
        return try? FileStatus(of: raw).byteCount
    }

    /// Where the next read or write in order takes place; `nil` if there is no such thing.
    public var position: UInt64? {
        guard medium == .storage else { return nil }
        return UInt64(exactly: lseek(raw, 0, CInt(SEEK_CUR)))
    }

    /// Moves the position for reading and writing in order.
    ///
    /// - Throws: `TransportError`, also if the channel isn't seekable.
    public func seek(to offset: UInt64) throws(TransportError) {
        let place = try fileOffset(offset, 0, "seek in")
        // A file grows, a device doesn't; the kernel would only call the offset invalid.
        if objectKind == .blockDevice, let byteCount, offset > byteCount {
            throw TransportError(
                "seek in",
                name,
                reason: "the device has \(byteCount) bytes, and offset \(offset) is needed",
                hint: "take a larger device, or a file"
            )
        }
        _ = try check("seek in", "lseek") { lseek(raw, place, CInt(SEEK_SET)) }
    }

    /// Sets a regular file's length: what is beyond goes, what is added reads as zeros.
    ///
    /// - Throws: `TransportError`, also for anything that isn't a regular file.
    public func resize(to byteCount: UInt64) throws(TransportError) {
        let length = try fileOffset(byteCount, 0, "resize")
        _ = try check("resize", "ftruncate") { Int(ftruncate(raw, length)) }
    }

    /// Waits until what was written lies on the disk (fdatasync); nothing to do but for storage.
    ///
    /// - Throws: `TransportError`; data may then be lost even if every write succeeded.
    @available(*, noasync, message: "blocks its thread")
    public func synchronize() throws(TransportError) {
        guard medium == .storage else { return }
        _ = try check("write to", "fdatasync") { Int(fdatasync(raw)) }
    }

    private func fileOffset(
        _ offset: UInt64,
        _ done: Int,
        _ operation: StaticString
    ) throws(TransportError) -> off_t {
        let (sum, overflow) = offset.addingReportingOverflow(UInt64(done))
        guard !overflow, let place = off_t(exactly: sum) else {
            throw TransportError(
                operation.description,
                name,
                cause: SystemCall.failure("lseek", name, EFBIG)
            )
        }
        return place
    }

    @inline(__always)
    private func check(
        _ operation: StaticString,
        _ call: StaticString,
        _ body: () -> Int
    ) throws(TransportError) -> Int {
        let (value, code) = SystemCall.uninterrupted(body)
        guard value == -1 else { return value }
        throw TransportError(
            operation.description,
            name,
            cause: SystemCall.failure(call, name, code)
        )
    }
}
