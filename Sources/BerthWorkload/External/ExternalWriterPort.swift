public import BerthMemory
import BerthSystem
import Glibc
import Synchronization

/// A socket by which another process gets to write guest memory while the guest runs.
///
/// Serves one process at a time. It is told when to write and when to stop, and hands over what is
/// needed to find its writes; see docs/wire/external-writer.md. A process that goes away, however,
/// is no writer any more.
///
/// QAPI: object `external-writer`.
public final class ExternalWriterPort: Sendable {
    private let control: ExternalWriterControl
    private let socket: UnixSocketFile
    private let thread: NamedThread

    /// Listens, in a thread of its own; nobody is told to write yet.
    ///
    /// - Parameters:
    ///   - id: the object's id, for messages.
    ///   - block: the memory; it must be shared, with a file or memfd behind it.
    ///   - path: of the unix socket, at most 107 bytes. Only the owner may connect.
    ///   - attachLimit: how long a process has to map the memory after it connected. 5 s: mapping
    ///     takes milliseconds, and a process that hangs must not keep others out for long.
    /// - Throws: `WorkloadError` if other processes can't have this memory, or can't connect.
    public init(
        id: String,
        block: RAMBlock,
        path: String,
        attachLimit: Duration = .seconds(5)
    ) throws(WorkloadError) {
        let (memory, file) = try Self.share(block, id)
        do {
            let listener = try UnixSocketFile.listen(
                at: path,
                backlog: 4,
                mode: Sockets.ownerOnly
            )
            socket = listener.file
            let box = OwnedDescriptorBox(listener.takeDescriptor())
            let control = try ExternalWriterControl(
                id: id,
                block: block,
                memory: file,
                attachLimit: attachLimit
            )
            self.control = control
            thread = try NamedThread.start(name: "berth-writer") {
                guard let listener = box.take(), let memory = memory.take() else { return }
                var loop = ExternalWriterLoop(control, listener: listener.raw, memory: memory.raw)
                loop.run()
            }
        } catch {
            throw WorkloadError(
                "cannot listen for processes that write '\(block.id)': \(error)",
                hint: "choose a path in a directory that exists and is yours, at most "
                    + "\(SocketAddress.unixPathByteLimit) bytes long"
            )
        }
    }

    deinit {
        control.end()
        socket.remove()
    }

    /// The object's id.
    public var id: String { control.id }

    /// Lets the process write, also one that connects later.
    public func resume() {
        _ = control.setMayWrite(true)
    }

    /// Has the process stop, and those that connect later wait.
    ///
    /// - Parameter limit: how long to wait for its answer.
    /// - Returns: true if it said that it has stopped, or if there is none; false if it didn't in
    ///   time, and is to go on.
    @available(*, noasync, message: "blocks its thread")
    public func pause(within limit: Duration) -> Bool {
        let before = control.setMayWrite(false)
        _ = try? Poll.wait(for: control.quiet.raw, .input, timeout: limit)
        return control.isQuiet(orElse: before)
    }

    /// Sends the process away, removes the socket and ends the thread.
    ///
    /// The port can't be used any more: other calls do nothing.
    @available(*, noasync, message: "blocks its thread")
    public func end() {
        control.end()
        thread.join()
        socket.remove()
    }

    /// What is known of the process.
    public var status: ExternalWriterStatus {
        let state = control.state.withLock { $0 }
        return ExternalWriterStatus(state)
    }

    /// Why the writes of the process can't be tracked, and what to do; nil if they can be, or if
    /// there is no process.
    ///
    /// To be asked *after* the memory's tracking has become active: a process that can't be tracked
    /// isn't let in from then on.
    public var obstacle: WorkloadError? {
        guard let peer = control.state.withLock({ $0.peer }) else { return nil }
        let status = ExternalWriterStatus(ExternalWriterControl.State(peer: peer))
        guard let reason = status.untrackedReason else { return nil }
        return WorkloadError(
            "cannot track what process \(peer.processID) writes through '\(control.id)': \(reason)",
            hint: "stop the guest or end that process, then migrate"
        )
    }

    /// The descriptor that processes are given, and what it is to the kernel.
    private static func share(
        _ block: RAMBlock,
        _ id: String
    ) throws(WorkloadError) -> (OwnedDescriptorBox, SharedMemory) {
        guard block.mapping.sharing == .shared, let shared = block.shareableDescriptor else {
            throw WorkloadError(
                "cannot let other processes write '\(block.id)': it belongs to this one alone",
                hint: "make it a memory-backend-memfd or memory-backend-file with share=on"
            )
        }
        do {
            let descriptor = try shared.duplicate()
            guard try descriptor.access().mode == .readWrite else {
                throw WorkloadError(
                    "cannot let other processes write '\(block.id)': its file is read-only",
                    hint: "make the backend with readonly=off"
                )
            }
            let page = MemoryMapping.hostPageByteCount
            let byteCount = (block.byteCount + page - 1) / page * page
            let start = unsafe UInt64(UInt(bitPattern: block.base))
            let finding = try ProcessMappings().find(from: start, byteCount: byteCount)
            guard case .file(let file) = finding else {
                throw WorkloadError("cannot find the memory of '\(block.id)' in /proc/self/maps")
            }
            return (
                OwnedDescriptorBox(descriptor), SharedMemory(byteCount: byteCount, file: file)
            )
        } catch let error as WorkloadError {
            throw error
        } catch {
            throw WorkloadError("cannot let other processes write '\(block.id)': \(error)")
        }
    }
}
