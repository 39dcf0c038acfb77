internal import BerthSystem
internal import Synchronization

/// The channels of one transport, so that one abort reaches them all, also those that come into
/// being at the same moment.
final class ChannelList: Sendable {
    private struct Entry {
        weak var channel: Channel?
    }

    private struct State {
        var isAborted = false
        var entries: [Entry] = []
    }

    /// Raised by `abort()`; connecting and accepting wait on it.
    let wake: WakeEvent
    private let state = Mutex(State())

    init(name: String) throws(TransportError) {
        do {
            wake = try WakeEvent()
        } catch {
            throw TransportError("use", name, cause: error)
        }
    }

    /// Adds a channel; one that comes after the abort is aborted at once.
    func add(_ channel: Channel) -> Channel {
        let isLate = state.withLock { state in
            state.entries.removeAll { $0.channel == nil }
            state.entries.append(Entry(channel: channel))
            return state.isAborted
        }
        if isLate { channel.abort() }
        return channel
    }

    func abort() {
        let channels = state.withLock { state in
            state.isAborted = true
            return state.entries.compactMap(\.channel)
        }
        wake.signal()
        for channel in channels { channel.abort() }
    }
}
