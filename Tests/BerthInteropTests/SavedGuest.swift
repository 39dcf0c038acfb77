import BerthTestSupport
import Foundation
import Testing

/// How libvirt writes a save file.
enum LibvirtSaving: String, Sendable, CaseIterable {
    case raw, gzip, bzip2, xz, lzop, zstd, sparse
    case rawAroundCache = "raw, --bypass-cache"
    case sparseAroundCache = "sparse, --bypass-cache"
    case sparseParallel = "sparse, --parallel-channels"

    var saveOptions: [String] {
        let format = rawValue.prefix { $0 != "," }
        return ["--image-format", String(format)] + restoreOptions
    }

    var restoreOptions: [String] {
        switch self {
        case .rawAroundCache, .sparseAroundCache: ["--bypass-cache"]
        case .sparseParallel: ["--parallel-channels", "3"]
        default: []
        }
    }
}

/// A guest that lies in an image, and what its memory was when it was saved.
struct SavedGuest {
    let guest: PeerGuest
    let image: String
    /// A copy of the memory.
    let memory: String
    let directory: PeersDirectory

    /// Has libvirt start a guest that counts, and save it.
    static func libvirt(
        _ way: LibvirtSaving,
        _ guest: PeerGuest,
        in directory: PeersDirectory
    ) throws -> SavedGuest {
        let libvirt = try #require(PeersLibvirt.current)
        let saved = SavedGuest(guest, "libvirt-\(way)", in: directory)
        let domain = try PeersDomain(starting: guest, in: directory, of: libvirt)
        try PeersMemory.writePatternBehindCounter(in: domain.memoryPath, seed: 11)
        try domain.waitForRounds(2)
        try domain.run("suspend")
        try FileManager.default.copyItem(atPath: domain.memoryPath, toPath: saved.memory)
        try domain.save(to: saved.image, options: way.saveOptions)
        return saved
    }

    private init(_ guest: PeerGuest, _ name: String, in directory: PeersDirectory) {
        self.guest = guest
        self.directory = directory
        image = directory.file(name)
        memory = directory.file("memory-of-\(name)")
    }

    /// Has libvirt restore the guest from some image, and expects its memory to be what it was and the
    /// guest to go on counting.
    func expectRestoredByLibvirt(_ image: String, options: [String] = []) throws {
        let libvirt = try #require(PeersLibvirt.current)
        let domain = try PeersDomain(restoring: image, options: options, by: libvirt)
        try expectSameMemory(memory, domain.memoryPath)
        let arrived = try CounterState(memoryPath: domain.memoryPath)
        try domain.run("resume")
        try domain.waitForRounds(2, beyond: arrived)
        try domain.run("suspend")
        #expect(try CounterState.findings(memoryPath: domain.memoryPath) == [])
    }
}
