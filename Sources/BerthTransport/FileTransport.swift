internal import BerthSystem
internal import Glibc
internal import SystemPackage

/// Opens `file:` addresses.
enum FileTransport {
    /// How a file is to be opened.
    struct Request {
        let address: MigrationAddress
        let path: String
        let offset: UInt64
        let direction: MigrationDirection
        /// The capability that needs to seek, if one does.
        var seekingCapability: String?
        /// Bypass the page cache.
        var isDirect = false
        /// The file is open already for this migration: what is in it stays.
        var isAdditional = false

        var name: String { address.description }
    }

    /// Permission bits of a new file: guest memory is nobody else's business.
    private static let newFileMode: UInt32 = 0o600

    /// Opens the file, checks it, and only then discards what an outgoing migration will replace.
    ///
    /// Opening never waits: a FIFO without a reader is an error, not a hang.
    ///
    /// - Throws: `TransportError`.
    static func open(
        _ request: Request,
        _ resources: TransportResources
    ) throws(TransportError) -> Channel {
        guard let place = off_t(exactly: request.offset) else {
            throw TransportError(
                "open",
                request.name,
                reason: "the offset \(request.offset) is beyond what files can have, \(off_t.max)"
            )
        }
        let descriptor = try openDescriptor(request, resources)
        let status: FileStatus
        do {
            status = try FileStatus(of: descriptor.raw)
        } catch {
            throw TransportError("open", request.name, cause: error)
        }
        try check(status, descriptor, request)
        if request.direction == .outgoing, !request.isAdditional {
            try ImageLock.takeForWriting(
                descriptor,
                from: request.offset,
                request.name,
                // A descriptor of a set isn't closed with the channel.
                isOwn: (try? request.address.fdSetID()) ?? nil == nil
            )
        }
        do {
            // Not for a file that is as long already: ext4 writes one that was cut to nothing out
            // when it is closed, which a new image would pay half a second a GiB for.
            if request.direction == .outgoing, !request.isAdditional, status.kind == .regularFile,
                status.byteCount != request.offset
            {
                try SystemCall.check("ftruncate", request.path) {
                    ftruncate(descriptor.raw, place)
                }
            }
            if status.isSeekable {
                try SystemCall.check("lseek", request.path) {
                    lseek(descriptor.raw, place, CInt(SEEK_SET))
                }
            }
        } catch {
            throw TransportError("prepare", request.name, cause: error)
        }
        return try Channel(descriptor, name: request.name)
    }

    /// Opens the address's file once more, without discarding what is in it.
    ///
    /// - Throws: `TransportError`, also for an address that isn't a file.
    static func openAdditional(
        _ address: MigrationAddress,
        _ direction: MigrationDirection,
        isDirect: Bool,
        _ resources: TransportResources
    ) throws(TransportError) -> Channel {
        guard case .file(let path, let offset) = address else {
            throw TransportError(
                "open again",
                address.description,
                reason: "'\(address.transportName)' can't be opened a second time",
                hint: "use file:PATH"
            )
        }
        var request = Request(address: address, path: path, offset: offset, direction: direction)
        request.isDirect = isDirect
        request.isAdditional = true
        return try open(request, resources)
    }

    private static func openDescriptor(
        _ request: Request,
        _ resources: TransportResources
    ) throws(TransportError) -> OwnedDescriptor {
        do {
            if let set = try request.address.fdSetID() {
                let access = FileAccess(
                    mode: request.direction.accessMode,
                    isDirect: request.isDirect
                )
                return try resources.fdSets.open(set: set, access)
            }
        } catch {
            throw TransportError("open", request.name, reason: error.description)
        }
        var flags = O_NONBLOCK | (request.direction == .outgoing ? O_WRONLY : O_RDONLY)
        if request.direction == .outgoing && !request.isAdditional { flags |= O_CREAT }
        do {
            return try OwnedDescriptor.open(
                request.path,
                flags,
                mode: newFileMode,
                isDirect: request.isDirect
            )
        } catch {
            throw TransportError("open", request.name, cause: error, hint: hint(error, request))
        }
    }

    private static func check(
        _ status: FileStatus,
        _ descriptor: borrowing OwnedDescriptor,
        _ request: Request
    ) throws(TransportError) {
        if status.kind == .directory {
            throw TransportError(
                "open",
                request.name,
                cause: SystemCall.failure("open", request.path, EISDIR)
            )
        }
        // The address has been checked before; this is the object that was really opened.
        if let capability = request.seekingCapability {
            let obstacle: String?
            do {
                obstacle = try SeekObstacle.of(descriptor)
            } catch {
                throw TransportError("open", request.name, cause: error)
            }
            if let obstacle { throw SeekObstacle.error(obstacle, capability, request.name) }
        }
        guard status.isSeekable || request.offset == 0 else {
            throw TransportError(
                "open",
                request.name,
                reason: "a \(status.kind.rawValue) has no offset \(request.offset)"
            )
        }
    }

    private static func hint(_ error: SystemCallError, _ request: Request) -> String? {
        switch error.errno.rawValue {
        case ENXIO: "if it is a pipe, start its reader first"
        case EINVAL where request.isDirect: "its file system may not support direct-io"
        default: nil
        }
    }
}
