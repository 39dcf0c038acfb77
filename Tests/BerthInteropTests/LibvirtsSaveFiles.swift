import BerthTestSupport
import Foundation
import Testing

extension Interop {
    /// What libvirt itself says and does with save files that Berth changed or made.
    @Suite(.requiresBerth, .requiresQEMU10, .requiresLibvirt, .requiresGuest, .libvirt)
    struct LibvirtsSaveFiles {
        private let guest = PeerGuest(.q35, firmware: Peers.guest)

        @Test(.timeLimit(.minutes(2)), arguments: ["crc32c", "blake3"])
        func `a sealed save file is restored, and unsealed is what it was`(algorithm: String) throws
        {
            for way in [LibvirtSaving.raw, .sparse, .sparseAroundCache] {
                let directory = try PeersDirectory()
                let saved = try SavedGuest.libvirt(way, guest, in: directory)
                let unsealed = FileManager.default.contents(atPath: saved.image)
                try saved.berth(["seal", saved.image, "--algorithm", algorithm])
                try saved.expectKnown(saved.image, saved.form)
                let options = way.restoreOptions
                try saved.expectRestored(from: saved.image, saved.form, options: options)
                try saved.berth(["seal", saved.image, "--remove"])
                #expect(FileManager.default.contents(atPath: saved.image) == unsealed)
            }
        }

        @Test(.timeLimit(.minutes(2)), arguments: [LibvirtSaving.raw, .zstd, .sparse])
        func `an image marked as partial is refused, and converted is restored`(
            way: LibvirtSaving
        ) throws {
            let directory = try PeersDirectory()
            let libvirt = try #require(PeersLibvirt.current)
            let saved = try SavedGuest.libvirt(way, guest, in: directory)
            // As a libvirtd leaves it that was killed when the guest was saved and the mark was not.
            let file = try #require(FileHandle(forUpdatingAtPath: saved.image))
            try file.write(contentsOf: Data("LibvirtQemudPart".utf8))
            try file.close()
            let refusal = try #require(libvirt.refusal(of: ["restore", saved.image]))
            #expect(refusal.contains("incomplete"))
            let verify = try PeersProcess(
                [try #require(Peers.berth), "verify", saved.image],
                in: directory
            )
            #expect(try verify.waitForExit() == 1)
            #expect(verify.output.contains("offset 0x0: "))

            let rescued = try saved.converted(to: saved.form)
            try saved.berth(["verify", rescued])
            try saved.expectRestored(from: rescued, saved.form)
        }

        @Test(.timeLimit(.minutes(2)))
        func `XML and whether the guest runs go along`() throws {
            let directory = try PeersDirectory()
            let libvirt = try #require(PeersLibvirt.current)
            let saved = try SavedGuest.libvirt(.raw, guest, in: directory)
            let xml = try libvirt.run(["save-image-dumpxml", saved.image])
            #expect(xml.contains("<name>\(PeerGuest.domainName)</name>"))

            // The guest was suspended before its save; each conversion starts from the one before.
            var image = saved.image
            for (form, state) in [
                (ImageForm.sparse, nil), (.zstd, "running"), (.lzop, nil), (.raw, "paused"),
                (.sparse, nil),
            ] {
                let options = state.map { ["--\($0)"] } ?? []
                image = try saved.converted(to: form, from: image, options: options)
                #expect(try libvirt.run(["save-image-dumpxml", image]) == xml)
                let expected = form == .zstd || form == .lzop ? "running" : "paused"
                try libvirt.run(["restore", image])
                #expect(try libvirt.run(["domstate", PeerGuest.domainName]) == expected)
                try libvirt.run(["destroy", PeerGuest.domainName])
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func `libvirt edits a converted image`() throws {
            let directory = try PeersDirectory()
            let libvirt = try #require(PeersLibvirt.current)
            let saved = try SavedGuest.qemu(.qemu, guest, .mappedRAM, in: directory)
            let domain = try saved.writeXML()
            for form in [ImageForm.raw, .sparse, .xz] {
                let image = try saved.converted(to: form, options: ["--xml", domain])
                // libvirt rewrites header, XML and padding in place, if there is room.
                let text = try libvirt.run(["save-image-dumpxml", image])
                let described = text.replacingOccurrences(
                    of: "</name>",
                    with:
                        "</name><description>\(String(repeating: "long ", count: 4000))</description>"
                )
                let file = directory.file("edited.xml")
                try described.write(toFile: file, atomically: true, encoding: .utf8)
                try libvirt.run(["save-image-define", image, file])
                #expect(try libvirt.run(["save-image-dumpxml", image]).contains("long long"))
                try saved.expectKnown(image, form)
                try saved.expectRestored(from: image, form)
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func `a managed save is replaced by a converted one`() throws {
            let directory = try PeersDirectory()
            let libvirt = try #require(PeersLibvirt.current)
            let file = directory.file("domain.xml")
            try guest.domainXML(type: libvirt.domainType)
                .write(toFile: file, atomically: true, encoding: .utf8)
            try libvirt.run(["define", file])
            let name = PeerGuest.domainName
            defer {
                _ = try? libvirt.run(["destroy", name])
                _ = try? libvirt.run(["undefine", name, "--managed-save"])
            }
            try libvirt.run(["start", name])
            let saved = try PeersDomain(runningIn: libvirt)
            let before = try saved.waitForRounds(2)
            try saved.run("managedsave")

            let image = libvirt.managedSavePath(ofDomain: name)
            let converted = directory.file("converted")
            try runBerth(
                ["convert", image, converted, "--format", "libvirt-sparse"],
                in: directory
            )
            try FileManager.default.removeItem(atPath: image)
            try FileManager.default.copyItem(atPath: converted, toPath: image)

            try libvirt.run(["start", name])
            let restored = try PeersDomain(runningIn: libvirt)
            try restored.waitForRounds(2, beyond: before)
            try restored.run("suspend")
            #expect(try CounterState.findings(memoryPath: restored.memoryPath) == [])
        }
    }
}
