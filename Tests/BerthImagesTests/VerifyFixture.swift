import BerthMemory
import BerthStream
import BerthSystem
import BerthTestSupport
import BerthTransport
import BerthWire
import Glibc
import Testing

@testable import BerthImages

/// Images for tests of `berth verify` and `berth seal`.
struct VerifyFixture {
    let directory: PeersDirectory
    let guest: SavedGuest

    /// A guest of three blocks with pages of all kinds.
    ///
    /// - Parameter hasDevices: whether it has the devices of a real q35 machine.
    init(hasDevices: Bool = false) throws {
        directory = try PeersDirectory()
        guest = try SavedGuest(
            ["pc.ram": 70, "0000:00:01.0/vga.vram": 5, "pc.bios": 3],
            state: hasDevices ? Self.devices() : nil
        )
        for (block, page) in filledPages { guest.fill(block, page) }
    }

    /// The pages with content: block and page.
    let filledPages = [(0, 0), (0, 1), (0, 2), (0, 40), (0, 63), (0, 64), (0, 69), (1, 4), (2, 0)]

    /// The device state of a q35 machine, as QEMU 10.0 saved it.
    static func devices() throws -> DeviceState {
        let bytes = try HexVector.load("device-state/q35-qemu-10.0")
        var scanner = DeviceSectionScanner()
        guard case .end(let end) = try scanner.advance(bytes.span, arrival: .closed) else {
            throw ImageError("the vector has no end")
        }
        return DeviceState(
            final: DeviceSectionRun(end.sections, copying: bytes.span),
            description: end.description.map { Array(bytes[$0]) }
        )
    }

    /// Saves the guest.
    func save(_ layout: StreamLayout, name: String = "image") throws -> String {
        let path = directory.file(name)
        try guest.save(to: path, as: layout)
        return path
    }

    func verify(_ path: String, structureOnly: Bool = false) throws -> VerificationReport {
        var verifier = ImageVerifier(path: path)
        verifier.checksStructureOnly = structureOnly
        return try verifier.verify()
    }

    /// What a loader gets of an image: all but its pages, and these.
    struct Loaded: Equatable {
        var configuration: ConfigurationSection
        var blocks: [StreamBlock]
        var state: DeviceState
        var memory: [[UInt8]]
    }

    func load(_ path: String) throws -> Loaded {
        let pages = try GuestImage(opening: path).pages()
        let memory = try pages.blocks.indices.map { index in
            var bytes = [UInt8](repeating: 0xee, count: pages.blocks[index].byteCount)
            try bytes.withUnsafeMutableBytes { try pages.read(block: index, offset: 0, into: $0) }
            return bytes
        }
        return Loaded(
            configuration: pages.received.configuration,
            blocks: pages.blocks,
            state: pages.received.deviceState,
            memory: memory
        )
    }
}

/// A file that is changed in place, and put right again.
struct ChangedFile {
    private let channel: Channel

    init(_ path: String) throws {
        channel = try Channel(OwnedDescriptor.open(path, O_RDWR), name: path)
    }

    func byte(at offset: Int) throws -> UInt8 {
        try channel.readBytes(at: UInt64(offset), byteCount: 1)[0]
    }

    /// Calls `body` while one byte is another.
    func changing(_ offset: Int, by mask: UInt8, _ body: () throws -> Void) throws {
        let byte = try byte(at: offset)
        try channel.writeBytes([byte ^ mask], at: UInt64(offset))
        try body()
        try channel.writeBytes([byte], at: UInt64(offset))
    }

    func write(_ bytes: [UInt8], at offset: Int) throws {
        try channel.writeBytes(bytes, at: UInt64(offset))
    }

    func resize(to count: Int) throws {
        try channel.resize(to: UInt64(count))
    }
}
