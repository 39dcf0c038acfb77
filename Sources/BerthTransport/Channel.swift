public import BerthSystem
internal import Glibc
internal import Synchronization

/// One open connection or file that carries a migration.
///
/// Reading, writing and closing block, on the thread that calls them; a channel may be read by one
/// thread and written by another at once. `abort()` may be called from anywhere at any time: what
/// blocks, and everything called later, then throws `TransportError.aborted`. `close()` is for
/// when no other thread uses the channel any more.
public final class Channel: Sendable {
    /// How a descriptor is read and written so that a thread never hangs in the kernel.
    enum Medium {
        /// A socket: each call says that it must not block; no flag is needed.
        case socket
        /// A pipe, FIFO or character device, set non-blocking.
        case pollable
        /// A regular file or block device: calls end in finite time.
        case storage
    }

    /// The address as the user wrote it, for messages.
    public let name: String
    /// The kind of object behind the channel.
    public let objectKind: FileStatus.Kind

    let medium: Medium
    /// Whether the page cache is bypassed (`O_DIRECT`): places, lengths and memory must be aligned.
    public let isDirect: Bool
    /// The descriptor's number; valid until `close()`.
    let raw: CInt
    let wake: WakeEvent
    /// The command at the other end of the pipe, for `exec:`.
    let command: ChildProcess?
    /// What `command` is, if it stands between this process and a file.
    let filter: FilterProgram?
    let sawEnd = Atomic<Bool>(false)
    let sawBytes = Atomic<Bool>(false)
    private let isAborted = Atomic<Bool>(false)
    private let owned: Mutex<OwnedDescriptor?>
    /// Status flags to put back, if the open file isn't ours alone and had to be changed.
    private let originalFlags: CInt?

    /// Bytes that a pipe should hold, as far as the system lets it: the usual limit for users.
    static let pipeByteCount: Int32 = 1 << 20

    /// Makes a channel of an open descriptor.
    ///
    /// A pipe that others hold too is reopened where possible, so that making it non-blocking
    /// doesn't change it for them; otherwise the flag is put back by `close()`. From here on a
    /// write to a pipe without a reader is an error and no signal, in the whole process.
    ///
    /// - Parameters:
    ///   - descriptor: a file, device, pipe or connected socket; the channel's from now on.
    ///   - name: how messages call it.
    /// - Throws: `TransportError` if it can't be looked at.
    public convenience init(
        _ descriptor: consuming OwnedDescriptor,
        name: String
    ) throws(TransportError) {
        try self.init(descriptor, name: name, command: nil)
    }

    init(
        _ descriptor: consuming OwnedDescriptor,
        name: String,
        command: ChildProcess?,
        filter: FilterProgram? = nil
    ) throws(TransportError) {
        do {
            let kind = try FileStatus(of: descriptor.raw).kind
            let obstacle = try SeekObstacle.of(descriptor)
            isSeekable = kind != .directory && obstacle == nil
            isDirect = try descriptor.access().isDirect
            wake = try WakeEvent()
            var changedFlags: CInt?
            switch kind {
            case .socket: medium = .socket
            case .regularFile, .blockDevice, .directory: medium = .storage
            case .fifo, .characterDevice, .other:
                medium = .pollable
                Signals.ignoreBrokenPipes()
                if kind == .fifo { descriptor = Self.reopened(descriptor) }
                let flags = try descriptor.statusFlags()
                if flags & O_NONBLOCK == 0 {
                    try descriptor.setNonblocking(true)
                    changedFlags = flags
                }
                if kind == .fifo { descriptor.enlargePipe(byteCount: Self.pipeByteCount) }
            }
            objectKind = kind
            originalFlags = changedFlags
        } catch {
            throw TransportError("use", name, cause: error)
        }
        self.name = name
        self.command = command
        self.filter = filter
        raw = descriptor.raw
        owned = Mutex(consume descriptor)
    }

    deinit {
        // A channel that goes without having been closed was given up: its command must not take
        // the end of its input for the end of the stream.
        owned.withLock { owned in
            guard owned != nil else { return }
            command?.terminate()
            restoreFlags()
        }
    }

