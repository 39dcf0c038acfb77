import BerthTestSupport
import Testing

extension Interop {
    /// Guests that real QEMU and real libvirt saved: Berth knows the images, turns each into every other
    /// form, and real QEMU or libvirt goes on with it.
    @Suite(.requiresBerth, .requiresQEMU10, .requiresLibvirt, .requiresGuest, .libvirt)
    struct ImagesOfEveryKind {
        @Test(
            .timeLimit(.minutes(3)),
            arguments: [PeerMachineType.none, .pc, .q35],
            [ImageForm.sequential, .mappedRAM]
        )
        func `saved by QEMU 10`(machine: PeerMachineType, form: ImageForm) throws {
            let directory = try PeersDirectory()
            let saved = try SavedGuest.qemu(.qemu, guest(machine), form, in: directory)
            // The other machine shows nothing more of the containers.
            try check(saved, restoring: machine == .pc ? [.mappedRAM, .raw, .sparse] : all)
        }

        @Test(
            .requiresQEMU72,
            .timeLimit(.minutes(3)),
            arguments: [PeerMachineType.none, .pc, .q35]
        )
        func `saved by QEMU 7.2`(machine: PeerMachineType) throws {
            let directory = try PeersDirectory()
            let guest = guest(machine, version: "7.2")
            let saved = try SavedGuest.qemu(.oldQEMU, guest, .sequential, in: directory)
            try check(saved, restoring: machine == .pc ? [.mappedRAM, .zstd, .sparse] : all)
        }

        @Test(
            .timeLimit(.minutes(3)),
            arguments: [LibvirtSaving.raw, .zstd, .sparse, .sparseParallel]
        )
        func `saved by libvirt`(way: LibvirtSaving) throws {
            let directory = try PeersDirectory()
            let saved = try SavedGuest.libvirt(way, guest(.q35), in: directory)
            // How many channels wrote it leaves no trace in a file.
            let restored: [ImageForm] = way == .sparseParallel ? [.mappedRAM, .raw, .sparse] : all
            try check(saved, restoring: restored)
        }

        @Test(
            .timeLimit(.minutes(3)),
            arguments: [
                LibvirtSaving.gzip, .bzip2, .xz, .lzop, .rawAroundCache, .sparseAroundCache,
            ]
        )
        func `saved by libvirt in other ways`(way: LibvirtSaving) throws {
            let directory = try PeersDirectory()
            let saved = try SavedGuest.libvirt(way, guest(.pc), in: directory)
            try check(saved, converting: [.mappedRAM, .sparse], restoring: [.mappedRAM, .sparse])
        }

        private let all = ImageForm.allCases

        private func guest(_ machine: PeerMachineType, version: String = "10.0") -> PeerGuest {
            guard machine == .none else {
                return PeerGuest(machine, version: version, firmware: Peers.guest)
            }
            var guest = PeerGuest(.none)
            // Most of it is noise, for which xz takes seconds.
            guest.memoryByteCount = 8 << 20
            return guest
        }

        /// Turns the image into other forms, and has some of the new images restored.
        private func check(
            _ saved: SavedGuest,
            converting forms: [ImageForm] = ImageForm.allCases,
            restoring restored: [ImageForm]
        ) throws {
            let filled = try PeersMemory.filledPageCount(of: saved.memory)
            try saved.expectKnown(saved.image, saved.form, filledPageCount: filled)
            let domain = saved.form.isLibvirt ? [] : ["--xml", try saved.writeXML()]
            for form in forms {
                let options = form.isLibvirt ? domain : []
                let image = try saved.converted(to: form, options: options)
                try saved.expectKnown(image, form, filledPageCount: filled)
                if restored.contains(form) {
                    try saved.expectRestored(from: image, form)
                }
            }
        }
    }
}
