import Testing

@testable import BerthClient

@Suite struct ConsoleTextTests {
    private func text(_ input: String) -> ConsoleText {
        var text = ConsoleText()
        for byte in input.utf8 { text.take(byte) }
        return text
    }

    /// The echo of QEMU 10.0.2: after each key the cursor goes back and the line is drawn anew.
    static func echo(_ line: String) -> String {
        line.indices.map { index in
            let typed = line[...index]
            return String(repeating: "\u{1B}[D", count: typed.count - 1) + typed + "\u{1B}[K"
        }.joined() + "\r\n"
    }

    @Test func `is what stands on the screen after a line was drawn again and again`() {
        let shown = text(Self.echo("info status") + "VM status: running\r\n(qemu) ")
        #expect(shown.lines == ["info status", "VM status: running"])
        #expect(shown.openLine == "(qemu) ")
        #expect(shown.hasSequences)
    }

    @Test func `knows plain text from a line that was drawn`() {
        let shown = text("a\tb\r\nc")
        #expect(shown.lines == ["a\tb"])
        #expect(shown.openLine == "c")
        #expect(!shown.hasSequences)
    }

    @Test(arguments: [
        ("abc\rx", "xbc"), ("abc\u{8}\u{8}x", "axc"), ("abc\u{1B}[2Dx", "axc"),
        ("a\u{1B}[9Dx", "x"),
        ("a\u{1B}[99999999999999999999Cx", "ax"), ("a\u{1B}[31mb\u{7}\u{1}", "ab"),
        ("\u{1B}[K\u{1B}[D", ""),
    ])
    func `follows the cursor and drops other sequences`(input: String, line: String) {
        #expect(text(input).openLine == line)
    }

    @Test func `breaks a line without an end`() {
        let shown = text(String(repeating: "x", count: ConsoleText.columnLimit + 1))
        #expect(shown.lines.map(\.utf8.count) == [ConsoleText.columnLimit])
        #expect(shown.openLine == "x")
    }
}
