import BerthSystem
import Glibc
import Testing

@testable import BerthClient

/// The other side of a connection, as a test has written it down.
///
/// A thread of its own plays it: the client blocks the test's thread.
struct ScriptedPeer {
    enum Step: Sendable {
        /// Send this.
        case send(String)
        /// Send these bytes.
        case bytes([UInt8])
        /// Wait until a whole line has come.
        case line
    }

    static let greeting =
        #"{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}, "package": ""}, "#
        + #""capabilities": ["oob"]}}"# + "\r\n"

    /// A greeting, and consent to the client's negotiation.
    static let negotiation: [Step] = [
        .send(greeting), .line, .send(#"{"return": {}, "id": "berth-1"}"# + "\r\n"),
    ]

    /// A connection to a peer that does these things, and then closes.
    static func connection(_ steps: [Step]) throws -> MonitorConnection {
        let pair = try Sockets.pair()
        let own = try pair.first.duplicate()
        let peer = try pair.second.duplicate().release()
        try NamedThread.start(name: "test-peer") {
            defer { close(peer) }
            for step in steps { perform(step, on: peer) }
        }
        return MonitorConnection(own, name: "peer")
    }

    private static func perform(_ step: Step, on raw: CInt) {
        switch step {
        case .send(let text): write(Array(text.utf8), to: raw)
        case .bytes(let bytes): write(bytes, to: raw)
        case .line:
            var byte: UInt8 = 0
            while byte != UInt8(ascii: "\n") {
                var request = pollfd(fd: raw, events: Int16(POLLIN), revents: 0)
                poll(&request, 1, -1)
                let count = read(raw, &byte, 1)
                guard count == 1 || (count < 0 && errno == EAGAIN) else { return }
            }
        }
    }

    private static func write(_ bytes: [UInt8], to raw: CInt) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                send(raw, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
            }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                var request = pollfd(fd: raw, events: Int16(POLLOUT), revents: 0)
                poll(&request, 1, -1)
            } else {
                return
            }
        }
    }
}

/// Runs something that blocks on a thread of its own.
func onThread<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in
        do {
            try NamedThread.start(name: "test-client") { continuation.resume(returning: body()) }
        } catch {
            fatalError("no thread: \(error)")
        }
    }
}
