internal import BerthSystem
public import Glibc

extension Channel {
    /// Writes all bytes of several buffers at an offset, one behind the other.
    ///
    /// The corresponding C function is `pwritev`.
    ///
    /// - Parameters:
    ///   - vectors: any number; they are changed where a call writes a part of them.
    ///   - offset: bytes from the file's beginning.
    /// - Throws: `TransportError`; how much was written before is then unknown.
    @available(*, noasync, message: "blocks its thread")
    public func writeVector(
        _ vectors: UnsafeMutableBufferPointer<iovec>,
        at offset: UInt64
    ) throws(TransportError) {
        var rest = unsafe vectors[...]
        var place = offset
        while let first = unsafe rest.first {
            if unsafe first.iov_len == 0 {
                unsafe rest = unsafe rest.dropFirst()
                continue
            }
            try checkAborted("write to")
            guard let start = off_t(exactly: place) else {
                throw TransportError(
                    "write to",
                    name,
                    cause: SystemCall.failure("pwritev", name, EFBIG)
                )
            }
            let batch = unsafe VectorBatch(
                UnsafeMutableBufferPointer(rebasing: rest),
                byteLimit: storageWriteByteLimit
            )
            let (count, code) = SystemCall.uninterrupted {
                unsafe batch.call { first, count in unsafe pwritev(raw, first, CInt(count), start) }
            }
            guard count > 0 else {
                let cause = SystemCall.failure("pwritev", name, count == 0 ? ENOSPC : code)
                throw TransportError("write to", name, cause: cause)
            }
            place += UInt64(count)
            unsafe rest.removeFirst(byteCount: count)
        }
    }
}

extension Slice where Base == UnsafeMutableBufferPointer<iovec> {
    /// Drops the first bytes, shortening the element that they end in.
    fileprivate mutating func removeFirst(byteCount: Int) {
        var left = byteCount
        while left > 0, let length = unsafe first?.iov_len {
            guard left < length else {
                left -= length
                unsafe self = dropFirst()
                continue
            }
            unsafe self[startIndex].iov_base += left
            unsafe self[startIndex].iov_len -= left
            left = 0
        }
    }
}
