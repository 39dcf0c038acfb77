import BerthImages
import BerthStream
import BerthTestSupport
import BerthWire
import Foundation
import Testing

/// Images that a program writes page by page.
struct ImageWriterTests {
    private let directory: PeersDirectory
    private let blocks = [
        StreamBlock(name: "ram", byteCount: 64 * 4096), StreamBlock(name: "rom", byteCount: 4096),
    ]

    init() throws { directory = try PeersDirectory() }

    private func writer(
        _ name: String,
        _ format: ImageFormat,
        integrity: IntegrityAlgorithm? = nil
    ) throws -> ImageWriter {
        try ImageWriter(
            creating: directory.file(name),
            as: format,
            configuration: ConfigurationSection(machineName: "none"),
            blocks: blocks,
            deviceState: .fresh(runState: "paused", machineName: "none"),
            domain: LibvirtDomain(xml: Array("<domain/>".utf8)),
            integrity: integrity
        )
    }

    private func page(_ value: UInt8) -> UnsafeMutableRawBufferPointer {
        let page = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 4096)
        page.initializeMemory(as: UInt8.self, repeating: value)
        return page
    }

    @Test(arguments: ImageFormat.allCases)
    func `what was written is read again`(_ format: ImageFormat) throws {
        let isCompressed = format.libvirt?.compression != nil
        let writer = try writer("image", format, integrity: isCompressed ? nil : .crc32c)
        let page = page(0)
        defer { page.deallocate() }
        // In any order, the first one twice; and a page that is zero after it wasn't.
        for (block, index, value) in [(0, 9, 1), (1, 0, 2), (0, 3, 3), (0, 9, 4), (0, 3, 0)]
            as [(Int, Int, UInt8)]
        {
            page.initializeMemory(as: UInt8.self, repeating: value)
            try writer.write(block: block, offset: index * 4096, page)
        }
        try writer.commit()
        let pages = try GuestImage(opening: directory.file("image")).pages()
        #expect(pages.blocks == blocks)
        #expect(pages.received.deviceState.globalState?.runState == "paused")
        for (block, index, value) in [(0, 9, 4), (1, 0, 2), (0, 3, 0), (0, 63, 0)]
            as [(Int, Int, UInt8)]
        {
            try pages.read(block: block, offset: index * 4096, into: page)
            #expect(page.allSatisfy { $0 == value })
        }
        let report = try ImageVerifier(path: directory.file("image")).verify()
        #expect(report.faults.isEmpty, "\(report.faults)")
    }

    @Test func `without a commit nothing is left`() throws {
        do {
            let writer = try writer("image", .libvirtSparse)
            let page = page(1)
            defer { page.deallocate() }
            try writer.write(block: 0, offset: 0, page)
        }
        #expect(throws: ImageError.self) { try GuestImage(opening: directory.file("image")) }
    }

    @Test func `what no image can have is refused`() throws {
        let page = page(1)
        defer { page.deallocate() }
        let writer = try writer("image", .mappedRAM)
        for (block, offset) in [(2, 0), (-1, 0), (0, 1), (0, 64 * 4096), (0, -4096), (1, 4096)] {
            #expect(throws: ImageError.self) {
                try writer.write(block: block, offset: offset, page)
            }
        }
        for blocks in [
            [StreamBlock(name: "", byteCount: 4096)], [StreamBlock(name: "a", byteCount: 100)],
            [StreamBlock(name: "a", byteCount: 4096), StreamBlock(name: "a", byteCount: 4096)],
            [StreamBlock(name: String(repeating: "a", count: 256), byteCount: 4096)],
        ] {
            #expect(throws: ImageError.self) {
                try ImageWriter(
                    creating: directory.file("other"),
                    as: .sequential,
                    configuration: ConfigurationSection(machineName: "none"),
                    blocks: blocks,
                    deviceState: .fresh(runState: "paused", machineName: "none")
                )
            }
        }
    }

    /// The program of Examples/image-library, which uses nothing but the library's public interface.
    @Test func `the example finds a text and leaves its page out`() throws {
        let writer = try writer("image", .sequential)
        let page = page(0)
        defer { page.deallocate() }
        for (index, text) in [(5, "a secret of the guest"), (6, "nothing")] {
            page.copyBytes(from: Array(text.utf8))
            try writer.write(block: 0, offset: index * 4096, page)
        }
        try writer.commit()
        let image = directory.file("image")
        let copy = directory.file("copy")
        let program = try #require(BuiltProgram.path("image-library-example"))
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = [image, "secret", "--out", copy]
        process.standardOutput = output
        try process.run()
        let text = String(
            decoding: output.fileHandleForReading.readDataToEndOfFile(),
            as: UTF8.self
        )
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        #expect(text == "machine none\nram 0x5000\n")
        let pages = try GuestImage(opening: copy).pages()
        try pages.read(block: 0, offset: 5 * 4096, into: page)
        #expect(page.allSatisfy { $0 == 0 })
        try pages.read(block: 0, offset: 6 * 4096, into: page)
        #expect(page.starts(with: Array("nothing".utf8)))
    }
}
