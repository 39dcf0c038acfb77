import BerthStream
import BerthTestSupport
import BerthWire
import Foundation
import Testing

@testable import BerthImages

/// What the commands for images refuse before they do anything: the program itself.
@Suite(.requiresBerth, .timeLimit(.minutes(5)))
struct ImageCommandTests {
    private static let xml = "<domain type='qemu'><name>vm1</name></domain>"

    private let directory: PeersDirectory
    private let image: String

    init() throws {
        directory = try PeersDirectory()
        image = directory.file("vm.img")
        let guest = try SavedGuest(["ram": 8])
        guest.fill(0, 3)
        try guest.save(to: image, as: .sequential)
    }

    /// Runs `berth`.
    private func berth(
        _ arguments: [String],
        input: String? = nil
    ) throws -> (status: Int, output: String, error: String) {
        let program = try #require(Peers.berth)
        let process = try PeersProcess([program] + arguments, in: directory, input: input)
        return (try process.waitForExit(), process.output, process.errorOutput)
    }

    /// The image in a save file of libvirt's.
    private func saveFile(_ format: ImageFormat = .libvirtRaw) throws -> String {
        let path = directory.file("vm.save")
        var converter = ImageConverter(input: image, output: path, format: format)
        converter.xml = Array(Self.xml.utf8)
        try converter.convert()
        return path
    }

    @Test func `no command writes over what it reads`() throws {
        let save = try saveFile()
        let xml = directory.file("vm.xml")
        try store(Array(Self.xml.utf8), at: xml)
        let cases: [(input: String, status: Int, arguments: [String])] = [
            (save, 1, ["inspect", save, "--html", save]),
            (save, 2, ["diff", save, image, "--html", save]),
            (image, 2, ["diff", save, image, "--html", image]),
            (image, 1, ["convert", image, image, "--format", "mapped-ram"]),
            (xml, 1, ["convert", image, xml, "--format", "libvirt-raw", "--xml", xml]),
            (xml, 1, ["receive", xml, "--format", "libvirt-raw", "--xml", xml]),
        ]
        let parts = [
            ["--raw"], ["--elf"], ["--block", "ram"], ["--page", "0x3000"], ["--section", "timer"],
            ["--description"], ["--xml"],
        ]
        for (input, status, arguments) in cases
            + parts.map({ (save, 1, ["extract", save] + $0 + ["-o", save]) })
        {
            let before = try contents(of: input)
            let found = try berth(arguments, input: arguments[0] == "receive" ? image : nil)
            #expect(found.status == status, "\(arguments)")
            #expect(
                found.error.contains("is the same file as '\(input)', which is read"),
                "\(arguments): \(found.error)"
            )
            #expect(found.output == "")
            #expect(try contents(of: input) == before, "\(arguments)")
        }
    }

    @Test func `an image that standard input is read from isn't written over`() throws {
        let before = try contents(of: image)
        let found = try berth(["convert", "-", image, "--format", "mapped-ram"], input: image)
        #expect(found.status == 1)
        #expect(found.error.contains("is the same file as standard input, which is read"))
        #expect(try contents(of: image) == before)
    }

    @Test func `options that nothing could come of are refused`() throws {
        let output = directory.file("output")
        let xml = directory.file("vm.xml")
        try store(Array(Self.xml.utf8), at: xml)
        let cases: [(arguments: [String], reason: String)] = [
            (
                ["convert", image, output, "--format", "sequential", "--xml", xml],
                "--xml is for libvirt's formats: an image as sequential can't say it"
            ),
            (
                ["convert", image, output, "--format", "mapped-ram", "--running"],
                "--running is for libvirt's formats: an image as mapped-ram can't say it"
            ),
            (
                ["receive", output, "--xml", xml],
                "--xml is for libvirt's formats: an image as mapped-ram can't say it"
            ),
            (
                ["extract", image, "--raw", "--elf", "-o", output],
                "only one of --raw and --elf can be given"
            ),
            (["extract", image, "-o", output], "say what to extract: one of --raw, --elf,"),
        ]
        for (arguments, reason) in cases {
            let found = try berth(arguments, input: image)
            #expect(found.status == 64, "\(arguments)")
            #expect(found.error.contains(reason), "\(arguments): \(found.error)")
            #expect(!FileManager.default.fileExists(atPath: output), "\(arguments)")
        }
    }

    @Test func `what can't come through standard input is named`() throws {
        let other = directory.file("other")
        try store(
            [0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3] + [UInt8](repeating: 0, count: 99),
            at: other
        )
        let cases = [
            (try saveFile(), "a libvirt save file", true), (other, "a qcow2 disk image", false),
        ]
        let compressed = directory.file("stream.gz")
        try store(
            Array(
                contents(of: saveFile(.libvirtGzip)).dropFirst(92 + Self.xml.utf8.count + 1 + 65536)
            ),
            at: compressed
        )
        let output = directory.file("output")
        for (path, what, canBeNamed) in cases + [(compressed, "compressed with gzip", true)] {
            for arguments in [
                ["convert", "-", output, "--format", "mapped-ram"], ["receive", output],
            ] {
                let found = try berth(arguments, input: path)
                #expect(found.status == 1)
                let text = "standard input is \(what), not a migration stream"
                #expect(found.error.contains(text), "\(found.error)")
                #expect(found.error.contains("berth convert FILE OUTPUT") == canBeNamed)
                #expect(!FileManager.default.fileExists(atPath: output))
            }
        }
        #expect(
            try berth(["convert", "-", output, "--format", "mapped-ram"], input: image).status == 0
        )
    }

    @Test func `what isn't an image isn't sealed by force`() throws {
        let path = directory.file("text")
        try store(Array("root:x:0:0:root:/root:/bin/bash\n".utf8), at: path)
        let before = try contents(of: path)
        for options in [[], ["--force"], ["--remove"]] {
            let found = try berth(["seal", path] + options)
            #expect(found.status == 1)
            #expect(found.error.contains("is no saved guest"), "\(found.error)")
            #expect(!found.error.contains("--force"), "\(found.error)")
            #expect(try contents(of: path) == before)
        }
        // Nor one of which not all is there.
        try store(Array(contents(of: image).dropLast(900)), at: image)
        let found = try berth(["seal", image])
        #expect(found.status == 1 && !found.error.contains("--force"), "\(found.error)")
    }

    @Test func `a page for a browser takes the place of the text only`() throws {
        let page = directory.file("vm.html")
        #expect(try berth(["inspect", image, "--html", page]).output == "")
        let found = try berth(["inspect", image, "--html", page, "--json"])
        #expect(found.output.hasPrefix("{") && found.status == 0)
        #expect(try contents(of: page).starts(with: Array("<!".utf8)))
    }

    @Test func `a block that isn't there is told with those that are`() throws {
        let found = try berth(["extract", image, "--page", "rom:0"])
        #expect(found.status == 1 && found.error.contains("there is only 'ram'"), "\(found.error)")
    }
}
