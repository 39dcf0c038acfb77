import BerthJSON
import BerthMonitor
import BerthQAPI
import Glibc

/// Reads the command line of `berth run`, which is that of `qemu-system-x86_64`.
///
/// Overview: two passes over the arguments. The first looks every option up; the second takes them
/// in order, each into a draft of the configuration. `finish` then does what depends on several
/// options, in the order in which QEMU comes to it, so that of several mistakes the same one is
/// reported.
///
/// Function: options that mean something to an endpoint are honoured, those of devices,
/// processors and screens are dropped, unknown ones are refused. Texts of errors are QEMU's, for
/// scripts that look for them.
public struct CommandLineReader {
    /// What the reader has to ask the process; a test gives its own answers.
    public struct Environment: Sendable {
        /// Whether the descriptor is open and was inherited, not opened by this process itself.
        public var isInherited: @Sendable (Int32) -> Bool
        /// Whether a file exists.
        public var fileExists: @Sendable (String) -> Bool

        /// The process itself.
        public static let process = Environment(
            isInherited: { number in
                let flags = fcntl(number, F_GETFD)
                return flags >= 0 && flags & FD_CLOEXEC == 0
            },
            fileExists: { path in unsafe access(path, F_OK) == 0 }
        )

        /// An environment with other answers.
        public init(
            isInherited: @escaping @Sendable (Int32) -> Bool,
            fileExists: @escaping @Sendable (String) -> Bool
        ) {
            self.isInherited = isInherited
            self.fileExists = fileExists
        }
    }

    let environment: Environment
    var draft: CommandLineDraft
    private var messages = ""

    private init(program: String, _ environment: Environment) {
        self.environment = environment
        draft = CommandLineDraft(program: program)
    }

    /// Reads a command line.
    ///
    /// - Parameters:
    ///   - program: last component of the program's path. One that begins with `qemu-system-` names
    ///     the guest's architecture.
    ///   - arguments: what follows the program's name, or `run`.
    public static func read(
        program: String,
        arguments: [String],
        environment: Environment = .process
    ) -> CommandLineResult {
        var reader = CommandLineReader(program: program, environment)
        do {
            let outcome = try reader.outcome(arguments)
            return CommandLineResult(messages: reader.messages, outcome: outcome)
        } catch {
            reader.report(error.messages)
            return CommandLineResult(messages: reader.messages, outcome: .failure)
        }
    }

    private mutating func outcome(
        _ arguments: [String]
    ) throws(CommandLineError) -> CommandLineResult.Outcome {
        let (options, images) = try CommandLineScanner.scan(arguments)
        for option in options {
            do {
                if let answer = try take(option) { return .answer(answer) }
            } catch {
                throw error.located(option.location)
            }
        }
        if let answer = draft.lateAnswer { return .answer(answer) }
        // An endpoint has no disks, but a word that should have been an option isn't a disk.
        for image in images where !environment.fileExists(image) {
            throw CommandLineError("Could not open '\(image)': No such file or directory")
                .located(image)
        }
        return .start(try finish())
    }

    /// Prints messages in the format that is in force now.
    mutating func report(_ list: [CommandLineMessage], location: String? = nil) {
        for var message in list {
            message.location = message.location ?? location
            messages += draft.format.line(message)
        }
    }

    /// Reads a value in the older grammar, and prints what is odd about it.
    mutating func options(
        _ option: GivenOption,
        _ list: QemuOptionList
    ) throws(CommandLineError) -> QemuOptions {
        let options = try QemuOptions(option.value, list)
        report(options.warnings, location: option.location)
        return options
    }

    /// Takes one option into the draft; answers the text of a question.
    private mutating func take(_ option: GivenOption) throws(CommandLineError) -> String? {
        guard let known = CommandLineOption.named(option.name) else { return nil }
        switch known.treatment {
        case .ignored: return nil
        case .refused(let what):
            throw CommandLineError("\(what) is not built into this version of Berth")
        case .honoured: break
        }
        if let answer = try answer(option) { return answer }
        if let answer = lateAnswer(option) {
            draft.lateAnswer = draft.lateAnswer ?? answer
            return nil
        }
        switch option.name {
        case "M", "machine", "m", "smp", "accel", "enable-kvm", "numa", "mem-path",
            "mem-prealloc":
            try takeMachine(option)
        case "object": try takeObject(option)
        case "chardev", "mon", "qmp", "qmp-pretty", "monitor", "serial":
            try takeDevice(option)
        case "incoming": try takeIncoming(option)
        case "global": try takeGlobal(option)
        default: try takeProcess(option)
        }
        return nil
    }
}

/// Turns the schema's errors into those of the command line.
func schemaChecked<Value>(
    _ body: () throws(QMPError) -> Value
) throws(CommandLineError) -> Value {
    do {
        return try body()
    } catch {
        throw CommandLineError(error.desc, hints: error.hint.map { [$0] } ?? [])
    }
}
