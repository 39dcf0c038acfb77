import Testing

@testable import BerthMonitor

@Suite struct HMPHelpTests {
    @Test func `lists all commands by name with their arguments`() async {
        let lines = await HMPTestTable.output("help").split(separator: "\r\n").map(String.init)
        #expect(lines.contains("stop|s  -- stop the guest"))
        #expect(lines.contains("word a [b] -- test"))
        #expect(lines.contains("flags [-d] [-v v] [-r] a -- test"))
        #expect(lines.contains("help|? [cmd] -- show the help"))
        #expect(lines.contains { $0.hasPrefix("info [subcommand] -- ") })
        let commands = lines.filter { !$0.hasPrefix("\t") }
        #expect(commands == commands.sorted())
        #expect(await HMPTestTable.output("?") == (await HMPTestTable.output("help")))
    }

    @Test func `lists what info can show, by help and by info alone`() async {
        let expected =
            "info history  -- show the command line history\r\n"
            + "info stats  -- show statistics\r\n"
            + "info status  -- show the status\r\n"
        #expect(await HMPTestTable.output("info") == expected)
        #expect(await HMPTestTable.output("help info") == expected)
    }

    @Test(arguments: [
        ("help s", "stop|s  -- stop the guest\r\n"),
        ("help stop extra", "stop|s  -- stop the guest\r\n"),
        ("help info status", "info status  -- show the status\r\n"),
        ("help info bogus", "unknown command: 'info bogus'\r\n"),
        ("help bogus", "unknown command: 'bogus'\r\n"),
        ("help fail", "fail  -- go wrong\r\n\t\t\t and say so\r\n"),
        ("help \"s", "Error: unterminated string\r\n"),
    ])
    func `explains one command`(line: String, expected: String) async {
        #expect(await HMPTestTable.output(line) == expected)
    }

    @Test func `keeps 64 lines of history and moves repeated ones to the end`() async {
        let history = HMPHistory()
        for number in 0..<70 { history.add("line \(number)") }
        history.add("")
        history.add("line 68")
        #expect(history.lines.count == 64)
        #expect(history.lines.first == "line 6")
        #expect(history.lines.suffix(2) == ["line 69", "line 68"])
    }

    @Test func `shows the history with the command that asks for it`() async {
        let shell = HMPShell(table: HMPTestTable.table, monitor: MonitorContext(label: "test"))
        let console = HMPTextConsole()
        _ = await shell.run("stop", on: console)
        _ = await shell.run("info history", on: console)
        #expect(console.text == "0: 'stop'\r\n1: 'info history'\r\n")
        #expect(await HMPTestTable.output("info history") == "")
    }

    @Test func `tells the session when quit has succeeded`() async {
        let shell = HMPShell(table: HMPTestTable.table, monitor: MonitorContext(label: "test"))
        #expect(await shell.run("stop", on: HMPTextConsole()) == .proceed)
        #expect(await shell.run("q x", on: HMPTextConsole()) == .proceed)
        #expect(await shell.run("q", on: HMPTextConsole()) == .quit)
    }
}
