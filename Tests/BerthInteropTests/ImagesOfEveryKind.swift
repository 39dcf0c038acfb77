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
            try check(SavedGuest.qemu(.qemu, guest(machine), form, in: directory))
        }

        @Test(
            .requiresQEMU72,
            .timeLimit(.minutes(3)),
            arguments: [PeerMachineType.none, .pc, .q35]
        )
        func `saved by QEMU 7.2`(machine: PeerMachineType) throws {
            let directory = try PeersDirectory()
            let guest = guest(machine, version: "7.2")
            try check(SavedGuest.qemu(.oldQEMU, guest, .sequential, in: directory))
        }

        @Test(
            .timeLimit(.minutes(3)),
            arguments: [LibvirtSaving.raw, .zstd, .sparse, .sparseParallel]
        )
        func `saved by libvirt`(way: LibvirtSaving) throws {
            let directory = try PeersDirectory()
            try check(SavedGuest.libvirt(way, guest(.q35), in: directory))
        }

        @Test(
            .timeLimit(.minutes(3)),
            arguments: [
                LibvirtSaving.gzip, .bzip2, .xz, .lzop, .rawAroundCache, .sparseAroundCache,
            ]
        )
        func `saved by libvirt in other ways`(way: LibvirtSaving) throws {
            let directory = try PeersDirectory()
            try check(SavedGuest.libvirt(way, guest(.pc), in: directory))
        }

        private func guest(_ machine: PeerMachineType, version: String = "10.0") -> PeerGuest {
            guard machine == .none else {
                return PeerGuest(machine, version: version, firmware: Peers.guest)
            }
            var guest = PeerGuest(.none)
            // Most of it is noise, for which xz takes seconds.
            guest.memoryByteCount = 8 << 20
            return guest
        }

        /// Turns the image into every form, and has each new image restored.
        private func check(_ saved: SavedGuest) throws {
            let filled = try PeersMemory.filledPageCount(of: saved.memory)
            try saved.expectKnown(saved.image, saved.form, filledPageCount: filled)
            let domain = saved.form.isLibvirt ? [] : ["--xml", try saved.writeXML()]
            for form in ImageForm.allCases {
                let options = form.isLibvirt ? domain : []
                let image = try saved.converted(to: form, options: options)
                try saved.expectKnown(image, form, filledPageCount: filled)
                try saved.expectRestored(from: image, form)
            }
        }
    }
}
