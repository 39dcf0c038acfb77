import BerthJSON
import BerthQAPI
import Testing

/// A command as a client would send it, with arguments in QMP's JSON dialect.
struct CommandCall: CustomTestStringConvertible {
    let command: String
    let arguments: String

    init(_ command: String, _ arguments: String) {
        self.command = command
        self.arguments = arguments
    }

    var testDescription: String { "\(command) \(arguments)" }

    /// Checks the arguments as the monitor does.
    func decode() throws -> QMPCommand {
        guard case .object(let object) = try parseQMPText(arguments) else {
            throw QMPError("the test's arguments aren't an object")
        }
        return try QMPCommand.decode(name: command, arguments: object)
    }

    /// The text of the error; nil if there is none.
    func failure() throws -> String? {
        do {
            _ = try decode()
            return nil
        } catch let error as QMPError {
            return error.desc
        }
    }
}
