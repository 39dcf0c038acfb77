import BerthServer
import Glibc

/// `berth run`, and the whole command where the binary is called `qemu-system-*`.
enum RunCommand {
    /// Runs an endpoint on the calling thread until it ends, then ends the process.
    static func run(program: String, _ arguments: [String]) -> Never {
        exit(EndpointProcess(program: program).run(arguments))
    }
}
