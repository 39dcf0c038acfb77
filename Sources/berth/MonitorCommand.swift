import ArgumentParser
import BerthClient

/// `berth monitor`: a console to a monitor of Berth or QEMU.
struct MonitorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "monitor",
        abstract: "Talk to a QMP or human monitor of Berth or QEMU.",
        discussion: """
            With a command, runs it and ends; the exit status is 1 if it failed:

                berth monitor vm.qmp query-status
                berth monitor vm.qmp migrate uri=file:vm.img
                berth monitor vm.qmp watch

            Without one, reads lines from a person, with editing and completion, or \
            from a pipe. 'help' lists the commands, 'watch' shows a migration until it \
            ends, 'exit' leaves; the endpoint goes on.
            """
    )

    @Argument(help: "The monitor's socket: PATH, or HOST:PORT for tcp.")
    var socket: String

    @Argument(parsing: .captureForPassthrough, help: "A command to run, with its arguments.")
    var command: [String] = []

    func run() throws {
        let status: Int32
        do throws(ClientError) {
            status = try MonitorConsole.run(address: socket, command: command) { message in
                complain(message)
            }
        } catch {
            fail(error.message, hint: error.hint)
        }
        throw ExitCode(status)
    }
}
