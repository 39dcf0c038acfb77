public import BerthTransport
import BerthWire

/// Hears what a destination tells its source, now and then while pages are sent and at the end.
///
/// Owned by one thread. A message that has come only in part waits for its rest. Format:
/// docs/wire/return-path.md.
public final class ReturnPathReader {
    private let input: StreamInput
    /// The value of SHUT, which is the last message.
    private var verdict: UInt32?

    /// Whether the destination said that its devices need no more rounds (SWITCHOVER_ACK).
    public private(set) var hasSwitchoverAck = false

    /// Makes a reader of a channel that goes both ways.
    public init(_ channel: Channel) {
        input = StreamInput(channel)
    }

    /// Takes in what has come, without waiting.
    ///
    /// - Throws: `.transport` if the destination reported a failure or hung up without a word.
    @available(*, noasync)
    public func poll() throws(StreamError) {
        while verdict == nil {
            do {
                guard try input.channel.waitReadable(timeout: .zero) else { return }
            } catch {
                throw StreamError(error)
            }
            try read()
            try hear()
        }
        try judge()
    }

    /// Blocks until the destination says how the load went.
    ///
    /// - Throws: `.transport` if it reported a failure or hung up without a word.
    @available(*, noasync)
    public func awaitVerdict() throws(StreamError) {
        while verdict == nil {
            try read()
            try hear()
        }
        try judge()
    }

    /// Whether the destination has sent a refusal that `poll` and `awaitVerdict` didn't see.
    @available(*, noasync)
    public func hasRefusal() -> Bool {
        guard verdict == nil else { return false }
        do {
            try poll()
        } catch {
            return verdict.map { $0 != 0 } ?? false
        }
        return false
    }

    private func judge() throws(StreamError) {
        guard let verdict, verdict != 0 else { return }
        throw StreamError(
            .transport,
            "the destination reported error \(verdict)",
            hint: "look at the destination's error-desc or standard error"
        )
    }

    /// Takes in the messages that are there as a whole, up to the last one that counts.
    private func hear() throws(StreamError) {
        while verdict == nil {
            let next = try input.decodeAvailable { cursor, bytes throws(WireError) in
                try ReturnPathMessage(decoding: &cursor, bytes)
            }
            switch next {
            case .shut(let value):
                verdict = value
            case .switchoverAck:
                hasSwitchoverAck = true
            case nil:
                return
            default:
                // PONG and the messages of features that were not asked for.
                continue
            }
        }
    }

    /// Waits for bytes and reads them.
    private func read() throws(StreamError) {
        let isMore: Bool
        do {
            isMore = try input.fetch(input.available + 1)
        } catch {
            // A destination that goes with data unread resets the connection.
            guard error.code == .transport else { throw error }
            throw Self.hungUp(" (\(error.message))")
        }
        guard isMore else { throw Self.hungUp("") }
    }

    private static func hungUp(_ reason: String) -> StreamError {
        StreamError(
            .transport,
            "the destination hung up without confirming that it loaded the guest" + reason,
            hint: "look at the destination's error-desc or standard error"
        )
    }
}
