import BerthTestSupport
import BerthWire
import Testing

@testable import BerthImages

/// What is read of a domain's XML, and what isn't taken for one.
@Suite(.timeLimit(.minutes(5)))
struct DomainTests {
    private static let uuid = "00112233-4455-6677-8899-aabbccddeeff"
    private static let xml = """
        <domain type='kvm' xmlns:qemu='urn:q'>
          <name>vm &amp; more</name>
          <!-- <uuid>ffffffff-4455-6677-8899-aabbccddeeff</uuid> -->
          <metadata><x:y xmlns:x="z"><uuid>eeeeeeee-4455-6677-8899-aabbccddeeff</uuid></x:y></metadata>
          <uuid>
            \(uuid.uppercased())
          </uuid>
          <os firmware="efi"><type arch="x86_64" machine='pc-q35-10.0'>hvm</type></os>
          <devices><emulator/><type machine='pc-q35-9.0'/></devices>
          <qemu:commandline><qemu:arg value='-S'/></qemu:commandline>
        </domain>

        """

    private func fault(_ text: String) -> DomainDefinition.Fault? {
        do throws(DomainDefinition.Fault) {
            _ = try DomainDefinition(parsing: Array(text.utf8))
            return nil
        } catch {
            return error
        }
    }

    @Test func `UUID and machine are found in their places only`() throws {
        let definition = try DomainDefinition(parsing: Array(Self.xml.utf8))
        #expect(definition.uuid == GuestUUID(Self.uuid))
        #expect(definition.machine == "pc-q35-10.0")
        let empty = try DomainDefinition(parsing: Array("<?xml version='1.0'?>\n<domain/>".utf8))
        #expect(empty.uuid == nil && empty.machine == nil)
        for machine in [String(repeating: "a", count: 300), "pc\u{9b}", "pc&#10;-1"] {
            let text = "<domain><os><type machine='\(machine)'/></os></domain>"
            #expect(try DomainDefinition(parsing: Array(text.utf8)).machine == nil)
        }
    }

    @Test(
        arguments: [
            ("", "isn't well-formed: no element found in line 1", 0),
            ("<domain>", "isn't well-formed: no element found in line 1", 8),
            ("<domain>\n<name>vm</domain>", "isn't well-formed: mismatched tag in line 2", 19),
            ("<domain>a & b</domain>", "isn't well-formed: not well-formed (invalid token)", 11),
            ("<domain id=1/>", "isn't well-formed: not well-formed (invalid token)", 11),
            ("<domain a='1' a='2'/>", "isn't well-formed: duplicate attribute in line 1", 14),
            ("<domain/><domain/>", "isn't well-formed: junk after document element in line 1", 9),
            ("<domain>\u{1}</domain>", "isn't well-formed: not well-formed (invalid token)", 8),
            ("<domain>&x;</domain>", "isn't well-formed: undefined entity in line 1", 8),
            ("domain", "isn't well-formed: syntax error in line 1", 0),
            ("<network><domain/></network>", "isn't a domain's: it begins with <network>", 0),
            (
                "<!DOCTYPE d [<!ENTITY a 'b'>]><domain>&a;</domain>",
                "has a document type declaration, as none of libvirt's has", 12
            ),
        ] as [(String, String, Int)]
    )
    func `what isn't a definition is told with its place`(
        _ text: String,
        _ what: String,
        _ offset: Int
    ) {
        let fault = fault(text)
        #expect(fault?.what.hasPrefix(what) == true, "\(String(describing: fault))")
        #expect(fault?.offset == offset)
    }

    @Test func `a text that breaks off anywhere is no definition`() {
        let end = Self.xml.utf8.count - 1
        #expect(fault(Self.xml) == nil)
        for count in 0..<end {
            let text = String(decoding: Self.xml.utf8.prefix(count), as: UTF8.self)
            #expect(fault(text) != nil, "\(count) bytes")
        }
    }

    @Test func `neither depth nor length nor strange bytes do harm`() throws {
        let depth = 200_000
        let nested =
            "<domain>" + String(repeating: "<a>", count: depth)
            + String(repeating: "</a>", count: depth) + "<uuid>"
            + String(repeating: "1", count: 1 << 20) + "</uuid></domain>"
        #expect(try DomainDefinition(parsing: Array(nested.utf8)).uuid == nil)
        var generator = SeededGenerator()
        for _ in 0..<2000 {
            var bytes = Array(Self.xml.utf8)
            for _ in 0..<3 {
                bytes[Int.random(in: bytes.indices, using: &generator)] =
                    UInt8.random(in: 0...255, using: &generator)
            }
            if let definition = try? DomainDefinition(parsing: bytes) {
                #expect((definition.machine ?? "").utf8.count < bytes.count)
            }
        }
    }

