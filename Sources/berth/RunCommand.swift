import BerthServer
import Glibc

/// `berth run`, and the whole command where the binary is called `qemu-system-*`.
enum RunCommand {
    /// Runs an endpoint until it ends, then ends the process.
    static func run(program: String, _ arguments: [String]) async -> Never {
        // Before any thread of the runtime exists, so that all of them inherit it.
        let signals = EndingSignals.block()
        let exitStatus = await EndpointProcess(program: program).run(arguments, signals)
        exit(exitStatus)
    }
}
