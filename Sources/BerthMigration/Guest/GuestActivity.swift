/// Something in this process that writes guest memory while the guest runs.
///
/// The one promise that a migration needs: after `pause` returned, no byte of guest memory
/// changes and every page written before is marked in its block's dirty log.
public protocol GuestActivity: Sendable {
    /// Stops writing; returns once the last write is marked, within a millisecond or so.
    func pause()
    /// Goes on writing.
    func resume()
}
