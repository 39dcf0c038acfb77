import BerthTestSupport
import Foundation
import Testing

/// How libvirt writes a save file.
enum LibvirtSaving: String, Sendable, CaseIterable {
    case raw, gzip, bzip2, xz, lzop, zstd, sparse
    case rawAroundCache = "raw, --bypass-cache"
    case sparseAroundCache = "sparse, --bypass-cache"
    case sparseParallel = "sparse, --parallel-channels"

    /// The form of the file.
    var form: ImageForm? {
        ImageForm(rawValue: "libvirt-" + rawValue.prefix { $0 != "," })
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
    let form: ImageForm
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
        let saved = SavedGuest(guest, try #require(way.form), in: directory)
        let domain = try PeersDomain(starting: guest, in: directory, of: libvirt)
        try PeersMemory.writePatternBehindCounter(in: domain.memoryPath, seed: 11)
        try domain.waitForRounds(2)
        try domain.run("suspend")
        try FileManager.default.copyItem(atPath: domain.memoryPath, toPath: saved.memory)
        let format = try #require(saved.form.libvirtName)
        try domain.save(to: saved.image, options: ["--image-format", format] + way.restoreOptions)
        return saved
    }

    /// Has QEMU start a guest and save it: one that counts, or memory with a pattern where the machine
    /// has no processor.
    static func qemu(
        _ program: PeerProgram,
        _ guest: PeerGuest,
        _ form: ImageForm,
        in directory: PeersDirectory
    ) throws -> SavedGuest {
        let saved = SavedGuest(guest, form, in: directory)
        let counts = guest.firmware != nil
        if !counts {
            try PeersMemory.writePattern(
                to: saved.memory,
                byteCount: guest.memoryByteCount,
                seed: 13
            )
        }
        let machine = try PeersMachine(
            program,
            guest,
            in: directory,
            memoryPath: counts ? nil : saved.memory,
            paused: !counts
        )
        if counts {
            try PeersMemory.writePatternBehindCounter(in: machine.memoryPath, seed: 11)
            try machine.waitForRounds(2)
            try machine.monitor.execute("stop")
            try FileManager.default.copyItem(atPath: machine.memoryPath, toPath: saved.memory)
        }
        if form.isMapped { try machine.setCapability("mapped-ram", true) }
        try machine.migrate(to: machine.fileURI(saved.image))
        try machine.quit()
        return saved
    }

    private init(_ guest: PeerGuest, _ form: ImageForm, in directory: PeersDirectory) {
        self.guest = guest
        self.form = form
        self.directory = directory
        image = directory.file("saved-\(form.rawValue)")
        memory = directory.file("memory-when-saved")
    }

    /// A domain with this guest, for images that have none.
    func writeXML() throws -> String {
        let libvirt = try #require(PeersLibvirt.current)
        let path = directory.file("domain.xml")
        try guest.domainXML(type: libvirt.domainType)
            .write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }
}
