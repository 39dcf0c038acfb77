import BerthStream
import BerthTestSupport
import BerthWire
import Foundation
import Glibc
import Testing

@testable import BerthImages

/// What is written never takes the place of what it is made from.
@Suite(.timeLimit(.minutes(5)))
struct OutputTests {
    /// Ways to say where the input is.
    enum Way: CaseIterable {
        case sameName, otherName, symbolicLink, hardLink
    }

    private static let xml = Array("<domain type='qemu'><name>vm1</name></domain>".utf8)

    private let directory: PeersDirectory

    init() throws {
        directory = try PeersDirectory()
    }

    private func image() throws -> String {
        let guest = try SavedGuest(["pc.ram": 8])
        guest.fill(0, 3)
        let path = directory.file("image")
        try guest.save(to: path, as: .sequential)
        return path
    }

    /// Another way to the same file.
    private func name(of path: String, _ way: Way) -> String {
        let link = directory.file("link")
        switch way {
        case .sameName: return path
        case .otherName: return directory.file("./image")
        case .symbolicLink: #expect(symlink(path, link) == 0)
        case .hardLink: #expect(Glibc.link(path, link) == 0)
        }
        return link
    }

    /// Runs `body`, which has to refuse and to leave everything as it is.
    private func expectRefusal(
        of path: String,
        _ body: () throws(ImageError) -> Void,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let before = try contents(of: path)
        let names = try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted()
        do throws(ImageError) {
            try body()
            Issue.record("nothing was refused", sourceLocation: sourceLocation)
        } catch {
            #expect(
                error.description.contains("it is the same file as '\(path)', which is read"),
                "\(error)",
                sourceLocation: sourceLocation
            )
        }
        #expect(try contents(of: path) == before, sourceLocation: sourceLocation)
        let after = try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted()
        #expect(after == names, sourceLocation: sourceLocation)
    }

    @Test(arguments: Way.allCases)
    func `a file isn't written over what it is from`(_ way: Way) throws {
        let image = try image()
        let output = name(of: image, way)
        try expectRefusal(of: image) { () throws(ImageError) in
            try ImageFile.write([1, 2, 3], to: output, from: ["/dev/null", image])
        }
    }

    @Test(arguments: Way.allCases)
    func `memory isn't written over its image`(_ way: Way) throws {
        let image = try image()
        let output = name(of: image, way)
        let extractor = try ImageExtractor(GuestImage(opening: image))
        try expectRefusal(of: image) { () throws(ImageError) in
            try extractor.writeRaw(to: output)
        }
        try expectRefusal(of: image) { () throws(ImageError) in
            try extractor.writeELF(to: output)
        }
        try expectRefusal(of: image) { () throws(ImageError) in
            try extractor.writeBlock("pc.ram", to: output)
        }
    }

    @Test(arguments: Way.allCases)
    func `an image isn't written over the one it is made from`(_ way: Way) throws {
        let image = try image()
        let output = name(of: image, way)
        try expectRefusal(of: image) { () throws(ImageError) in
            try ImageConverter(input: image, output: output, format: .mappedRAM).convert()
        }
        let pages = try GuestImage(opening: image).pages()
        try expectRefusal(of: image) { () throws(ImageError) in
            _ = try ImageWriter(
                creating: output,
                from: [image],
                as: .mappedRAM,
                configuration: pages.received.configuration,
                blocks: pages.blocks,
                deviceState: pages.received.deviceState
            )
        }
    }

    @Test func `a save file isn't written over the XML that goes into it`() throws {
        let image = try image()
        let xml = directory.file("vm1.xml")
        try store(Self.xml, at: xml)
        var converter = ImageConverter(input: image, output: xml, format: .libvirtRaw)
        converter.xml = Self.xml
        converter.xmlPath = xml
        try expectRefusal(of: xml) { () throws(ImageError) in try converter.convert() }
        var receiver = ImageReceiver(path: xml, format: .libvirtRaw)
        receiver.domain = LibvirtDomain(xml: Self.xml)
        receiver.inputs = [xml]
        try expectRefusal(of: xml) { () throws(ImageError) in
            try receiver.receive(from: GuestImage(opening: image).openFile(), answers: nil)
        }
    }

    @Test func `another file of that name is replaced`() throws {
        let image = try image()
        let output = directory.file("output")
        try store([1, 2, 3], at: output)
        try ImageFile.write([4], to: output, from: [image, directory.file("nowhere")])
        #expect(try contents(of: output) == [4])
    }
}
