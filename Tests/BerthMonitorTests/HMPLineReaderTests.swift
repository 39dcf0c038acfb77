import Testing

@testable import BerthMonitor

@Suite struct HMPLineReaderTests {
    private func lines(_ bytes: [UInt8]) -> [HMPLineReader.Output] {
        var reader = HMPLineReader()
        var index = 0
        var outputs: [HMPLineReader.Output] = []
        while let output = reader.next(in: bytes, at: &index) { outputs.append(output) }
        return outputs
    }

    private func lines(_ text: String) -> [HMPLineReader.Output] { lines(Array(text.utf8)) }

    @Test func `ends a line at CR and at LF`() {
        #expect(lines("a\nb\rc\r\nd") == [.line("a"), .line("b"), .line("c"), .line("")])
    }

    @Test(arguments: [
        ("ab\u{8}c\n", "ac"), ("ab\u{7F}\u{7F}\u{7F}c\n", "c"), ("aü\u{8}b\n", "ab"),
        ("ab\u{15}c\n", "c"), ("ab cd \u{17}e\n", "ab e"), ("a\u{3}\u{1A}b\u{0}c\n", "abc"),
        ("a\u{1B}[Ab\u{1B}[3~c\u{1B}OHd\u{1B}xe\n", "abcde"), ("ü€\n", "ü€"),
    ])
    func `takes back what a client takes back and skips keys`(typed: String, expected: String) {
        #expect(lines(typed) == [.line(expected)])
    }

    @Test func `gives the same lines however the bytes are cut`() {
        let bytes = Array("info status\r\nmigrate \"file:/x y\"\n\u{1B}[Ax\u{8}stop\n".utf8)
        let whole = lines(bytes)
        for cut in 0...bytes.count {
            var reader = HMPLineReader()
            var outputs: [HMPLineReader.Output] = []
            for part in [Array(bytes[..<cut]), Array(bytes[cut...])] {
                var index = 0
                while let output = reader.next(in: part, at: &index) { outputs.append(output) }
            }
            #expect(outputs == whole)
        }
    }

    @Test func `doesn't run half of a line that is too long`() {
        let fits = String(repeating: "x", count: 4095)
        #expect(lines(fits + "\n") == [.line(fits)])
        #expect(lines(fits + "y\nstop\n") == [.tooLong, .line("stop")])
    }
}
