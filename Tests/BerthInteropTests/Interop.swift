import BerthTestSupport
import Testing

extension Tag {
    /// Tests that talk to real programs of others.
    @Tag static var interop: Self
}

/// Everything that real QEMU and Berth do together, one test at a time: each starts up to three
/// machines, and their numbers would mean nothing if they ran over each other.
@Suite(.serialized, .tags(.interop)) struct Interop {}

/// A way from one machine to another: the format and the transport.
enum Route: String, Sendable, CaseIterable {
    case sequentialFile = "sequential, file"
    case mappedFile = "mapped-ram, file"
    case unix = "sequential, unix"
    case tcp = "sequential, tcp"
    case exec = "sequential, exec"

    /// The routes that QEMU 7.2 knows too.
    static let old: [Route] = [.sequentialFile, .unix, .tcp, .exec]

    /// Moves the guest, and returns when both sides say that they are done.
    ///
    /// - Parameter hop: Tells the files and sockets of several moves in one directory apart.
    func move(
        from source: PeersMachine,
        to destination: PeersMachine,
        in directory: PeersDirectory,
        hop: Int
    ) throws {
        for end in [source, destination] where end.program != .oldQEMU {
            try end.setCapability("mapped-ram", self == .mappedFile)
        }
        switch self {
        case .sequentialFile, .mappedFile:
            let image = directory.file("image-\(hop)")
            try source.migrate(to: source.fileURI(image))
            try destination.migrateIncoming(from: "file:\(image)")
        case .exec:
            let image = directory.file("image-\(hop)")
            try source.migrate(to: "exec:cat > '\(image)'")
            try destination.migrateIncoming(from: "exec:cat '\(image)'")
        case .unix:
            let address = "unix:\(directory.file("socket-\(hop)"))"
            try destination.migrateIncoming(from: address)
            try source.migrate(to: address)
        case .tcp:
            try destination.migrateIncoming(from: "tcp:127.0.0.1:0")
            try source.migrate(to: "tcp:127.0.0.1:\(try destination.listeningPort())")
        }
        try destination.waitForCompletion()
    }
}

extension PeersMachine {
    /// The address of a file; QEMU 7.2 doesn't know files and gets a command that writes one.
    func fileURI(_ path: String) -> String {
        program == .oldQEMU ? "exec:cat > '\(path)'" : "file:\(path)"
    }
}

/// Expects two guest memories to be equal, byte for byte, and says which pages differ.
func expectSameMemory(
    _ one: String,
    _ other: String,
    sourceLocation: SourceLocation = #_sourceLocation
) throws {
    let difference = try PeersMemory.difference(between: one, and: other)
    #expect(difference == nil, sourceLocation: sourceLocation)
}
