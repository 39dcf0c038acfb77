internal import BerthSystem
public import Glibc
internal import Synchronization
internal import SystemPackage

/// Sends memory over one socket without copying it, and waits until the kernel has let go of it.
///
/// Overview: each send is counted; the kernel says over the socket's error queue which are complete.
/// Between two calls of `settle` memory that was given to `write` must stay.
///
/// Odd cases: where a device or the loopback can't do without, the kernel copies after all, and
/// says so. While completions wait in the error queue, poll(2) finds the socket ready for anything,
/// so they are taken before each wait. One thread at a time calls it; any may ask for the counter.
public final class ZeroCopySender: Sendable {
    private let channel: Channel
    private let sentCount = Atomic<Int>(0)
    private let completedCount = Atomic<Int>(0)
    /// Sends before the present period.
    private let earlierCount = Atomic<Int>(0)
    private let avoidedCopies = Atomic<Bool>(false)
    private let fallbacks = Atomic<UInt64>(0)

    /// Prepares a connection; nothing else may be written to it between `write` and `settle`.
    ///
    /// - Throws: `TransportError` for what isn't a TCP connection.
    public init(_ channel: Channel) throws(TransportError) {
        self.channel = channel
        do {
            try ZeroCopy.enable(channel.raw)
        } catch {
            guard [EOPNOTSUPP, ENOTSOCK, ENOPROTOOPT].contains(error.errno.rawValue) else {
                throw TransportError("use zero-copy-send with", channel.name, cause: error)
            }
            throw TransportError(
                "use zero-copy-send with",
                channel.name,
                reason: "Linux sends without copying over TCP only",
                hint: "use tcp:, or turn the capability zero-copy-send off"
            )
        }
    }

    /// How many periods with sends went by in which everything was copied all the same.
    public var fallbackCount: UInt64 { fallbacks.load(ordering: .relaxed) }

    /// Sends that the kernel hasn't let go of yet.
    private var pendingCount: Int {
        sentCount.load(ordering: .relaxed) - completedCount.load(ordering: .relaxed)
    }

    /// Writes a header, which is copied, and memory, which isn't.
    ///
    /// - Parameter memory: any number of pieces; they are changed where a call writes a part.
    /// - Throws: `TransportError`; how much was written before is then unknown.
    @available(*, noasync, message: "blocks its thread")
    public func write(
        header: UnsafeRawBufferPointer,
        _ memory: UnsafeMutableBufferPointer<iovec>
    ) throws(TransportError) {
        var vector = unsafe iovec(
            iov_base: UnsafeMutableRawPointer(mutating: header.baseAddress),
            iov_len: header.count
        )
        try unsafe withUnsafeMutablePointer(to: &vector) { vector throws(TransportError) in
            // It leaves together with the memory, if there is any.
            unsafe try send(
                UnsafeMutableBufferPointer(start: vector, count: 1),
                memory.isEmpty ? 0 : CInt(MSG_MORE)
            )
        }
        unsafe try send(memory, ZeroCopy.sendFlag)
    }

    /// Waits until the kernel has let go of everything.
    ///
    /// - Throws: `TransportError`, also if the connection breaks first.
    @available(*, noasync, message: "blocks its thread")
    public func settle() throws(TransportError) {
        while pendingCount > 0 { try awaitCompletion() }
    }

    /// Ends a period, after `settle`: counts it as a fallback if it had sends and all were copied.
    public func endPeriod() {
        let count = sentCount.load(ordering: .relaxed)
        if count > earlierCount.load(ordering: .relaxed), !avoidedCopies.load(ordering: .relaxed) {
            fallbacks.add(1, ordering: .relaxed)
        }
        earlierCount.store(count, ordering: .relaxed)
        avoidedCopies.store(false, ordering: .relaxed)
    }

    private func send(
        _ vectors: UnsafeMutableBufferPointer<iovec>,
        _ flags: CInt
    ) throws(TransportError) {
        var rest = unsafe VectorBatch.rest(of: vectors, after: 0)
        while !rest.isEmpty {
            try channel.checkAborted("write to")
            let batch = unsafe VectorBatch(rest, byteLimit: .max)
            let (count, code) = SystemCall.uninterrupted {
                unsafe batch.call { start, count in
                    var message = unsafe msghdr()
                    unsafe message.msg_iov = unsafe start
                    unsafe message.msg_iovlen = count
                    return unsafe sendmsg(channel.raw, &message, flags | Channel.sendFlags)
                }
            }
            switch code {
            case 0:
                if flags & ZeroCopy.sendFlag != 0 { sentCount.add(1, ordering: .relaxed) }
                unsafe rest = unsafe VectorBatch.rest(of: rest, after: count)
            case EAGAIN:
                try takeCompletions()
                _ = try channel.wait(.output, nil, "write to")
            case ENOBUFS where pendingCount > 0:
                // The kernel keeps so much for sends that are under way, and no more.
                try awaitCompletion()
            case ENOBUFS:
                try channel.checkAborted("write to")
                throw TransportError(
                    "write to",
                    channel.name,
                    cause: SystemCall.failure("sendmsg", channel.name, code),
                    hint: "raise the limit on locked memory (ulimit -l), or turn zero-copy-send off"
                )
            default:
                try channel.checkAborted("write to")
                throw TransportError(
                    "write to",
                    channel.name,
                    cause: SystemCall.failure("sendmsg", channel.name, code)
                )
            }
        }
    }

    private func awaitCompletion() throws(TransportError) {
        while try takeCompletions() == 0 {
            // They make the socket ready whatever one waits for.
            _ = try channel.wait([], nil, "write to")
            if try takeCompletions() > 0 { return }
            try checkConnection()
        }
    }

    /// Deals with a socket that is ready although nothing is complete.
    private func checkConnection() throws(TransportError) {
        do throws(SystemCallError) {
            let code = try Sockets.takeError(of: channel.raw)
            guard code == 0 else {
                throw SystemCall.failure("sendmsg", channel.name, code)
            }
            // The peer has gone; the kernel is about to let go of the rest.
            _ = try Poll.wait(for: channel.wake.raw, .input, timeout: .milliseconds(1))
        } catch {
            throw TransportError("write to", channel.name, cause: error)
        }
    }

    /// Takes what is in the error queue.
    ///
    /// - Returns: how many sends are complete now that weren't.
    @discardableResult
    private func takeCompletions() throws(TransportError) -> Int {
        try channel.checkAborted("write to")
        var count = 0
        do {
            while let completion = try ZeroCopy.takeCompletion(channel.raw) {
                count += completion.count
                if !completion.wasCopied { avoidedCopies.store(true, ordering: .relaxed) }
            }
        } catch {
            throw TransportError("write to", channel.name, cause: error)
        }
        completedCount.add(count, ordering: .relaxed)
        return count
    }
}
