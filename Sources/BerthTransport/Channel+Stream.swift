internal import BerthSystem
public import Glibc
internal import Synchronization

// Reading and writing in order. Each function is one loop around one call: look for an abort, call,
// wait if nothing can be done now. Nothing is allocated unless something fails.

extension Channel {
    /// Most buffers that one readv(2) or writev(2) takes (`IOV_MAX`).
    public static let vectorLimit = 1024

    /// Most bytes of one call on a file, so that an abort doesn't wait for gigabytes.
    static let storageCallByteLimit = 16 << 20

    /// Most bytes of one write to a file: 32 KiB through the page cache.
    ///
    /// The kernel takes memory for the cache in pieces as large as the call. On a virtual machine
    /// that reports free memory to its host, pieces of 128 KiB and more are those that the host
    /// has to give back first: 770 MiB took 0.3 s in calls of 32 KiB and 0.5 to 2.5 s in calls of
    /// 1 MiB. Elsewhere larger calls gain a fifth at best.
    var storageWriteByteLimit: Int { isDirect ? Self.storageCallByteLimit : 32 << 10 }

    /// Reads what is there, at least one byte.
    ///
    /// - Parameter buffer: not empty; it is seldom filled.
    /// - Returns: bytes read, 0 at the end.
    /// - Throws: `TransportError`.
    @available(*, noasync, message: "blocks its thread")
    public func read(into buffer: UnsafeMutableRawBufferPointer) throws(TransportError) -> Int {
        guard buffer.count > 0 else { return 0 }
        let limit = medium == .storage ? Self.storageCallByteLimit : Int.max
        let byteCount = min(buffer.count, limit)
        return try received { raw in
            switch medium {
            case .socket: unsafe recv(raw, buffer.baseAddress, byteCount, CInt(MSG_DONTWAIT))
            case .pollable, .storage: unsafe Glibc.read(raw, buffer.baseAddress, byteCount)
            }
        }
    }

    /// Reads what is there into several buffers with one call.
    ///
    /// - Parameter vectors: at most `vectorLimit` are used.
    /// - Returns: bytes read, 0 at the end.
    /// - Throws: `TransportError`.
    @available(*, noasync, message: "blocks its thread")
    public func readVector(
        _ vectors: UnsafeMutableBufferPointer<iovec>
    ) throws(TransportError) -> Int {
        let count = min(vectors.count, Self.vectorLimit)
        guard count > 0 else { return 0 }
        return try received { raw in
            switch medium {
            case .socket:
                var message = unsafe msghdr()
                unsafe message.msg_iov = vectors.baseAddress
                unsafe message.msg_iovlen = count
                return unsafe recvmsg(raw, &message, CInt(MSG_DONTWAIT))
            case .pollable, .storage:
                return unsafe readv(raw, vectors.baseAddress, CInt(count))
            }
        }
    }

    /// Writes all bytes of a buffer.
    ///
    /// - Throws: `TransportError`; how much was written before is then unknown.
    @available(*, noasync, message: "blocks its thread")
    public func write(_ buffer: UnsafeRawBufferPointer) throws(TransportError) {
        let limit = medium == .storage ? storageWriteByteLimit : Int.max
        var done = 0
        while done < buffer.count {
            let start = unsafe buffer.baseAddress.map { unsafe $0 + done }
            let byteCount = min(buffer.count - done, limit)
            done += try sent { raw in
                switch medium {
                case .socket: unsafe send(raw, start, byteCount, Self.sendFlags)
                case .pollable, .storage: unsafe Glibc.write(raw, start, byteCount)
                }
            }
        }
    }

