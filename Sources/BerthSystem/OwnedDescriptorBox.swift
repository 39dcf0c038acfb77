internal import Synchronization

/// A descriptor with several holders, closed when the last one goes or somebody takes it.
///
/// For the few places where a descriptor has to travel in a copyable value: closures, dictionaries.
public final class OwnedDescriptorBox: Sendable {
    private let content: Mutex<OwnedDescriptor?>

    /// Puts a descriptor into a box.
    public init(_ descriptor: consuming OwnedDescriptor) {
        content = Mutex(consume descriptor)
    }

    /// Takes the descriptor out; `nil` if somebody has done so already.
    public func take() -> OwnedDescriptor? {
        content.withLock { $0.take() }
    }

    /// The number while the descriptor is in the box, for messages and calls.
    public var raw: CInt? {
        content.withLock { content in
            content == nil ? nil : content?.raw
        }
    }

    /// Another descriptor for the same open file.
    ///
    /// - Throws: `SystemCallError` for `dup`; `EBADF` if the box is empty.
    public func duplicate() throws(SystemCallError) -> OwnedDescriptor {
        try OwnedDescriptor.duplicate(of: raw ?? -1)
    }
}
