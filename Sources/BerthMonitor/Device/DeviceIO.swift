internal import BerthSystem
internal import Glibc

/// System calls on the descriptors of devices.
enum DeviceIO {
    /// Bytes that are read at a time.
    ///
    /// Any request of ordinary size fits; what one read returns is also what a client can make a
    /// session hold unread.
    static let readByteCount = 64 << 10
    /// What a pipe that polls as writable takes without blocking (`PIPE_BUF`).
    private static let sharedWriteByteCount = 4096

    /// What reading found.
    enum Input: ~Copyable {
        case bytes([UInt8], ReceivedDescriptors)
        case end
        case nothing
    }

    /// Reads what is there, without blocking.
    ///
    /// - Throws: `SystemCallError` for `recvmsg`, such as `ECONNRESET`.
    static func receive(from socket: CInt) throws(SystemCallError) -> Input {
        var descriptors = ReceivedDescriptors()
        var outcome = Sockets.ReceiveOutcome.wouldBlock
        var failure: SystemCallError?
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: readByteCount) { buffer, count in
            do throws(SystemCallError) {
                outcome = try unsafe Sockets.receive(
                    from: socket,
                    into: UnsafeMutableRawBufferPointer(buffer),
                    descriptors: &descriptors
                )
            } catch {
                failure = error
            }
            if case .bytes(let received) = outcome { count = received }
        }
        if let failure { throw failure }
        switch outcome {
        case .bytes: return .bytes(bytes, descriptors)
        case .end: return .end
        case .wouldBlock: return .nothing
        }
    }

    /// Reads from a file, pipe or terminal that polls as readable.
    ///
    /// - Throws: `SystemCallError` for `read`.
    @available(*, noasync, message: "may block its thread")
    static func read(from raw: CInt) throws(SystemCallError) -> Input {
        var result: (value: Int, errno: CInt) = (0, 0)
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: readByteCount) { buffer, count in
            result = SystemCall.uninterrupted {
                unsafe Glibc.read(raw, buffer.baseAddress, buffer.count)
            }
            count = max(result.value, 0)
        }
        switch (result.value, result.errno) {
        case (1..., _): return .bytes(bytes, ReceivedDescriptors())
        case (0, _): return .end
        case (_, EAGAIN): return .nothing
        default: throw SystemCall.failure("read", "fd \(raw)", result.errno)
        }
    }

    /// Writes what there is room for.
    ///
    /// - Returns: bytes written, 0 if there is no room.
    /// - Throws: `SystemCallError` for `sendmsg` or `write`, such as `EPIPE`.
    static func write(
        _ bytes: [UInt8],
        from start: Int,
        to raw: CInt,
        _ outlet: MonitorClient.Outlet
    ) throws(SystemCallError) -> Int {
        try unsafe bytes.withUnsafeBufferPointer { buffer throws(SystemCallError) in
            let rest = unsafe UnsafeRawBufferPointer(
                UnsafeBufferPointer(rebasing: buffer[start...])
            )
            switch outlet {
            case .socket: return try unsafe Sockets.send(to: raw, rest)
            case .shared:
                let (count, code) = SystemCall.uninterrupted {
                    unsafe Glibc.write(raw, rest.baseAddress, min(rest.count, sharedWriteByteCount))
                }
                guard count == -1 else { return count }
                guard code != EAGAIN else { return 0 }
                throw SystemCall.failure("write", "fd \(raw)", code)
            }
        }
    }

    /// Waits until one of the requests has something to report.
    ///
    /// - Throws: `SystemCallError` for `poll`.
    @available(*, noasync, message: "blocks its thread")
    static func poll(
        _ requests: inout [pollfd],
        timeout: Duration?
    ) throws(SystemCallError) {
        _ = try unsafe requests.withUnsafeMutableBufferPointer { buffer throws(SystemCallError) in
            try unsafe Poll.wait(buffer, timeout: timeout)
        }
    }
}
