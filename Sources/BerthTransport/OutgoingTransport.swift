internal import BerthSystem
internal import Synchronization

/// The source's way to the destination: opens the channels to one address.
public final class OutgoingTransport: Sendable {
    /// Where the migration goes.
    public let address: MigrationAddress
    private let resources: TransportResources
    private let seekingCapability: String?
    private let channels: ChannelList

    /// Prepares to open an address; nothing is opened yet.
    ///
    /// - Parameters:
    ///   - address: where the migration goes.
    ///   - seekingCapability: the capability that writes at offsets, if one is on: `mapped-ram`.
    ///     The object that has been opened is checked for it before anything is discarded.
    ///   - resources: where descriptors are looked up.
    /// - Throws: `TransportError` when the process is out of descriptors.
    public init(
        address: MigrationAddress,
        seekingCapability: String? = nil,
        resources: TransportResources
    ) throws(TransportError) {
        self.address = address
        self.resources = resources
        self.seekingCapability = seekingCapability
        channels = try ChannelList(name: address.description)
    }

    /// Whether `openNow()` serves this address; otherwise `connect()` does.
    public var opensImmediately: Bool { !address.isSocket }

    /// Opens a file, takes a descriptor or starts a command, without waiting for anything.
    ///
    /// A file is created with mode 0600, or an existing one cut off at the offset, after every
    /// check that can be made without that.
    ///
    /// - Throws: `TransportError`.
    public func openNow() throws(TransportError) -> Channel {
        switch address {
        case .file(let path, let offset):
            let request = FileTransport.Request(
                address: address,
                path: path,
                offset: offset,
                direction: .outgoing,
                seekingCapability: seekingCapability
            )
            return try channels.add(FileTransport.open(request, resources))
        case .fd(let text):
            return try channels.add(
                DescriptorTransport.open(
                    address,
                    text,
                    .outgoing,
                    seekingCapability: seekingCapability,
                    resources
                )
            )
        case .exec(let arguments):
            return try channels.add(CommandTransport.open(address, arguments, .outgoing))
        case .rdma:
            throw address.rdmaError
        case .tcp, .unix, .vsock:
            throw TransportError(
                "open",
                address.description,
                reason: "a socket has to be connected to"
            )
        }
    }

    /// Connects to a socket address; may take as long as the network takes.
    ///
    /// - Throws: `TransportError`, `isAborted` after `abort()`.
    @available(*, noasync, message: "blocks its thread")
    public func connect() throws(TransportError) -> Channel {
        let socket = try SocketTransport.connect(to: address, abort: channels.wake)
        return try channels.add(Channel(socket, name: address.description))
    }

    /// Opens the file once more, at the address's offset and without discarding anything.
    ///
    /// - Parameter isDirect: bypass the page cache; with `/dev/fdset/N` the set must hold a
    ///   descriptor that was opened so.
    /// - Throws: `TransportError`, also for an address that isn't a file.
    public func openAdditionalFile(isDirect: Bool) throws(TransportError) -> Channel {
        try channels.add(
            FileTransport.openAdditional(address, .outgoing, isDirect: isDirect, resources)
        )
    }

    /// Ends an attempt to connect and aborts every channel that was opened here; later ones too.
    public func abort() { channels.abort() }
}

extension MigrationAddress {
    var rdmaError: TransportError {
        TransportError(
            "use",
            description,
            reason: "RDMA isn't supported",
            hint: "use tcp: on the same network"
        )
    }
}
