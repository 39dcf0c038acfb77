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

    /// Blocks until the destination says how the load went.
    ///
    /// - Throws: `.transport` if it reported a failure or hung up without a word.
    @available(*, noasync)
    public static func awaitVerdict(on channel: Channel) throws(StreamError) {
        let input = StreamInput(channel)
        while true {
            let message: ReturnPathMessage
            do {
                message = try input.decode("the destination's verdict") {
                    cursor,
                    bytes throws(WireError) in
                    try ReturnPathMessage(decoding: &cursor, bytes)
                }
            } catch {
                // A destination that goes with data unread resets the connection.
                guard error.code == .truncated || error.code == .transport else { throw error }
                let reason = error.code == .transport ? " (\(error.message))" : ""
                throw StreamError(
                    .transport,
                    "the destination hung up without confirming that it loaded the guest" + reason,
                    hint: "look at the destination's error-desc or standard error"
                )
            }
            switch message {
            case .shut(0):
                return
            case .shut(let code):
                throw StreamError(
                    .transport,
                    "the destination reported error \(code)",
                    hint: "look at the destination's error-desc or standard error"
                )
            default:
                // PONG and the messages of features that were not asked for.
                continue
            }
        }
    }

    /// Whether the destination has sent a refusal that is still to be read.
    @available(*, noasync)
    public static func hasRefusal(on channel: Channel) -> Bool {
        let input = StreamInput(channel)
        while (try? channel.waitReadable(timeout: .zero)) == true || input.available > 0 {
            let message = try? input.decode("the destination's verdict") {
                cursor,
                bytes throws(WireError) in
                try ReturnPathMessage(decoding: &cursor, bytes)
            }
            guard let message else { return false }
            if case .shut(let code) = message {
                return code != 0
            }
        }
        return false
    }
}
