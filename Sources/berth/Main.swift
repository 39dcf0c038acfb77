import ArgumentParser
import BerthServer
import BerthSystem
import Glibc

/// The entry: an endpoint starts without the argument parser, which has no part in its options.
@main
enum Main {
    static func main() async {
        // Or a socket could get the number of a standard stream that the caller closed.
        OwnedDescriptor.reserveStandardStreams()
        let arguments = CommandLine.arguments
        let program = arguments.first.map(Self.lastComponent) ?? "berth"
        if program.hasPrefix("qemu-system-") {
            RunCommand.run(program: program, Array(arguments.dropFirst()))
        }
        if arguments.dropFirst().first == "run" {
            RunCommand.run(program: program, Array(arguments.dropFirst(2)))
        }
        await BerthCommand.main()
    }

    private static func lastComponent(_ path: String) -> String {
        path.split(separator: "/").last.map(String.init) ?? path
    }
}

/// `berth`, and what it can do.
struct BerthCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "berth",
        abstract: "One end of a virtual-machine migration, without a hypervisor.",
        version: BerthVersion.current,
        subcommands: [
            RunHelp.self, ReceiveCommand.self, SendCommand.self, ConvertCommand.self,
            ExtractCommand.self, VerifyCommand.self, SealCommand.self,
            InspectCommand.self, DiffCommand.self, DemoCommand.self, MonitorCommand.self,
        ]
    )
}

/// `berth run`, for the list of commands; `Main` has taken it before it gets here.
struct RunHelp: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "An endpoint with QEMU's command line: berth run [options], see berth run -help."
    )

    @Argument(parsing: .captureForPassthrough, help: "QEMU's options.")
    var options: [String] = []
}
