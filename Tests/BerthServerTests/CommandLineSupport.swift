import BerthServer
import Testing

/// A command line of `berth run`, called `qemu-system-x86_64`, and what came of it.
struct CommandLineTrial: CustomTestStringConvertible {
    let words: [String]

    init(_ words: [String]) {
        self.words = words
    }

    /// Splits at blanks; none of the words may contain one.
    init(_ line: String) {
        words = line.split(separator: " ").map(String.init)
    }

    var testDescription: String { words.joined(separator: " ") }

    /// Descriptor 20 is one that was inherited, `/exists` is a file.
    func read(program: String = "qemu-system-x86_64") -> CommandLineResult {
        CommandLineReader.read(
            program: program,
            arguments: words,
            environment: CommandLineReader.Environment(
                isInherited: { $0 == 20 },
                fileExists: { $0 == "/exists" }
            )
        )
    }

    /// The configuration, of a command line that is right.
    func configuration(program: String = "qemu-system-x86_64") throws -> EndpointConfiguration {
        let result = read(program: program)
        guard case .start(let configuration) = result.outcome else {
            throw Refusal(messages: result.messages)
        }
        return configuration
    }

    /// Lines on standard error, of a command line that is wrong.
    func complaints() -> [String]? {
        let result = read()
        guard case .failure = result.outcome else { return nil }
        return result.messages.split(separator: "\n").map(String.init)
    }

    struct Refusal: Error, CustomStringConvertible {
        let messages: String
        var description: String { messages }
    }
}
