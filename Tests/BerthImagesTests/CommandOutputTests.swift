import BerthJSON
import BerthQAPI
import BerthStream
import BerthSystem
import BerthTestSupport
import BerthTransport
import BerthWire
import Glibc
import Testing

@testable import BerthImages

/// What `berth` itself prints: to terminals, and to programs.
@Suite(.timeLimit(.minutes(5)))
struct CommandOutputTests {
    private let fixture: VerifyFixture
    private let program: String

    init() throws {
        fixture = try VerifyFixture(hasDevices: true)
        program = try #require(BuiltProgram.path("berth"))
    }

    /// Both outputs of a command, as they come.
    private func output(_ arguments: [String]) throws -> [UInt8] {
        let script = "\"$0\" \"$@\" 2>&1; true"
        let started = try ChildProcess.start(
            ["/bin/sh", "-c", script, program] + arguments,
            piping: .standardOutput
        )
        let pipe = started.takePipe()
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(pipe.raw, &buffer, buffer.count)
            guard count > 0 else { return bytes }
            bytes += buffer[..<count]
        }
    }

    /// Erases the screen, sets the title, rings, and begins a line of its own.
    private static let hostile = "\u{1b}[2J\u{1b}]0;t\u{7}\nvm.img: whole: all is well\u{202e}"

    /// A stream whose first page is for a block of that name.
    private func hostileImage() throws -> String {
        let path = try fixture.save(.sequential, name: "hostile")
        var bytes = try contents(of: path)
        var word: [UInt8] = []
        RAMWord(offset: 0, flags: .page).encode(into: &word)
        var record = word
        let name = Array(Self.hostile.utf8)
        record.append(UInt8(name.count))
        let list = try #require(firstIndex(of: Array("pc.bios".utf8), in: bytes))
        let place = try #require(firstIndex(of: word, in: Array(bytes[list...]))) + list
        bytes.replaceSubrange(place..., with: record + name + [UInt8](repeating: 1, count: 9000))
        try store(bytes, at: path)
        return path
    }

    @Test(arguments: [
        ["verify"], ["inspect"], ["extract", "--page", "0x1000"], ["seal"],
        ["convert", "--format", "mapped-ram"], ["diff"],
    ])
    func `names out of a file don't reach the terminal as they are`(
        _ command: [String]
    ) throws {
        let path = try hostileImage()
        var arguments = command + [path]
        if command[0] == "diff" { arguments.append(path) }
        if command[0] == "convert" { arguments.append(fixture.directory.file("out")) }
        let bytes = try output(arguments)
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(text.contains("a page for RAM block '\u{fffd}[2J"), "\(text)")
        #expect(!text.unicodeScalars.contains { $0.isInvisible && $0 != "\n" })
        let lines = text.split(separator: "\n")
        #expect(!lines.contains { $0.hasPrefix("vm.img") }, "\(text)")
        #expect(command[0] == "inspect" || lines.count == 1, "\(text)")
    }

    @Test func `names of devices can't begin lines of their own`() throws {
        var state = fixture.guest.state
        let name = "\u{1b}[31m\nX"
        state.description =
            Array(
                #"{"devices":[{"name":"\u001b[31m\nX","instance_id":0,"vmsd_name":"x","version":1,"#
                    .utf8
            ) + Array(#""fields":[]}]}"#.utf8)
        var guest = fixture.guest
        guest.state = state
        let path = fixture.directory.file("devices")
        try guest.save(to: path, as: .sequential)
        let lines = try fixture.verify(path).lines(for: "FILE")
        #expect(!lines.isEmpty && lines.allSatisfy { !$0.contains("\n") && !$0.contains(name) })
        #expect(lines.allSatisfy { !$0.unicodeScalars.contains(where: \.isInvisible) }, "\(lines)")
    }

    @Test func `JSON ends its lines as files do`() throws {
        let path = try fixture.save(.mappedRAM)
        for command in ["inspect", "verify", "diff"] {
            let files = command == "diff" ? [path, path] : [path]
            let bytes = try output([command, "--json"] + files)
            #expect(bytes.contains(0x0a) && !bytes.contains(0x0d), "\(command)")
            _ = try parseJSON(bytes)
        }
    }

    /// What is printed is what the schema says, and one document follows the other.
    @Test func `verify prints a document for each file`() throws {
        let whole = try fixture.save(.sequential, name: "whole")
        let short = fixture.directory.file("short")
        try store(Array(try contents(of: whole).dropLast(3)), at: short)
        let missing = fixture.directory.file("missing")
        let text = String(
            decoding: try output(["verify", "--json", whole, short, missing]),
            as: UTF8.self
        )
        let documents = text.split(separator: "}\n{").enumerated().map { index, part in
            (index > 0 ? "{" : "") + part + (index < 2 ? "}" : "")
        }
        #expect(documents.count == 3)
        let reports = try documents.map { text in
            let value = try parseJSON(Array(text.utf8))
            let report = try ImageCheckReport.decode(value, at: ArgumentPlace())
            #expect(report.toJSON() == value)
            return report
        }
        #expect(reports.map(\.file) == [whole, short, missing])
        #expect(reports.map(\.whole) == [true, false, false])
        #expect(reports[0].kind == "sequential stream" && reports[0].size == 78 * 4096)
        #expect(reports[0].faults.isEmpty && reports[0].problem == nil)
        let fault = try #require(reports[1].faults.first)
        #expect(fault.offset != nil && !fault.unpacked)
        #expect(fault.what.hasPrefix("data ends within the description"))
        #expect(fault.meaning == "the image isn't whole, QEMU refuses to load it")
        #expect(reports[2].problem?.message.contains(missing) == true)
        #expect(reports[2].faults.isEmpty)
    }

    /// The same of places in what a compressed stream unpacks to, and of seals.
    @Test func `verify's JSON says what was checked`() throws {
        let path = try fixture.save(.mappedRAM)
        try ImageSealer(path: path).seal(.blake3)
        let sealed = try fixture.verify(path).report(for: path)
        #expect(sealed.whole && sealed.seal == "blake3" && sealed.content == .seal)
        let quick = try fixture.verify(path, structureOnly: true).report(for: path)
        #expect(quick.whole && quick.seal == "blake3" && quick.content == ImageContentCheck.none)
        try ChangedFile(path).write([0x7e], at: 0x100_000)
        let damaged = try fixture.verify(path).report(for: path)
        #expect(!damaged.whole && damaged.faults.count == 1)
        #expect(damaged.faults.first?.offset == 0x100_000)
    }

    /// A paragraph that is broken in the source is broken a second time where it is shown.
    @Test(arguments: [
        "receive", "send", "convert", "extract", "verify", "seal", "inspect", "diff", "demo",
        "monitor",
    ])
    func `help is wrapped once`(_ command: String) throws {
        let text = String(decoding: try output([command, "--help"]), as: UTF8.self)
        let overview = text.prefix(upTo: text.firstRange(of: "USAGE:")?.lowerBound ?? text.endIndex)
        let lines = overview.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.count > 1)
        for (line, next) in zip(lines, lines.dropFirst()) {
            guard !line.isEmpty, !line.hasPrefix(" "), !next.hasPrefix(" "),
                let word = next.split(separator: " ").first
            else { continue }
            #expect(line.count + 1 + word.count > 79, "\(command): \(line)")
        }
        if command == "convert" || command == "receive" {
            #expect(text.ranges(of: "libvirt-bzip2").count == 1)
        }
    }
}
