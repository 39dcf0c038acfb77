import BerthMemory
import BerthSystem
import Glibc

/// One connected process: what it sent, and what its tracking is known by.
///
/// Owned by the port's thread.
final class ExternalPeer {
    /// When it is sent away unless it has attached; nil once it has.
    private(set) var deadline: ContinuousClock.Instant?

    private let connection: OwnedDescriptor
    private let control: ExternalWriterControl
    private let processID: Int32
    private var received: [UInt8] = []
    /// Came with what was received last.
    private var descriptors = ReceivedDescriptors()
    /// Its source's number in the block's tracking.
    private var token: Int?

    /// Greets a process with the memory.
    ///
    /// - Parameter memory: the descriptor of the memory's file.
    /// - Throws: `PeerRefusal` if it can't be talked to.
    init(
        _ connection: consuming OwnedDescriptor,
        memory: CInt,
        _ control: ExternalWriterControl
    ) throws(PeerRefusal) {
        let raw = connection.raw
        self.connection = connection
        self.control = control
        deadline = .now + control.attachLimit
        do {
            processID = try Sockets.peerCredentials(of: raw).processID
        } catch {
            throw PeerRefusal("the kernel does not say which process it is: \(error.reason)")
        }
        let hello = EndpointMessage.hello(
            byteCount: UInt64(control.block.byteCount),
            offset: control.memory.file.offset
        )
        // The block's own open file, not another: `untrackedWriterObstacle` looks for others.
        try Self.send(hello, to: raw, descriptors: [memory])
        control.peerConnected(processID)
    }

    /// The socket, to poll.
    var raw: CInt { connection.raw }

    /// Ends the tracking; the connection ends with this object.
    func leave() {
        guard let token else { return }
        control.block.tracking.remove(token)
        self.token = nil
    }

    /// Tells the peer what the run state asks for.
    ///
    /// - Throws: `PeerRefusal` if it doesn't read that, or lets too much time pass.
    func sendOrders() throws(PeerRefusal) {
        if let deadline, deadline <= .now {
            throw PeerRefusal("it did not attach within \(control.attachLimit)")
        }
        while let order = control.nextOrder() {
            try Self.send(order, to: raw)
        }
    }

    /// Reads what is there, and acts on it.
    ///
    /// - Returns: false if the peer has ended the connection.
    /// - Throws: `PeerRefusal` if it doesn't keep to the protocol.
    func receive() throws(PeerRefusal) -> Bool {
        var buffer = [UInt8](repeating: 0, count: ExternalWriterProtocol.peerMessageByteLimit)
        let outcome: Sockets.ReceiveOutcome
        do {
            outcome = try unsafe buffer.withUnsafeMutableBytes { bytes throws(SystemCallError) in
                try unsafe Sockets.receive(from: raw, into: bytes, descriptors: &descriptors)
            }
        } catch {
            // A connection that broke is one that ended.
            return false
        }
        switch outcome {
        case .wouldBlock: return true
        case .end: return false
        case .bytes(let count): received += buffer.prefix(count)
        }
        while let message = try PeerMessage.take(from: &received) {
            switch message {
            case .paused: try control.peerPaused()
            case .attach(let address, let isTracked):
                let userfaultfd = descriptors.takeFirst()
                guard descriptors.isEmpty, !descriptors.isTruncated else {
                    throw PeerRefusal("it sent several descriptors")
                }
                try attach(address, isTracked: isTracked, userfaultfd)
            }
        }
        return true
    }

    private func attach(
        _ address: UInt64,
        isTracked: Bool,
        _ userfaultfd: consuming OwnedDescriptor?
    ) throws(PeerRefusal) {
        guard deadline != nil else { throw PeerRefusal("it attached already") }
        deadline = nil
        if isTracked {
            guard let userfaultfd else {
                throw PeerRefusal("it announced a userfaultfd but sent none")
            }
            try track(address, userfaultfd)
        } else {
            guard userfaultfd == nil else {
                throw PeerRefusal("it sent a descriptor that it did not announce")
            }
            try doWithoutTracking("it handed over no userfaultfd")
        }
        control.peerAttached()
    }

    private func track(
        _ address: UInt64,
        _ userfaultfd: consuming OwnedDescriptor
    ) throws(PeerRefusal) {
        let kind = Self.kind(of: userfaultfd.raw)
        guard kind == "anon_inode:[userfaultfd]" else {
            throw PeerRefusal("the descriptor that it sent is no userfaultfd but '\(kind)'")
        }
        do {
            let source = try PeerDirtySource(
                processID: processID,
                address: address,
                memory: control.memory,
                userfaultfd: userfaultfd
            )
            try add(source)
        } catch {
            switch error {
            case .refused(let refusal): throw refusal
            case .untrackable(let reason): try doWithoutTracking(reason)
            }
        }
    }

    private func add(_ source: PeerDirtySource) throws(PeerFault) {
        do {
            token = try control.block.tracking.add(source)
        } catch {
            throw .refused(PeerRefusal(error.message))
        }
        control.setTracking(.source(source))
    }

    /// Lets the peer write although nobody can tell what.
    private func doWithoutTracking(_ reason: String) throws(PeerRefusal) {
        // First said, then looked: a migration first becomes active and then asks for obstacles, so
        // that at least one of both sees the other.
        control.setTracking(.impossible(reason))
        guard !control.block.tracking.isActive else {
            throw PeerRefusal(
                "its writes cannot be tracked, and a migration under way needs them: \(reason)"
            )
        }
    }

    private static func kind(of raw: CInt) -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        let count = unsafe readlink("/proc/self/fd/\(raw)", &buffer, buffer.count)
        let bytes = buffer.prefix(max(count, 0)).map(UInt8.init(bitPattern:))
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Says a message, all of it or none.
    ///
    /// - Throws: `PeerRefusal` if the peer doesn't read, or is gone.
    static func send(
        _ message: EndpointMessage,
        to raw: CInt,
        descriptors: [CInt] = []
    ) throws(PeerRefusal) {
        let bytes = message.bytes
        let count: Int
        do {
            count = try unsafe bytes.withUnsafeBufferPointer { buffer throws(SystemCallError) in
                try unsafe Sockets.send(
                    to: raw,
                    UnsafeRawBufferPointer(buffer),
                    descriptors: descriptors
                )
            }
        } catch {
            throw PeerRefusal("the connection to it broke: \(error.reason)")
        }
        // There is room for all that is ever under way, unless somebody makes none.
        guard count == bytes.count else {
            throw PeerRefusal("it does not read what it is told")
        }
    }
}