    /// Whether bytes can be read and written at any offset: a regular file or block device that
    /// wasn't opened for appending.
    public let isSeekable: Bool

    /// Whether a program of ours is at the other end of the pipe.
    public var isCommand: Bool { command != nil }

    /// Whether the bytes go through a program from or to a file; `close()` tells how it fared.
    public var isFiltered: Bool { filter != nil }

    /// Whether the other side is reached over a socket.
    public var isSocket: Bool { medium == .socket }

    /// Whether the other side can answer.
    public var isBidirectional: Bool { isSocket }

    /// Whether `abort()` has been called.
    public var hasBeenAborted: Bool { isAborted.load(ordering: .acquiring) }

    /// Ends whatever blocks on the channel now or later, from any thread and at any time.
    ///
    /// A socket is shut down in both directions, which also tells the other side. A command gets
    /// `SIGTERM` before its input ends, so that it can't take what it has for the whole.
    public func abort() {
        guard !isAborted.exchange(true, ordering: .acquiringAndReleasing) else { return }
        command?.terminate()
        owned.withLock { owned in
            guard owned != nil, isSocket else { return }
            Sockets.shutDown(raw)
        }
        wake.signal()
    }

    /// Ends a socket's input, from any thread and at any time: what has come can still be read, then
    /// reads say that the other side has closed.
    ///
    /// Writing goes on, so that the other side can still be told why. Other channels are left alone.
    public func endInput() {
        owned.withLock { owned in
            guard owned != nil, isSocket else { return }
            Sockets.shutDownInput(raw)
        }
    }

    /// Ends a connection in both directions, for both sides.
    ///
    /// Unlike after `abort()`, what has come can still be read; then comes the end. Writes fail as
    /// if the other side had gone. May be called from any thread at any time.
    public func hangUp() {
        owned.withLock { owned in
            guard owned != nil, isSocket else { return }
            Sockets.shutDown(raw)
        }
    }

    /// Closes the channel, and for a command waits until it has ended.
    ///
    /// A second call does nothing. After `abort()` nothing is waited for.
    ///
    /// - Throws: `TransportError` if the system reports a late write error, if the command failed,
    ///   or if the wait for it was aborted.
    @available(*, noasync, message: "blocks its thread")
    public func close() throws(TransportError) {
        guard let descriptor = takeDescriptor() else { return }
        do {
            try descriptor.close()
        } catch {
            command?.terminate()
            throw TransportError("close", name, cause: error)
        }
        try waitForCommand()
    }

    /// Closes the channel and leaves its command, if there is one, to itself.
    ///
    /// For a destination that has all it needs, or knows already that it has failed: what the
    /// command does afterwards must not keep the guest waiting. It isn't left as a zombie.
    public func closeWithoutWaiting() {
        _ = takeDescriptor()
    }

    /// Takes the descriptor away under the lock, so that `abort()` can't shut down a successor that
    /// got the same number.
    private func takeDescriptor() -> OwnedDescriptor? {
        owned.withLock { owned in
            if owned != nil { restoreFlags() }
            return owned.take()
        }
    }

    /// Throws if the channel has been aborted.
    @inline(__always)
    func checkAborted(_ operation: StaticString) throws(TransportError) {
        if isAborted.load(ordering: .relaxed) {
            throw .aborted(operation.description, name)
        }
    }

    private func restoreFlags() {
        if let originalFlags { _ = fcntl(raw, F_SETFL, originalFlags) }
    }

    /// A descriptor for the same pipe with status flags of its own, or the one given if the system
    /// refuses (a pipe of another user).
    private static func reopened(_ descriptor: consuming OwnedDescriptor) -> OwnedDescriptor {
        guard let flags = try? descriptor.statusFlags(), flags & O_NONBLOCK == 0,
            let own = try? OwnedDescriptor.open(
                "/proc/self/fd/\(descriptor.raw)",
                flags & O_ACCMODE | O_NONBLOCK
            )
        else { return descriptor }
        return own
    }
}