    /// Writes all bytes of several buffers.
    ///
    /// - Parameter vectors: any number; they are changed where a call writes a part of them.
    /// - Throws: `TransportError`; how much was written before is then unknown.
    @available(*, noasync, message: "blocks its thread")
    public func writeVector(
        _ vectors: UnsafeMutableBufferPointer<iovec>
    ) throws(TransportError) {
        var rest = unsafe VectorBatch.rest(of: vectors, after: 0)
        while !rest.isEmpty {
            let batch = unsafe VectorBatch(
                rest,
                byteLimit: medium == .storage ? storageWriteByteLimit : .max
            )
            let done = try sent { raw in
                unsafe batch.call { start, count in
                    switch medium {
                    case .socket:
                        var message = unsafe msghdr()
                        unsafe message.msg_iov = unsafe start
                        unsafe message.msg_iovlen = count
                        return unsafe sendmsg(raw, &message, Self.sendFlags)
                    case .pollable, .storage:
                        return unsafe writev(raw, start, CInt(count))
                    }
                }
            }
            unsafe rest = unsafe VectorBatch.rest(of: rest, after: done)
        }
    }

    /// Waits until something can be read or the end has come.
    ///
    /// - Parameter timeout: zero only looks.
    /// - Returns: whether a read would return at once; always true for files.
    /// - Throws: `TransportError`.
    @available(*, noasync, message: "blocks its thread")
    public func waitReadable(timeout: Duration) throws(TransportError) -> Bool {
        try checkAborted("read from")
        guard medium != .storage else { return true }
        let isReady = try wait(.input, timeout, "read from")
        // The shutdown by abort() makes a socket readable before the event is raised.
        try checkAborted("read from")
        return isReady
    }

    static var sendFlags: CInt { CInt(MSG_DONTWAIT) | CInt(MSG_NOSIGNAL) }

    @inline(__always)
    private func received(_ call: (CInt) -> Int) throws(TransportError) -> Int {
        while true {
            try checkAborted("read from")
            let (count, code) = SystemCall.uninterrupted { call(raw) }
            if count > 0 {
                if command != nil { sawBytes.store(true, ordering: .relaxed) }
                return count
            }
            if count == 0 {
                // The end; or abort() has just shut the socket down, which looks like it.
                try checkAborted("read from")
                if try isRealEnd() { return 0 }
                continue
            }
            guard code == EAGAIN else {
                try checkAborted("read from")
                throw TransportError(
                    "read from",
                    name,
                    cause: SystemCall.failure("read", name, code)
                )
            }
            _ = try wait(.input, nil, "read from")
        }
    }

    @inline(__always)
    private func sent(_ call: (CInt) -> Int) throws(TransportError) -> Int {
        while true {
            try checkAborted("write to")
            let (count, code) = SystemCall.uninterrupted { call(raw) }
            if count > 0 { return count }
            guard count == -1 else {
                // Only a device that takes nothing does that: an error, lest we try for ever.
                throw TransportError(
                    "write to",
                    name,
                    cause: SystemCall.failure("write", name, ENOSPC)
                )
            }
            guard code == EAGAIN else {
                try checkAborted("write to")
                throw writeError(SystemCall.failure("write", name, code))
            }
            _ = try wait(.output, nil, "write to")
        }
    }

    /// Whether a read of 0 bytes means the end.
    ///
    /// A FIFO that nobody has opened for writing yet reads as if it had ended; only poll(2) tells
    /// the difference.
    private func isRealEnd() throws(TransportError) -> Bool {
        if objectKind == .fifo, !sawEnd.exchange(true, ordering: .relaxed) {
            _ = try wait(.input, nil, "read from")
            return false
        }
        sawEnd.store(true, ordering: .relaxed)
        return true
    }

    func wait(
        _ events: PollEvents,
        _ timeout: Duration?,
        _ operation: StaticString
    ) throws(TransportError) -> Bool {
        let outcome: PollOutcome
        do {
            outcome = try Poll.wait(for: raw, events, abort: wake, timeout: timeout)
        } catch {
            throw TransportError(operation.description, name, cause: error)
        }
        switch outcome {
        case .ready: return true
        case .timedOut: return false
        case .aborted: throw .aborted(operation.description, name)
        }
    }
}