    @Test(
        arguments: [
            ("q35", "pc-q35-10.0", true), ("pc-q35-10.0", "pc-q35-10.0", true),
            ("pc-q35-10.0", "pc-q35-9.2", false), ("pc-q35-10.0", "none", false),
            ("s390-ccw-virtio", "s390-ccw-virtio-10.0", true),
        ]
    )
    func `a machine that can't be the stream's is told`(
        _ machine: String,
        _ streamMachine: String,
        _ isSame: Bool
    ) throws {
        let xml = "<domain><os><type machine='\(machine)'/></os></domain>"
        let definition = try DomainDefinition(parsing: Array(xml.utf8))
        let found = definition.contradictions(to: ConfigurationSection(machineName: streamMachine))
        let text = "the domain XML has the machine '\(machine)', the stream has '\(streamMachine)'"
        #expect(found == (isSame ? [] : [text]))
    }
}

/// XML that is given for an image.
@Suite(.timeLimit(.minutes(5)))
struct GivenDomainTests {
    private let directory: PeersDirectory
    private let image: String

    init() throws {
        directory = try PeersDirectory()
        image = directory.file("image")
        var guest = try SavedGuest(["pc.ram": 8])
        guest.uuid = GuestUUID("00112233-4455-6677-8899-aabbccddeeff")
        guest.fill(0, 3)
        try guest.save(to: image, as: .sequential)
    }

    private func convert(_ xml: String) throws(ImageError) -> LibvirtSave? {
        let output = directory.file("output")
        var converter = ImageConverter(input: image, output: output, format: .libvirtRaw)
        converter.xml = Array(xml.utf8)
        try converter.convert()
        return try GuestImage(opening: output).libvirt
    }

    private func receive(_ xml: String) throws(ImageError) -> LibvirtSave? {
        let output = directory.file("output")
        var receiver = ImageReceiver(path: output, format: .libvirtSparse)
        receiver.domain = LibvirtDomain(xml: Array(xml.utf8))
        try receiver.receive(from: GuestImage(opening: image).openFile(), answers: nil)
        return try GuestImage(opening: output).libvirt
    }

    private static let right = """
        <domain type='kvm'><uuid>00112233-4455-6677-8899-aabbccddeeff</uuid>
        <os><type machine='pc-q35-10.0'>hvm</type></os></domain>
        """

    @Test func `the guest's own is taken`() throws {
        #expect(try convert(Self.right)?.xml == Array(Self.right.utf8))
        #expect(try receive(Self.right)?.xml == Array(Self.right.utf8))
    }

    @Test(
        arguments: [
            ("00112233", "00112234", "the domain XML has the UUID 00112234-4455"),
            ("q35-10.0", "q35-9.2", "the domain XML has the machine 'pc-q35-9.2', the stream has"),
            ("</uuid>", "", "the domain XML isn't well-formed: mismatched tag in line 2"),
            ("domain", "pool", "the domain XML isn't a domain's: it begins with <pool>"),
        ]
    )
    func `another one is refused`(_ part: String, _ other: String, _ reason: String) throws {
        let xml = Self.right.replacing(part, with: other)
        for (name, body) in [("convert", convert), ("receive", receive)] {
            let error = #expect(throws: ImageError.self) { _ = try body(xml) }
            #expect(
                error?.description.contains(reason) == true,
                "\(name): \(String(describing: error))"
            )
            #expect(error?.hint?.isEmpty == false)
            #expect(throws: (any Error).self) { try contents(of: directory.file("output")) }
        }
    }

    @Test func `a file that isn't the XML of a domain is refused by its name`() throws {
        let path = directory.file("vm1.xml")
        try store(Array(Self.right.utf8), at: path)
        #expect(try DomainXML.read(path) == Array(Self.right.utf8))
        try store(Array("<domain>".utf8), at: path)
        let error = #expect(throws: ImageError.self) { try DomainXML.read(path) }
        #expect(error?.description.hasPrefix("'\(path)' isn't well-formed: ") == true)
        try store(Array("<domain/>".utf8) + [UInt8](repeating: 0x20, count: 4 << 20), at: path)
        #expect(throws: ImageError.self) { try DomainXML.read(path) }
    }
}
