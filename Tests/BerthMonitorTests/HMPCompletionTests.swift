import Testing

@testable import BerthMonitor

@Suite struct HMPCompletionTests {
    @Test(arguments: [
        ("st", "st", ["stop"]),
        ("q", "q", ["q", "quit"]),
        ("info st", "st", ["stats", "status"]),
        ("info ", "", ["history", "stats", "status"]),
        ("info status ", "", []),
        ("help fl", "fl", ["flags"]),
        ("? fl", "fl", ["flags"]),
        ("help info stat", "stat", ["stats", "status"]),
        ("help stop ", "", []),
        ("color gr", "gr", ["green", "grey"]),
        ("color red o", "o", ["off", "on"]),
        ("color red on ", "", []),
        ("bogus x", "x", []),
        ("word \"x", "", []),
        ("zz", "zz", []),
    ])
    func `offers what can follow`(line: String, word: String, candidates: [String]) {
        let completion = HMPTestTable.table.completion(of: line)
        #expect(completion.candidates == candidates)
        if !candidates.isEmpty { #expect(completion.word == word) }
    }

    @Test func `looks at no more than 16 words`() {
        let line = "color" + String(repeating: " x", count: 15) + " "
        #expect(HMPTestTable.table.completion(of: line).candidates == [])
    }

    @Test func `inserts what all candidates begin with`() {
        #expect(HMPTestTable.table.completion(of: "info st").commonPrefix == "stat")
        #expect(HMPTestTable.table.completion(of: "color g").commonPrefix == "gre")
        #expect(HMPTestTable.table.completion(of: "zz").commonPrefix == "")
    }

    @Test func `lists candidates in columns`() {
        let completion = HMPCompletion(word: "", candidates: ["a", "bb", "twelve chars", "d"])
        #expect(
            completion.columns(width: 30, end: "\r\n")
                == "a             bb\r\ntwelve chars  d\r\n"
        )
        #expect(completion.columns(width: 5, end: "\n") == "a\nbb\ntwelve chars\nd\n")
        let short = HMPCompletion(word: "", candidates: ["a", "b"])
        #expect(short.columns(width: 80, end: "\n") == "a         b\n")
    }
}
