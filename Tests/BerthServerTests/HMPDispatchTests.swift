import BerthJSON
import BerthMonitor
import BerthQAPI
import Testing

@testable import BerthServer

@Suite(.timeLimit(.minutes(1))) struct HMPDispatchTests {
    /// Answers each command with its name, or refuses it.
    private struct Handler: QMPHandler {
        func execute(
            _ command: QMPCommand,
            monitor: MonitorContext
        ) async throws(QMPError) -> JSONValue {
            guard command == .queryName else { throw QMPError("not \(command.name)") }
            return ["name": .string(monitor.label)]
        }

        func executeOOB(
            _ command: QMPCommand,
            monitor: MonitorContext
        ) async throws(QMPError) -> JSONValue {
            try await execute(command, monitor: monitor)
        }
    }

    private let dispatcher = CommandDispatcher()

    private func output(_ line: String) async -> String {
        await HMPCommands(handler: Handler(), dispatcher: dispatcher).table
            .output(of: line, monitor: MonitorContext(label: "monitor0"))
    }

    @Test func `takes its turn and brings back the reply or the error`() async {
        #expect(await output("info name") == "monitor0\r\n")
        #expect(await output("cont") == "Error: not cont\r\n")
    }

    @Test func `gives up when no command may begin any more`() async {
        dispatcher.close()
        #expect(await output("info name") == "Error: the endpoint is about to end\r\n")
    }
}
