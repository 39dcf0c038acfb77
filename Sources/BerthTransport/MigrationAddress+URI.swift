extension MigrationAddress {
    /// What runs the text of an `exec:` address.
    static let shell = ["/bin/sh", "-c"]

    /// Reads an address in URI form.
    ///
    /// ```
    /// uri  = "tcp:" inet | "unix:" path | "vsock:" cid ":" port | "fd:" name
    ///      | "exec:" shell-text | "file:" path [ ",offset=" size ] | "rdma:" inet
    /// inet = ( ":" port | "[" v6 "]:" port | host ":" port ) *( "," option )
    /// ```
    ///
    /// The scheme is lower case. Origin: QEMU 10.0's `migrate`, as observed.
    ///
    /// - Throws: `TransportError` that says what is wrong with the text.
    public init(uri: String) throws(TransportError) {
        guard let colon = uri.utf8.firstIndex(of: UInt8(ascii: ":")) else {
            throw Self.unknownScheme(uri)
        }
        let rest = String(uri[uri.utf8.index(after: colon)...])
        switch uri[..<colon] {
        case "tcp": self = .tcp(try InetAddress(rest, in: uri))
        case "rdma": self = .rdma(try InetAddress(rest, in: uri))
        case "unix":
            guard !rest.isEmpty else { throw Self.malformed(uri, "the path is missing") }
            self = .unix(UnixAddress(path: rest))
        case "vsock": self = try Self.vsock(rest, in: uri)
        case "fd":
            guard !rest.isEmpty else {
                throw Self.malformed(uri, "the descriptor's name is missing")
            }
            self = .fd(rest)
        case "exec": self = .exec(Self.shell + [rest])
        case "file": self = try Self.file(rest, in: uri)
        default: throw Self.unknownScheme(uri)
        }
    }

    private static func vsock(
        _ text: String,
        in uri: String
    ) throws(TransportError) -> MigrationAddress {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty,
            !text.utf8.contains(UInt8(ascii: ","))
        else { throw malformed(uri, "it must be of the form vsock:CID:PORT") }
        return .vsock(cid: String(parts[0]), port: String(parts[1]))
    }

    private static func file(
        _ text: String,
        in uri: String
    ) throws(TransportError) -> MigrationAddress {
        let marker = ",offset="
        guard let range = text.firstOccurrence(of: marker) else {
            return .file(path: text, offset: 0)
        }
        let sizeText = text[range.upperBound...]
        guard let offset = ByteSize.parse(sizeText) else {
            throw malformed(
                uri,
                "the offset '\(sizeText)' isn't a size",
                hint: "give bytes, decimal or as 0x..., or a number with one of b, k, m, g, t, p, e"
            )
        }
        return .file(path: String(text[..<range.lowerBound]), offset: offset)
    }

    private static func unknownScheme(_ uri: String) -> TransportError {
        malformed(
            uri,
            "the migration protocol isn't known",
            hint: "an address begins with file:, fd:, exec:, unix:, tcp: or vsock:"
        )
    }

    static func malformed(_ uri: String, _ reason: String, hint: String? = nil) -> TransportError {
        TransportError("use the address", uri, reason: reason, hint: hint)
    }
}

extension InetAddress {
    /// Longest host and port, as in QEMU; names are shorter than that.
    static let hostByteLimit = 64
    static let portByteLimit = 32

    /// Reads `host:port,options`.
    init(_ text: String, in uri: String) throws(TransportError) {
        let main = text.prefix { $0 != "," }
        let host: Substring
        let port: Substring
        if text.hasPrefix("[") {
            guard let end = text.firstOccurrence(of: "]:") else {
                throw MigrationAddress.malformed(uri, "']:PORT' is missing after the IPv6 address")
            }
            host = text[text.index(after: text.startIndex)..<end.lowerBound]
            port = text[end.upperBound...].prefix { $0 != "," }
            guard !host.isEmpty else {
                throw MigrationAddress.malformed(uri, "the IPv6 address is missing")
            }
        } else {
            guard let colon = main.firstIndex(of: ":") else {
                throw MigrationAddress.malformed(uri, "it must be of the form HOST:PORT")
            }
            host = main[..<colon]
            port = main[main.index(after: colon)...]
        }
        guard !port.isEmpty else { throw MigrationAddress.malformed(uri, "the port is missing") }
        guard host.utf8.count <= Self.hostByteLimit, port.utf8.count <= Self.portByteLimit else {
            throw MigrationAddress.malformed(
                uri,
                "the host is longer than \(Self.hostByteLimit) or the port than "
                    + "\(Self.portByteLimit) bytes"
            )
        }
        self.init(host: String(host), port: String(port))
        try readOptions(text[port.endIndex...], in: uri)
    }

    /// Reads `,to=`, `,ipv4` and their kin; unknown ones are passed over, as QEMU does.
    private mutating func readOptions(_ text: Substring, in uri: String) throws(TransportError) {
        for option in text.split(separator: ",") {
            let parts = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let value = parts.count == 2 ? parts[1] : nil
            switch parts[0] {
            case "to":
                guard let value, let last = UInt16(value) else {
                    throw MigrationAddress.malformed(uri, "'to=' needs a port number")
                }
                lastPort = last
            case "ipv4": ipv4 = try Self.flag(value, option, in: uri)
            case "ipv6": ipv6 = try Self.flag(value, option, in: uri)
            case "keep-alive": keepAlive = try Self.flag(value, option, in: uri)
            case "mptcp": isMultipath = try Self.flag(value, option, in: uri)
            default: continue
            }
        }
    }

    private static func flag(
        _ value: Substring?,
        _ option: Substring,
        in uri: String
    ) throws(TransportError) -> Bool {
        switch value {
        case nil, "on": true
        case "off": false
        default: throw MigrationAddress.malformed(uri, "'\(option)' must end in =on or =off")
        }
    }
}

extension String {
    /// The first place where `needle`, which isn't empty, occurs.
    func firstOccurrence(of needle: String) -> Range<String.Index>? {
        let wanted = Array(needle.utf8)
        let bytes = utf8
        var start = bytes.startIndex
        while let end = bytes.index(start, offsetBy: wanted.count, limitedBy: bytes.endIndex) {
            if bytes[start..<end].elementsEqual(wanted) { return start..<end }
            bytes.formIndex(after: &start)
        }
        return nil
    }
}
