public import BerthTransport
public import BerthWire

/// The way back: what a destination tells its source.
///
/// Format: docs/wire/return-path.md.
public enum ReturnPath {
    /// Sends one message to the source.
    @available(*, noasync)
    public static func send(
        _ message: ReturnPathMessage,
        on channel: Channel
    ) throws(StreamError) {
        var bytes = [UInt8]()
        message.encode(into: &bytes)
        do {
            try unsafe bytes.withUnsafeBufferPointer { bytes throws(TransportError) in
                unsafe try channel.write(UnsafeRawBufferPointer(bytes))
            }
        } catch {
            throw StreamError(error)
        }
    }
}
