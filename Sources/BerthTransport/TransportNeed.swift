internal import BerthSystem

/// What a capability or mode of migration asks of its transport.
public enum TransportNeed: Sendable, Equatable {
    /// Any byte can be written or read at any offset at any time: `mapped-ram`.
    case seekable
    /// Several channels to the same address: `multifd`, `postcopy-preempt`. A file does for that
    /// only together with `mapped-ram`, where each channel writes at offsets of its own.
    case severalChannels(withMappedRAM: Bool)
    /// The destination can answer: `return-path`, `postcopy-ram`.
    case bidirectional
    /// The destination reads while the source writes: mode `cpr-transfer`.
    case streamable
}

extension MigrationAddress {
    /// Checks, before anything is opened, created or truncated, that this address can serve a need.
    ///
    /// Files and descriptors are judged by the object behind them, which is looked at without being
    /// opened or taken; `FileTransport` looks again at what it has opened. A path where nothing is
    /// yet will be a regular file. What cannot be looked at passes: opening it tells why.
    ///
    /// - Parameters:
    ///   - need: what is asked of the transport.
    ///   - setting: who asks, as users know it: `capability 'mapped-ram'`.
    ///   - direction: whether `fd:` may be a number (incoming only).
    ///   - resources: where descriptors are looked up.
    /// - Throws: `TransportError` naming the setting, the transport and those that would do.
    public func require(
        _ need: TransportNeed,
        for setting: String,
        direction: MigrationDirection,
        resources: TransportResources
    ) throws(TransportError) {
        let problem: String? =
            switch need {
            case .seekable:
                switch self {
                case .file, .fd: seekObstacle(direction, resources)
                default: "what goes over '\(transportName)' cannot be written at an offset"
                }
            case .severalChannels(let withMappedRAM):
                switch self {
                case .tcp, .unix, .vsock: nil
                case .file: withMappedRAM ? nil : "a file has one channel without mapped-ram"
                default: "'\(transportName)' has one channel"
                }
            case .bidirectional:
                switch self {
                case .tcp, .unix, .vsock: nil
                case .fd(let name): answerObstacle(name, direction, resources)
                default: "'\(transportName)' goes one way only"
                }
            case .streamable:
                if case .file = self { "a file cannot be read while it is written" } else { nil }
            }
        guard let problem else { return }
        throw TransportError(
            "use \(setting) with",
            description,
            reason: "\(problem); \(need.transportsThatServe)"
        )
    }

    /// What stands against seeking in the object that a file or descriptor is now; `nil` also if
    /// there is none to be seen.
    private func seekObstacle(
        _ direction: MigrationDirection,
        _ resources: TransportResources
    ) -> String? {
        switch self {
        case .file(let path, _):
            guard let set = try? FDSets.setID(path: path) else {
                return (try? FileStatus(path: path)).flatMap { SeekObstacle.of($0.kind) }
            }
            let access = FileAccess(mode: direction.accessMode)
            guard let descriptor = try? resources.fdSets.open(set: set, access) else { return nil }
            return try? SeekObstacle.of(descriptor)
        case .fd(let name):
            guard let descriptor = Self.look(name, direction, resources) else { return nil }
            return try? SeekObstacle.of(descriptor)
        default:
            return nil
        }
    }

    private func answerObstacle(
        _ name: String,
        _ direction: MigrationDirection,
        _ resources: TransportResources
    ) -> String? {
        guard let descriptor = Self.look(name, direction, resources),
            let kind = try? FileStatus(of: descriptor.raw).kind, kind != .socket
        else { return nil }
        return "a \(kind.rawValue) goes one way only"
    }

    /// A duplicate of the descriptor that a name or number stands for.
    private static func look(
        _ name: String,
        _ direction: MigrationDirection,
        _ resources: TransportResources
    ) -> OwnedDescriptor? {
        if direction == .incoming, let number = DescriptorTransport.inheritedNumber(name) {
            return try? OwnedDescriptor.duplicate(of: number)
        }
        return resources.look(name)
    }
}

extension TransportNeed {
    /// Tells users which transports would do.
    var transportsThatServe: String {
        switch self {
        case .seekable:
            "use file:PATH, or fd:NAME, with a regular file or block device"
        case .severalChannels(withMappedRAM: _):
            "use tcp:, unix: or vsock:, or file: together with mapped-ram"
        case .bidirectional:
            "use tcp:, unix: or vsock:, or fd:NAME with a socket"
        case .streamable:
            "use tcp:, unix:, vsock:, fd: or exec:"
        }
    }
}
