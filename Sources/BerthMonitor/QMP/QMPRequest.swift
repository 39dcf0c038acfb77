internal import BerthJSON
internal import BerthQAPI

/// A request whose form is right: which command, with which arguments.
struct QMPRequest {
    let name: String
    let isOOB: Bool
    let arguments: JSONObject

    /// Checks the form of a request.
    ///
    /// - Parameters:
    ///   - members: the request.
    ///   - allowsOOB: whether the client has switched out-of-band execution on.
    /// - Throws: `QMPError`, for the first member that is wrong or for one that is missing.
    init(_ members: JSONObject, allowsOOB: Bool) throws(QMPError) {
        var name: String?
        var outOfBandName: String?
        var arguments = JSONObject()
        for (key, value) in members {
            switch key {
            case "id": break
            case "execute": name = try Self.string(value, key)
            case "exec-oob" where allowsOOB: outOfBandName = try Self.string(value, key)
            case "arguments":
                guard case .object(let object) = value else {
                    throw QMPError("QMP input member 'arguments' must be an object")
                }
                arguments = object
            default: throw QMPError("QMP input member '\(key)' is unexpected")
            }
        }
        guard name == nil || outOfBandName == nil else {
            throw QMPError("QMP input member 'execute' clashes with 'exec-oob'")
        }
        guard let command = name ?? outOfBandName else {
            throw QMPError("QMP input lacks member 'execute'")
        }
        self.name = command
        self.arguments = arguments
        isOOB = outOfBandName != nil
    }

    /// Whether a request goes past those that wait, however wrong it may be otherwise.
    static func isOutOfBand(_ value: JSONValue) -> Bool {
        guard case .object(let members) = value else { return false }
        return members["exec-oob"] != nil && members["execute"] == nil
    }

    private static func string(
        _ value: JSONValue,
        _ key: String
    ) throws(QMPError) -> String {
        guard case .string(let text) = value else {
            throw QMPError("QMP input member '\(key)' must be a string")
        }
        return text
    }
}
