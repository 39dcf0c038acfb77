internal import Glibc

/// The next part of a list of buffers for one call: limited in number and in bytes.
///
/// Where the limit falls inside a buffer, that one is shortened during the call.
@safe
struct VectorBatch {
    private let first: UnsafeMutablePointer<iovec>
    private let count: Int
    private let cutByteCount: Int

    /// Takes as many buffers from the front as one call may have.
    ///
    /// - Parameters:
    ///   - vectors: at least one.
    ///   - byteLimit: at least 1.
    init(_ vectors: UnsafeMutableBufferPointer<iovec>, byteLimit: Int) {
        var count = 0
        var left = byteLimit
        var cut = 0
        while count < min(vectors.count, Channel.vectorLimit), left > 0 {
            let length = unsafe vectors[count].iov_len
            cut = max(0, length - left)
            left -= min(length, left)
            count += 1
        }
        unsafe first = vectors.baseAddress.unsafelyUnwrapped
        self.count = count
        cutByteCount = cut
    }

    /// What is left of a list after a call that has dealt with so many bytes of it.
    ///
    /// Empty buffers at its front are passed over, so that a result of 0 can't go on for ever. A
    /// buffer that was dealt with in part is shortened.
    static func rest(
        of vectors: UnsafeMutableBufferPointer<iovec>,
        after byteCount: Int
    ) -> UnsafeMutableBufferPointer<iovec> {
        var left = byteCount
        var first = 0
        while first < vectors.count, unsafe vectors[first].iov_len <= left {
            unsafe left -= vectors[first].iov_len
            first += 1
        }
        let rest = unsafe UnsafeMutableBufferPointer(rebasing: vectors[first...])
        if left > 0, !rest.isEmpty {
            unsafe rest[0].iov_base += left
            unsafe rest[0].iov_len -= left
        }
        return unsafe rest
    }

    /// Makes the call with the buffers and their number.
    func call(_ body: (UnsafeMutablePointer<iovec>, Int) -> Int) -> Int {
        guard count > 0 else { return 0 }
        unsafe first[count - 1].iov_len -= cutByteCount
        defer { unsafe first[count - 1].iov_len += cutByteCount }
        return unsafe body(first, count)
    }
}
