public import BerthSystem

/// What is spoken on a monitor's device: bytes in, bytes out.
///
/// A session outlives its clients, of which there is one at a time. The device's own thread calls
/// all of these functions, one after the other; none may block. Output goes to the client object
/// that came with `connect`, from any thread.
public protocol MonitorSession: Sendable {
    /// Whether bytes may be delivered now. While this is false they stay with the client.
    ///
    /// When it becomes true by other means than one of the functions below, call
    /// `MonitorClient.resumeInput()`.
    var acceptsInput: Bool { get }

    /// Somebody is there; whatever was known of an earlier client is void.
    ///
    /// - Parameter client: where output goes, until `disconnect`.
    func connect(_ client: MonitorClient)

    /// The client has sent something.
    ///
    /// - Parameters:
    ///   - bytes: at least one, cut anywhere.
    ///   - descriptors: what came along; belongs to the last of these bytes or those just before.
    func receive(_ bytes: [UInt8], descriptors: consuming ReceivedDescriptors)

    /// The client sends no more but may still read; called while `acceptsInput` only.
    ///
    /// Output that is on its way is delivered, then the connection ends.
    func endInput()

    /// The client is gone, or the connection has been ended from here.
    func disconnect()
}
