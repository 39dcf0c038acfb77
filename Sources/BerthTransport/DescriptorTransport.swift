internal import BerthSystem
internal import Glibc

/// Opens `fd:` addresses.
enum DescriptorTransport {
    /// The number of an inherited descriptor, if that is what the text begins like.
    ///
    /// - Returns: `nil` for a name; a negative number, never open, for digits that are no number.
    static func inheritedNumber(_ text: String) -> CInt? {
        guard let first = text.utf8.first, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first)
        else { return nil }
        return CInt(text) ?? -1
    }

    /// Takes the descriptor that the address stands for.
    ///
    /// - Parameter seekingCapability: the capability that needs to seek, if one does.
    /// - Throws: `TransportError`.
    static func open(
        _ address: MigrationAddress,
        _ text: String,
        _ direction: MigrationDirection,
        seekingCapability: String?,
        _ resources: TransportResources
    ) throws(TransportError) -> Channel {
        let name = address.description
        let descriptor = try find(text, name, direction, resources)
        do {
            let access = try descriptor.access()
            let wrong: FileAccess.Mode = direction == .outgoing ? .readOnly : .writeOnly
            guard access.mode != wrong else {
                throw TransportError("use", name, reason: "it was opened \(access.mode.rawValue)")
            }
            if let seekingCapability, let obstacle = try SeekObstacle.of(descriptor) {
                throw SeekObstacle.error(obstacle, seekingCapability, name)
            }
            if direction == .outgoing {
                // Somebody else may have the same open file.
                try ImageLock.takeForWriting(descriptor, from: 0, name, isOwn: false)
            }
        } catch let error as SystemCallError {
            throw TransportError("use", name, cause: error)
        } catch let error as TransportError {
            throw error
        } catch {
            throw TransportError("use", name, reason: "\(error)")
        }
        return try Channel(descriptor, name: name)
    }

    private static func find(
        _ text: String,
        _ name: String,
        _ direction: MigrationDirection,
        _ resources: TransportResources
    ) throws(TransportError) -> OwnedDescriptor {
        guard direction == .incoming, let number = inheritedNumber(text) else {
            guard let descriptor = resources.take(text) else {
                throw TransportError(
                    "use",
                    name,
                    reason: "no descriptor of this name is held by the monitor",
                    hint: "hand it in with getfd, on the same monitor"
                )
            }
            return descriptor
        }
        // Our own descriptors are close-on-exec, so a number can't be used to get at one of them.
        guard OwnedDescriptor.isInherited(number) else {
            throw TransportError(
                "use",
                name,
                reason: "no descriptor of this number was inherited",
                hint: "open it in the process that starts this one, or hand it in with getfd"
            )
        }
        do {
            // Standard streams stay with the process; any other number is used once.
            guard number > 2 else { return try OwnedDescriptor.duplicate(of: number) }
            let descriptor = OwnedDescriptor(number)
            try descriptor.setCloseOnExec()
            return descriptor
        } catch {
            throw TransportError("use", name, cause: error)
        }
    }
}
