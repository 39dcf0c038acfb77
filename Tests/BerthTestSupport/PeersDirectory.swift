import Foundation

/// A fresh directory for one test's sockets, images and memory files, gone with the object.
public final class PeersDirectory {
    /// The directory's absolute path, short enough for unix sockets in it.
    public let path: String

    /// Makes the directory below TMPDIR.
    public init() throws {
        let base = Peers.environment("TMPDIR") ?? "/tmp"
        var template = Array("\(base)/berth-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw PeerFailure("cannot make a directory below '\(base)': errno \(errno)")
        }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }

    /// The path of a file of this name in the directory.
    public func file(_ name: String) -> String {
        "\(path)/\(name)"
    }
}

/// Why a peer did not do what a test needs of it.
public struct PeerFailure: Error, CustomStringConvertible {
    /// One sentence, with what the peer itself said.
    public let description: String

    /// A failure with this description.
    public init(_ description: String) {
        self.description = description
    }
}
