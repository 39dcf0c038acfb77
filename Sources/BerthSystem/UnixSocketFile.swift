internal import Glibc

/// The file of a listening unix socket: makes room for it first and takes it away afterwards.
public struct UnixSocketFile: Sendable, Equatable {
    /// The file's path.
    public let path: String
    private let identity: FileStatus

    /// Listens at a path; a socket file left there by somebody who has gone is replaced.
    ///
    /// Anything that isn't a socket is left alone: losing a file to a typing error helps nobody.
    ///
    /// - Parameters:
    ///   - path: at most 107 bytes.
    ///   - backlog: connections that may wait to be accepted.
    ///   - mode: permission bits of the file, before the umask; `nil` leaves them to the umask.
    /// - Returns: the listener, and the file to remove in the end.
    /// - Throws: `SystemCallError`; `EEXIST` if something else than a socket lies at the path.
    public static func listen(
        at path: String,
        backlog: Int32 = 1,
        mode: UInt32? = nil
    ) throws(SystemCallError) -> Listener {
        let address = try SocketAddress.unix(path)
        if let present = try? FileStatus(path: path) {
            guard present.kind == .socket else {
                throw SystemCall.failure("replace by a socket", path, EEXIST)
            }
            try SystemCall.check("unlink", path) { unsafe unlink(path) }
        }
        let socket = try Sockets.listen(on: address, backlog: backlog, unixMode: mode)
        return Listener(
            descriptor: socket,
            file: UnixSocketFile(path: path, identity: try FileStatus(path: path))
        )
    }

    /// A listening socket and its file.
    public struct Listener: ~Copyable, Sendable {
        /// The listening socket.
        public var descriptor: OwnedDescriptor
        /// Its file; call `remove()` when the listener goes.
        public let file: UnixSocketFile

        init(descriptor: consuming OwnedDescriptor, file: UnixSocketFile) {
            self.descriptor = descriptor
            self.file = file
        }

        /// Hands over the socket.
        public consuming func takeDescriptor() -> OwnedDescriptor { descriptor }
    }

    /// Removes the file if it is still the one that was made here, not a successor's.
    public func remove() {
        guard let now = try? FileStatus(path: path), now == identity else { return }
        _ = unsafe unlink(path)
    }
}
