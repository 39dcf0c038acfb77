import BerthQAPI
import BerthTransport

/// What the arguments of `migrate` and `migrate-incoming` come to: one address of the main channel.
struct MigrationTarget {
    let address: BerthTransport.MigrationAddress

    /// Reads `uri` or `channels`.
    ///
    /// - Throws: `QMPError` if neither or both are given, an address is malformed, or a channel is
    ///   one that Berth doesn't have.
    init(uri: String?, channels: [MigrationChannel]?, isIncoming: Bool) throws(QMPError) {
        let channels = channels ?? []
        switch (uri, channels.isEmpty) {
        case (let uri?, true):
            do {
                address = try BerthTransport.MigrationAddress(uri: uri)
            } catch {
                throw QMPError(error.description, hint: error.hint)
            }
        case (nil, false):
            address = try Self.main(of: channels, isIncoming: isIncoming)
        default:
            throw QMPError("need either 'uri' or 'channels' argument")
        }
    }

    private static func main(
        of channels: [MigrationChannel],
        isIncoming: Bool
    ) throws(QMPError) -> BerthTransport.MigrationAddress {
        if isIncoming {
            guard channels.count == 1 else {
                throw QMPError("channel list has more than one entries")
            }
            return try BerthTransport.MigrationAddress(channels[0].addr)
        }
        for type in [MigrationChannelType.main, .cpr] {
            guard channels.count(where: { $0.channelType == type }) <= 1 else {
                throw QMPError("channel list has more than one '\(type.rawValue)' channel")
            }
        }
        // A cpr channel counts only in mode cpr-transfer, which can't be set.
        guard let main = channels.first(where: { $0.channelType == .main }) else {
            throw QMPError("channel list has no 'main' channel")
        }
        return try BerthTransport.MigrationAddress(main.addr)
    }
}

extension BerthTransport.MigrationAddress {
    /// Translates the form of the monitor.
    /// - Throws: `QMPError` for a command without a program and for ports that can't be.
    init(_ address: BerthQAPI.MigrationAddress) throws(QMPError) {
        switch address {
        case .file(let file):
            self = .file(path: file.filename, offset: file.offset)
        case .exec(let command):
            guard !command.args.isEmpty else {
                throw QMPError("an 'exec' channel needs at least the program in 'args'")
            }
            self = .exec(command.args)
        case .rdma(let inet):
            self = .rdma(try InetAddress(inet))
        case .socket(.inet(let inet)):
            self = .tcp(try InetAddress(inet))
        case .socket(.unix(let unix)):
            self = .unix(
                UnixAddress(
                    path: unix.path,
                    isAbstract: unix.abstract,
                    isTight: unix.tight
                )
            )
        case .socket(.vsock(let vsock)):
            self = .vsock(cid: vsock.cid, port: vsock.port)
        case .socket(.fd(let descriptor)):
            self = .fd(descriptor.str)
        }
    }
}

extension InetAddress {
    fileprivate init(_ inet: InetSocketAddress) throws(QMPError) {
        var last: UInt16?
        if let to = inet.to {
            last = to
        }
        self.init(
            host: inet.host,
            port: inet.port,
            isNumeric: inet.numeric ?? false,
            lastPort: last,
            ipv4: inet.ipv4,
            ipv6: inet.ipv6,
            keepAlive: inet.keepAlive ?? false,
            isMultipath: inet.mptcp ?? false
        )
    }
}
