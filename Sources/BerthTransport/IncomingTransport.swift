internal import BerthSystem
internal import Glibc
internal import Synchronization

/// The destination's way to the source: listens on an address, or opens what is to be read.
public final class IncomingTransport: Sendable {
    /// Where the migration comes from.
    public let address: MigrationAddress
    /// For `query-migrate`'s `socket-address`: what the listeners are bound to, with the ports that
    /// the kernel chose.
    ///
    /// Empty for files, descriptors and commands.
    public let boundAddresses: [MigrationAddress]

    private let resources: TransportResources
    private let channels: ChannelList
    let listener: SocketListener?
    /// The only channel of a file, descriptor or command, until somebody accepts it.
    private let single: Mutex<Channel?>

    /// Listens on a socket address, opens a file, takes a descriptor or starts a command.
    ///
    /// Only the look-up of a host's name can take time here; numeric addresses don't need any.
    ///
    /// - Parameters:
    ///   - address: where the migration comes from.
    ///   - seekingCapability: the capability that reads at offsets, if one is on: `mapped-ram`.
    ///   - resources: where descriptors are looked up.
    /// - Throws: `TransportError`; nothing is left open then.
    public init(
        address: MigrationAddress,
        seekingCapability: String? = nil,
        resources: TransportResources
    ) throws(TransportError) {
        self.address = address
        self.resources = resources
        channels = try ChannelList(name: address.description)
        var channel: Channel?
        var listener: SocketListener?
        switch address {
        case .file(let path, let offset):
            let request = FileTransport.Request(
                address: address,
                path: path,
                offset: offset,
                direction: .incoming,
                seekingCapability: seekingCapability
            )
            channel = try FileTransport.open(request, resources)
        case .fd(let text):
            channel = try DescriptorTransport.open(
                address,
                text,
                .incoming,
                seekingCapability: seekingCapability,
                resources
            )
        case .exec(let arguments):
            channel = try CommandTransport.open(address, arguments, .incoming)
        case .rdma:
            throw address.rdmaError
        case .tcp, .unix, .vsock:
            listener = try SocketListener.open(address)
        }
        boundAddresses = listener?.addresses ?? []
        self.listener = listener
        single = Mutex(channel)
    }

    deinit { listener?.close() }

    /// Waits for the next connection.
    ///
    /// A file, descriptor or command is there at once, and once only.
    ///
    /// - Throws: `TransportError`, `isAborted` after `abort()`.
    @available(*, noasync, message: "blocks its thread")
    public func accept() throws(TransportError) -> Channel {
        guard listener != nil else {
            let channel = single.withLock { $0.take() }
            guard let channel else {
                throw TransportError(
                    "accept from",
                    address.description,
                    reason: "'\(address.transportName)' has one channel only"
                )
            }
            return channels.add(channel)
        }
        while true {
            if case .connection(let channel) = try nextArrival(on: [], timeout: nil) {
                return channel
            }
        }
    }

    /// Raised by `abort()`.
    var wake: WakeEvent { channels.wake }

    /// Makes a channel of an accepted connection.
    func adopt(_ socket: consuming OwnedDescriptor) throws(TransportError) -> Channel {
        channels.add(try Channel(socket, name: address.description))
    }

    /// Opens the file once more, at the address's offset.
    ///
    /// - Parameter isDirect: bypass the page cache; with `/dev/fdset/N` the set must hold a
    ///   descriptor that was opened so.
    /// - Throws: `TransportError`, also for an address that isn't a file.
    public func openAdditionalFile(isDirect: Bool) throws(TransportError) -> Channel {
        try channels.add(
            FileTransport.openAdditional(address, .incoming, isDirect: isDirect, resources)
        )
    }

    /// Ends `accept()` and aborts every channel that came from here; later ones too.
    public func abort() { channels.abort() }

    /// Stops listening and removes a unix socket's file; accepted channels stay.
    ///
    /// For when no thread is in `accept()`: `abort()` gets one out of there.
    public func close() {
        listener?.close()
        _ = single.withLock { $0.take() }
    }
}
