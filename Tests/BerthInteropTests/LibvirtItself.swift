import BerthTestSupport
import Foundation
import Testing

extension Interop {
    /// libvirt's save files without Berth: what fails here is the machine or the harness.
    @Suite(.requiresLibvirt, .requiresQEMU10, .requiresGuest, .libvirt) struct LibvirtItself {
        @Test(.timeLimit(.minutes(2)), arguments: LibvirtSaving.allCases)
        func `libvirt restores what it saved`(way: LibvirtSaving) throws {
            let directory = try PeersDirectory()
            let guest = PeerGuest(.q35, firmware: Peers.guest)
            let saved = try SavedGuest.libvirt(way, guest, in: directory)
            try saved.expectRestored(
                from: saved.image,
                saved.form,
                options: way.restoreOptions
            )
        }
    }
}
