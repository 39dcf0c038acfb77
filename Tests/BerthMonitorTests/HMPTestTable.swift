import BerthQAPI
import Synchronization

@testable import BerthMonitor

/// A table with a command for each kind of argument, which show what they were given.
enum HMPTestTable {
    static let table = HMPCommandTable(
        [
            command(
                "word",
                [HMPParameter("a", .word), HMPParameter("b", .word, isOptional: true)]
            ),
            command("rest", [HMPParameter("a", .rest)]),
            command("int", [HMPParameter("a", .int32)]),
            command("long", [HMPParameter("a", .int64), HMPParameter("b", .int64)]),
            command("mebi", [HMPParameter("a", .mebibytes)]),
            command("size", [HMPParameter("a", .size, isOptional: true)]),
            command("switch", [HMPParameter("a", .onOff)]),
            command(
                "flags",
                [
                    HMPParameter("d", .flag("d")), HMPParameter("v", .flagValue("v")),
                    HMPParameter("r", .flag("r")), HMPParameter("a", .word),
                ]
            ),
            HMPCommand("stop", aliases: ["s"], summary: "stop the guest") { _ in },
            HMPCommand("quit", aliases: ["q"], summary: "end", endsSession: true) { _ in },
            HMPCommand("fail", summary: "go wrong\nand say so") {
                (_: HMPInvocation) async throws(QMPError) in
                throw QMPError("it went wrong", hint: "do it right")
            },
            HMPCommand(
                "color",
                parameters: [HMPParameter("name", .word), HMPParameter("state", .onOff)],
                summary: "switch a color",
                candidates: { [["red", "green", "grey"], ["off", "on"], []][min($0, 2)] },
                action: { _ in }
            ),
        ],
        information: [
            HMPCommand("status", summary: "show the status") {
                $0.console.writeLine("VM status: running")
            },
            HMPCommand("stats", summary: "show statistics") { _ in },
        ]
    )

    /// Shows its arguments in the order of its parameters.
    private static func command(_ name: String, _ parameters: [HMPParameter]) -> HMPCommand {
        HMPCommand(name, parameters: parameters, summary: "test") { invocation in
            let shown = parameters.map { parameter in
                switch invocation.arguments[parameter.name] {
                case .text(let text)?: "\(parameter.name)=<\(text)>"
                case .integer(let number)?: "\(parameter.name)=\(number)"
                case .flag(let flag)?: "\(parameter.name)=\(flag)"
                case nil: "-"
                }
            }
            invocation.console.writeLine(shown.joined(separator: " "))
        }
    }

    /// Runs a line as `human-monitor-command` does.
    static func output(_ line: String) async -> String {
        await table.output(of: line, monitor: MonitorContext(label: "test"))
    }
}
