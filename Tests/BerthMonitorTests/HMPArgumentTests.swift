import Testing

@testable import BerthMonitor

@Suite struct HMPArgumentTests {
    @Test(arguments: [
        ("word x", "a=<x> -"),
        ("  word   x\ty ", "a=<x> b=<y>"),
        (#"word "x y" "a\n\r\\\'\"b""#, "a=<x y> b=<a\r\n\r\\'\"b>"),
        (#"word """#, "a=<> -"),
        (#"word a"b c"#, "a=<a\"b> b=<c>"),
        ("rest x  y \"z", "a=<x  y \"z>"),
        ("flags x", "- - - a=<x>"),
        ("flags -d x", "d=true - - a=<x>"),
        ("flags -d -v 7 -r x", "d=true v=<7> r=true a=<x>"),
        ("flags -r x", "- - r=true a=<x>"),
        ("switch on", "a=true"),
        ("switch off", "a=false"),
        ("size 2", "a=2097152"),
        ("size 1.5k", "a=1536"),
        ("size 0x10", "a=16777216"),
        ("size", "-"),
        ("mebi 1+1", "a=2097152"),
        ("int 1+2*3", "a=7"),
        ("int (1+2)*3", "a=9"),
        ("int 0x10|010", "a=24"),
        ("int ~0&0xff", "a=255"),
        ("int 7%4 - 'A' + 65", "a=3"),
        ("int 6^3", "a=5"),
        ("long 9223372036854775807+1 0", "a=-9223372036854775808 b=0"),
        ("long 0x8000000000000000/-1 1", "a=-9223372036854775808 b=1"),
        ("long 0 16", "a=0 b=16"),
    ])
    func `takes arguments apart`(line: String, expected: String) async {
        #expect(await HMPTestTable.output(line) == expected + "\r\n")
    }

    @Test(arguments: [
        ("word", ["word: string expected"]),
        ("word \"x", ["unterminated string", "word: string expected"]),
        (#"word "\q""#, [#"unsupported escape code: '\q'"#, "word: string expected"]),
        ("word a b c", ["word: extraneous characters at the end of line"]),
        ("word/x a", []),
        ("rest", ["rest: string expected"]),
        ("int", ["unexpected end of expression"]),
        ("int 1+", ["unexpected end of expression"]),
        ("int x", ["invalid char 'x' in expression"]),
        ("int 1/0", ["division by zero"]),
        ("int 1%0", ["division by zero"]),
        ("int (1", ["')' expected"]),
        ("int 'ab'", ["missing terminating ' character"]),
        ("int $pc", ["unknown register"]),
        ("int 4294967296", ["'int' has failed: integer is for 32-bit values"]),
        ("int 99999999999999999999", ["number too large or not a number: 99999999999999999999"]),
        ("long 0 16 /tmp/x", ["invalid char 't' in expression"]),
        ("mebi -1", ["enter a positive value"]),
        ("mebi 0x7fffffffffffffff", ["enter a positive value"]),
        ("size 10MB", ["invalid size"]),
        ("size -1", ["invalid size"]),
        ("switch", ["Expected 'on' or 'off'"]),
        ("switch yes", ["Expected 'on' or 'off'"]),
        ("switch on x", ["switch: extraneous characters at the end of line"]),
        ("flags -z x", ["flags: unsupported option -z"]),
        ("flags -", ["flags: unsupported option -"]),
        ("flags -dr x", ["flags: extraneous characters at the end of line"]),
        ("flags -r -d x", ["flags: extraneous characters at the end of line"]),
        ("flags -v", ["flags: value expected for -v"]),
        ("stop x", ["stop|s: extraneous characters at the end of line"]),
        ("s x", ["stop|s: extraneous characters at the end of line"]),
    ])
    func `says what is wrong and where there is help`(line: String, expected: [String]) async {
        // The name ends at a blank or a slash.
        let typed = line.prefix { $0 != " " && $0 != "/" }
        let lines = expected + ["Try \"help \(typed)\" for more information"]
        guard !expected.isEmpty else {
            // What follows a slash is the first argument.
            #expect(await HMPTestTable.output(line) == "a=</x> b=<a>\r\n")
            return
        }
        #expect(await HMPTestTable.output(line) == lines.map { $0 + "\r\n" }.joined())
    }

    @Test func `names subcommands as they were typed when their arguments are wrong`() async {
        #expect(
            await HMPTestTable.output("info  status x")
                == "status: extraneous characters at the end of line\r\n"
                + "Try \"help info  status\" for more information\r\n"
        )
    }

    @Test func `refuses an expression that nests too deeply for the stack`() async {
        let line = "int " + String(repeating: "(", count: 4000)
        #expect(await HMPTestTable.output(line).hasPrefix("expression nests more than"))
        let signs = "int " + String(repeating: "-", count: 4000) + "1"
        #expect(await HMPTestTable.output(signs).hasPrefix("expression nests more than"))
    }

    @Test(arguments: [
        ("bogus x", "unknown command: 'bogus'\r\n"),
        ("info bogus x", "unknown command: 'info bogus'\r\n"),
        ("st", "unknown command: 'st'\r\n"),
        ("", ""),
        ("   ", ""),
        ("fail", "Error: it went wrong\r\ndo it right\r\n"),
        ("s", ""),
        ("info status", "VM status: running\r\n"),
    ])
    func `runs exactly the command that was named`(line: String, expected: String) async {
        #expect(await HMPTestTable.output(line) == expected)
    }

    @Test func `never traps on a line of random bytes`() async {
        var seed: UInt64 = 7
        let names = [
            "word ", "rest ", "int ", "long ", "mebi ", "size ", "flags ", "help ", "info ",
        ]
        for round in 0..<2000 {
            var line = names[round % names.count]
            for _ in 0..<(round % 23) {
                seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                let byte = UInt8(truncatingIfNeeded: 0x20 + (seed >> 40) % 0x5F)
                line.unicodeScalars.append(UnicodeScalar(byte))
            }
            let output = await HMPTestTable.output(line)
            #expect(output.isEmpty || output.hasSuffix("\r\n"), "\(line)")
        }
    }
}
