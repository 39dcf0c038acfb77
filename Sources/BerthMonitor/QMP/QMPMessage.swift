internal import BerthJSON
internal import BerthQAPI

/// The messages that a QMP monitor sends, as bytes.
///
/// Each is one JSON text and CR LF: libvirt takes nothing else for the end of a message.
struct QMPMessage {
    /// The version whose interface this is.
    static let version: JSONObject = ["micro": 2, "minor": 0, "major": 10]

    let isPretty: Bool

    /// What a client is told first.
    ///
    /// - Parameter package: free text about the build.
    func greeting(package: String) -> [UInt8] {
        bytes([
            "QMP": [
                "version": ["qemu": .object(Self.version), "package": .string(package)],
                "capabilities": ["oob"],
            ]
        ])
    }

    /// A reply to a command that has succeeded.
    func success(_ value: JSONValue, id: JSONValue?) -> [UInt8] {
        var reply: JSONObject = ["return": value]
        if let id { reply["id"] = id }
        return bytes(.object(reply))
    }

    /// A reply whose value is text already, in QMP's form of output.
    func success(text: String, id: JSONValue?) -> [UInt8] {
        guard !isPretty else {
            let value = try? parseJSON(Array(text.utf8), limits: .monitor)
            return success(value ?? .null, id: id)
        }
        var bytes = Array("{\"return\": ".utf8)
        bytes.append(contentsOf: text.utf8)
        if let id {
            bytes.append(contentsOf: ", \"id\": ".utf8)
            id.write(into: &bytes)
        }
        bytes.append(contentsOf: "}\r\n".utf8)
        return bytes
    }

    /// A reply to a command that has failed, or to something that is no command.
    func failure(_ error: QMPError, id: JSONValue?) -> [UInt8] {
        var reply = JSONObject()
        if let id { reply["id"] = id }
        reply["error"] = [
            "class": .string(error.errorClass.rawValue),
            // QMP has one text for both.
            "desc": .string(error.hint.map { "\(error.desc); \($0)" } ?? error.desc),
        ]
        return bytes(.object(reply))
    }

    /// Any message.
    func bytes(_ message: JSONValue) -> [UInt8] {
        var bytes: [UInt8] = []
        message.write(into: &bytes, pretty: isPretty)
        bytes.append(contentsOf: [0x0D, 0x0A])
        return bytes
    }
}
