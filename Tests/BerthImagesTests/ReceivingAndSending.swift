import BerthImages
import BerthTestSupport
import BerthTransport
import Foundation
import Testing

/// Images of a guest of 64 KiB, received from streams that real QEMU wrote and sent on.
@Suite(.timeLimit(.minutes(1)))
struct ReceivingAndSending {
    private let directory: PeersDirectory

    init() throws {
        directory = try PeersDirectory()
    }

    /// Writes a stream into a file and opens it.
    private func source(_ bytes: [UInt8]) throws -> Channel {
        let path = directory.file("stream")
        try Data(bytes).write(to: URL(filePath: path))
        return try source(path)
    }

    private func source(_ path: String) throws -> Channel {
        try IncomingTransport(
            address: .file(path: path, offset: 0),
            resources: TransportResources()
        ).accept()
    }

    private func receive(
        _ bytes: [UInt8],
        as format: ImageFormat,
        into path: String
    ) throws {
        try ImageReceiver(path: path, format: format).receive(from: source(bytes), answers: nil)
    }

    /// What lies in the directory, except for the stream that the test put there.
    private func images() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: directory.path)
            .filter { $0 != "stream" }.sorted()
    }

    @Test(
        arguments: ["sequential/none-64k-qemu-10.0", "sequential/none-64k-qemu-7.2"],
        ImageFormat.bare
    )
    func `an image of either layout is sent as the stream that it was received from`(
        name: String,
        format: ImageFormat
    ) throws {
        let original = try HexVector.load(name)
        let image = directory.file("image")
        let copy = directory.file("copy")
        try receive(original, as: format, into: image)
        try ImageSender(path: image).send(to: "file:\(copy)")

        let again = directory.file("again")
        try receive(Array(Data(contentsOf: URL(filePath: copy))), as: format, into: again)
        #expect(
            try Data(contentsOf: URL(filePath: again)) == Data(contentsOf: URL(filePath: image))
        )
        #expect(try Data(contentsOf: URL(filePath: copy)).starts(with: original.prefix(64)))
    }

    @Test(arguments: ImageFormat.bare)
    func `a stream that ends early leaves what was there and nothing else`(
        format: ImageFormat
    ) throws {
        let original = try HexVector.load("sequential/none-64k-qemu-10.0")
        let image = directory.file("image")
        try Data("the old image".utf8).write(to: URL(filePath: image))
        for length in [0, 1, 8, 100, original.count / 2, original.count - 1] {
            let error = #expect(throws: ImageError.self) {
                try receive(Array(original.prefix(length)), as: format, into: image)
            }
            #expect(error?.description.contains("image") == true)
            #expect(try images() == ["image"])
            #expect(try Data(contentsOf: URL(filePath: image)) == Data("the old image".utf8))
        }
    }

    @Test func `what isn't a stream is called by its name`() throws {
        let error = #expect(throws: ImageError.self) {
            try receive(
                Array("no stream at all".utf8),
                as: .mappedRAM,
                into: directory.file("image")
            )
        }
        #expect(error?.hint == "what came is neither a migration stream nor an image of one")
        #expect(try images().isEmpty)
    }

    @Test(arguments: ["/dev/null", "/dev/full"])
    func `a mapped-ram image is refused where nothing can be written at an offset`(
        device: String
    ) throws {
        let original = try HexVector.load("sequential/none-64k-qemu-10.0")
        let error = #expect(throws: ImageError.self) {
            try receive(original, as: .mappedRAM, into: device)
        }
        #expect(
            error?.description
                == "cannot write an image as mapped-ram to '\(device)', which can't be written at an offset"
        )
        #expect(error?.hint?.contains("--format sequential") == true)
    }

    @Test func `a mapped-ram image needs a name`() throws {
        let original = try HexVector.load("sequential/none-64k-qemu-10.0")
        let error = #expect(throws: ImageError.self) {
            try receive(original, as: .mappedRAM, into: "-")
        }
        #expect(error?.hint?.contains("--format sequential") == true)
    }

    @Test func `a folder is not an image`() throws {
        let original = try HexVector.load("sequential/none-64k-qemu-10.0")
        let error = #expect(throws: ImageError.self) {
            try receive(original, as: .mappedRAM, into: directory.path)
        }
        #expect(error?.description == "cannot create '\(directory.path)': Is a directory")
        #expect(throws: ImageError.self) {
            try ImageSender(path: directory.path).send(to: "file:\(directory.file("copy"))")
        }
        #expect(try images().isEmpty)
    }
}
