import BerthJSON
import Testing

@testable import BerthClient

@Suite struct QMPLineTests {
    @Test(
        arguments: [
            ("stop", "stop", [:]),
            ("migrate uri=tcp:h:1 detach=true", "migrate", ["uri": "tcp:h:1", "detach": true]),
            ("c a=1 b=-2 d=0.5 e=null", "c", ["a": 1, "b": -2, "d": 0.5, "e": nil]),
            ("c a=0x10 b=on d=", "c", ["a": "0x10", "b": "on", "d": ""]),
            ("c a.b=1 a.c.d=x", "c", ["a": ["b": 1, "c": ["d": "x"]]]),
            (#"c a="two words" b='10'"#, "c", ["a": "two words", "b": "10"]),
            (
                #"c a=[1, 2] b={"x": [true, "y z"]}"#, "c",
                ["a": [1, 2], "b": ["x": [true, "y z"]]]
            ),
            ("  c \t a=b=c  ", "c", ["a": "b=c"]),
        ] as [(String, String, JSONValue)]
    )
    func `reads a command with its arguments`(
        line: String,
        command: String,
        arguments: JSONValue
    ) throws {
        let read = try QMPLine(words: QMPLine.words(of: line))
        #expect(read.command == command)
        #expect(JSONValue.object(read.arguments) == arguments)
    }

    @Test(arguments: [
        "c x", "c =1", "c a=1 a=2", "c a=1 a.b=2", "c a.b=1 a=2", "c a=\"open", "c a={", "c a=]",
        "c " + (0...40).map { _ in "a" }.joined(separator: ".") + "=1", "",
    ])
    func `refuses what makes no sense and leaves the session alone`(line: String) {
        #expect {
            try QMPLine(words: QMPLine.words(of: line))
        } throws: { error in
            (error as? ClientError)?.kind == .badLine
        }
    }
}

@Suite struct MonitorAddressTests {
    @Test(
        arguments: [
            ("vm.qmp", .unix("vm.qmp")), ("/run/a:1", .unix("/run/a:1")),
            ("unix:a:1", .unix("a:1")),
            ("localhost:4444", .tcp(host: "localhost", port: "4444")),
            ("tcp:[::1]:4444", .tcp(host: "::1", port: "4444")),
        ] as [(String, MonitorAddress)]
    )
    func `tells a path from a host`(text: String, address: MonitorAddress) throws {
        #expect(try MonitorAddress(text) == address)
    }

    @Test(arguments: ["tcp:", "tcp:host", "tcp::1"])
    func `refuses a host without a port`(text: String) {
        #expect(throws: ClientError.self) { try MonitorAddress(text) }
    }
}
