import BerthTestSupport
import Foundation
import Glibc
import Synchronization

/// Stands between a source and a destination, each of whose connections it passes on, and can break
/// one of them.
final class MultifdProxy: Sendable {
    /// Where the source connects to.
    let path: String

    private let listener: CInt
    private let target: String
    /// Both ends of each connection, in the order in which they were made.
    private let connections = Mutex<[(CInt, CInt)]>([])

    /// Listens at a path, and connects to another for each connection.
    init(to target: String, listeningAt path: String) throws {
        self.path = path
        self.target = target
        listener = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
        guard Self.withAddress(path, { bind(listener, $0, $1) }) == 0, listen(listener, 16) == 0
        else { throw PeerFailure("cannot listen at '\(path)': errno \(errno)") }
        Thread.detachNewThread { [self] in accept() }
    }

    private func accept() {
        while true {
            let source = Glibc.accept(listener, nil, nil)
            guard source >= 0 else { return }
            let destination = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
            guard Self.withAddress(target, { connect(destination, $0, $1) }) == 0 else {
                close(source)
                close(destination)
                return
            }
            connections.withLock { $0.append((source, destination)) }
            for (from, to) in [(source, destination), (destination, source)] {
                Thread.detachNewThread { Self.copy(from, to) }
            }
        }
    }

    private static func copy(_ source: CInt, _ target: CInt) {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(source, &buffer, buffer.count)
            guard count > 0 else { break }
            var done = 0
            while done < count {
                let part = buffer[done..<count].withUnsafeBytes {
                    send(target, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
                }
                guard part > 0 else { break }
                done += part
            }
            if done < count { break }
        }
        // The end for the one, and an error for the other if it sends more.
        shutdown(target, CInt(SHUT_WR))
        shutdown(source, CInt(SHUT_RD))
    }

    /// Ends a connection for both sides; 0 is the first that was made.
    func breakConnection(_ index: Int) {
        connections.withLock { connections in
            guard connections.indices.contains(index) else { return }
            shutdown(connections[index].0, CInt(SHUT_RDWR))
            shutdown(connections[index].1, CInt(SHUT_RDWR))
        }
    }

    /// Ends all of them; the descriptors stay open, as a thread may still use them.
    func end() {
        shutdown(listener, CInt(SHUT_RDWR))
        for index in 0..<connections.withLock({ $0.count }) { breakConnection(index) }
    }

    private static func withAddress(
        _ path: String,
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt
    ) -> CInt {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(107)) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}
