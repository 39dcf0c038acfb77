import BerthJSON
import BerthQAPI
import BerthTransport

extension CommandLineReader {
    /// Takes `-incoming`: `defer`, a URI, or a channel as JSON or dotted keys.
    mutating func takeIncoming(_ option: GivenOption) throws(CommandLineError) {
        if option.value == "defer" {
            draft.incoming = IncomingRequest(address: nil, location: option.location)
            return
        }
        let address =
            Self.isURI(option.value)
            ? try uriAddress(option.value) : try channelAddress(option.value)
        if case .fd(let number) = address, Int32(number) == nil {
            throw CommandLineError("Invalid file descriptor number '\(number)'")
        }
        // Of several, the last one counts.
        draft.incoming = IncomingRequest(address: address, location: option.location)
    }

    /// Letters and a colon begin a URI; anything else is a channel.
    private static func isURI(_ text: String) -> Bool {
        let rest = text.utf8.drop { (0x41...0x5a).contains($0 & ~0x20) }
        return rest.first == UInt8(ascii: ":")
    }

    private func uriAddress(
        _ text: String
    ) throws(CommandLineError) -> BerthTransport.MigrationAddress {
        do {
            return try BerthTransport.MigrationAddress(uri: text)
        } catch {
            throw CommandLineError(error.description, hints: error.hint.map { [$0] } ?? [])
        }
    }

    private func channelAddress(
        _ text: String
    ) throws(CommandLineError) -> BerthTransport.MigrationAddress {
        let channel: MigrationChannel
        if text.hasPrefix("{") {
            let object = try jsonObject(text)
            channel = try schemaChecked { () throws(QMPError) in
                try MigrationChannel(checking: object)
            }
        } else {
            let object = try keyvalObject(text, impliedKey: "channel-type")
            channel = try schemaChecked { () throws(QMPError) in
                try MigrationChannel(checking: object, spelling: .keyval)
            }
        }
        guard channel.channelType == .main else {
            throw CommandLineError(
                "channel type 'cpr' is not built into this version of Berth"
            )
        }
        return try schemaChecked { () throws(QMPError) in
            try BerthTransport.MigrationAddress(channel.addr)
        }
    }

    /// Reads dotted keys.
    ///
    /// An implied value ends at its first comma, doubled or not.
    func keyvalObject(
        _ text: String,
        impliedKey: String?
    ) throws(CommandLineError) -> JSONObject {
        let head = text.prefix { $0 != "," && $0 != "=" }
        if impliedKey != nil, text.dropFirst(head.count).hasPrefix(",,") {
            throw CommandLineError("Invalid parameter ''")
        }
        return try schemaChecked { () throws(QMPError) in
            try KeyValueText.parse(text, impliedKey: impliedKey)
        }
    }
}
