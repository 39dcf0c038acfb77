public import BerthSystem
internal import Glibc

// A file behind a channel, for what isn't reading or writing.

extension Channel {
    /// Another descriptor for the open file behind the channel.
    ///
    /// - Throws: `TransportError`.
    public func duplicateDescriptor() throws(TransportError) -> OwnedDescriptor {
        do {
            return try OwnedDescriptor.duplicate(of: raw)
        } catch {
            throw TransportError("use", name, cause: error)
        }
    }
}
