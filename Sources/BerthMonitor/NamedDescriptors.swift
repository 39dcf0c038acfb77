public import BerthQAPI
public import BerthSystem
internal import Synchronization

/// File descriptors that a monitor's clients have passed: those with a name, and those that came
/// with a message and have none yet.
///
/// Names stay when the client leaves, the others don't.
public final class NamedDescriptors: Sendable {
    private struct State: Sendable {
        var named: [String: OwnedDescriptorBox] = [:]
        /// What came with the last message that carried any; only the first is ever used.
        var pending: OwnedDescriptorBox?
    }

    private let state = Mutex(State())

    /// No descriptors.
    public init() {}

    /// Another descriptor for the open file that has a name; the name stays.
    ///
    /// - Returns: `nil` if there is no such name, or the process is out of descriptors.
    public func look(_ name: String) -> OwnedDescriptor? {
        let box = state.withLock { $0.named[name] }
        guard let box else { return nil }
        return try? box.duplicate()
    }

    /// Takes a descriptor away from its name, which is free again then.
    ///
    /// - Returns: `nil` if there is no such name.
    public func take(_ name: String) -> OwnedDescriptor? {
        let box = state.withLock { $0.named.removeValue(forKey: name) }
        return box?.take()
    }

    /// Gives a descriptor a name; one that had the name is closed.
    public func add(_ descriptor: consuming OwnedDescriptor, named name: String) {
        let box = OwnedDescriptorBox(descriptor)
        // What is replaced is closed after the lock is released.
        _ = state.withLock { $0.named.updateValue(box, forKey: name) }
    }

    /// Names the descriptor that came with the request (QMP and HMP: `getfd`).
    ///
    /// - Parameter name: must not begin with a digit; may be empty.
    /// - Throws: `QMPError` if no descriptor came, or for the name; then the descriptor is closed.
    public func getFD(named name: String) throws(QMPError) {
        let descriptor = try takePending()
        guard name.utf8.first.map({ !(0x30...0x39).contains($0) }) ?? true else {
            throw QMPError("Parameter 'fdname' expects a name not starting with a digit")
        }
        add(descriptor, named: name)
    }

    /// Closes a descriptor and frees its name (QMP and HMP: `closefd`).
    ///
    /// - Throws: `QMPError` if there is no such name.
    public func closeFD(named name: String) throws(QMPError) {
        guard take(name) != nil else {
            throw QMPError("File descriptor named '\(name)' not found")
        }
    }

    /// Takes the descriptor that came with the request, or with one before that had no use for it.
    ///
    /// - Throws: `QMPError` if there is none.
    public func takePending() throws(QMPError) -> OwnedDescriptor {
        let box = state.withLock { $0.pending.take() }
        guard let descriptor = box?.take() else {
            throw QMPError(
                "No file descriptor supplied via SCM_RIGHTS",
                hint: "send it as ancillary data of the same message, over a unix socket"
            )
        }
        // The sender may have left it non-blocking, and nobody here expects that of a file.
        try? descriptor.setNonblocking(false)
        return descriptor
    }

    /// Replaces what came earlier.
    func setPending(_ descriptor: OwnedDescriptorBox?) {
        _ = state.withLock { state in
            let old = state.pending
            state.pending = descriptor
            return old
        }
    }
}
