import BerthTestSupport
import Foundation
import Testing

extension Interop {
    /// `berth inspect` on images of real QEMU, and its page in a real browser.
    @Suite(.requiresQEMU10, .requiresBerth, .requiresGuest)
    struct InspectingImages {
        private static let xml =
            "<domain type='qemu'>\n  <name>vm &amp; more</name>\n  <uuid>x</uuid>\n</domain>\n"

        @discardableResult
        private func berth(_ arguments: [String], in directory: PeersDirectory) throws -> String {
            let berth = try #require(Peers.berth)
            let process = try PeersProcess([berth] + arguments, in: directory)
            #expect(try process.waitForExit() == 0, "\(process.errorOutput)")
            return process.output
        }

        private func report(_ image: String, in directory: PeersDirectory) throws -> PeersJSON {
            let text = try berth(["inspect", image, "--json", "--devices"], in: directory)
            return try JSONDecoder().decode(PeersJSON.self, from: Data(text.utf8))
        }

        /// Pages of a memory file that aren't zero.
        private func dataPageCount(_ path: String) throws -> Int {
            let memory = try Data(contentsOf: URL(fileURLWithPath: path))
            let zero = Data(count: 4096)
            return stride(from: 0, to: memory.count, by: 4096)
                .reduce(0) { $0 + (memory[$1..<$1 + 4096] == zero ? 0 : 1) }
        }

        @Test(
            .requiresQEMU72,
            arguments: [PeerMachineType.none, .pc, .q35],
            [
                (PeerProgram.qemu, ImageForm.mappedRAM), (.qemu, .sequential),
                (.oldQEMU, .sequential),
            ]
        )
        func `pages and devices of QEMU's images are what they were`(
            _ machine: PeerMachineType,
            _ way: (PeerProgram, ImageForm)
        ) throws {
            let directory = try PeersDirectory()
            let (program, form) = way
            let guest = PeerGuest(
                machine,
                version: program == .oldQEMU ? "7.2" : "10.0",
                firmware: machine == .none ? nil : Peers.guest
            )
            let saved = try SavedGuest.qemu(program, guest, form, in: directory)
            let found = try report(saved.image, in: directory)
            #expect(found["machine"]?.string == guest.machineName)
            #expect(found["layout"]?.string == form.rawValue)
            #expect(found["problem"] == nil)
            let blocks = try #require(found["blocks"]?.elements)
            let ram = try #require(blocks.first { $0["name"]?.string == machine.memoryName })
            #expect(ram["size"]?.integer == Int64(guest.memoryByteCount))
            #expect(ram["pages"]?["data"]?.integer == Int64(try dataPageCount(saved.memory)))
            let devices = try #require(found["devices"]?.elements)
            #expect(devices.count == (machine == .none ? 2 : devices.count))
            #expect(devices.count > 20 || machine == .none)
            for device in devices {
                #expect(device["problem"] == nil, "\(device["name"]?.string ?? "")")
            }
            let text = try berth(["inspect", saved.image], in: directory)
            #expect(text.contains("machine:"))
            #expect(text.contains(guest.machineName))
        }

        /// QEMU with suppress-vmdesc=on writes nothing behind its end mark, and loads that.
        @Test(arguments: [false, true])
        func `an image without a description gets none, and loads`(isMapped: Bool) throws {
            let directory = try PeersDirectory()
            let guest = PeerGuest(.pc, firmware: Peers.guest)
            let source = try PeersMachine(
                .qemu,
                guest,
                in: directory,
                options: ["-machine", "suppress-vmdesc=on"]
            )
            let saved = directory.file("saved")
            try source.migrate(to: source.fileURI(saved))
            try source.quit()
            let output = directory.file("converted")
            let format = isMapped ? "mapped-ram" : "sequential"
            try berth(["convert", saved, output, "--format", format], in: directory)
            for image in [saved, output] {
                let process = try PeersProcess(
                    [try #require(Peers.berth), "verify", image],
                    in: directory
                )
                #expect(try process.waitForExit() == 1)
                #expect(process.output.contains("the stream ends without a description"))
                #expect(process.output.split(separator: "\n").count == 1, "\(process.output)")
            }
            // With a destination that looks for one, and one that doesn't.
            for options in [[], ["-machine", "suppress-vmdesc=on"]] {
                let destination = try PeersMachine(
                    .qemu,
                    guest,
                    in: directory,
                    incoming: "defer",
                    options: options
                )
                if isMapped { try destination.setCapability("mapped-ram", true) }
                try destination.migrateIncoming(from: destination.fileURI(output))
                try destination.waitForCompletion()
                try destination.quit()
            }
        }

        /// Fields of all the devices that a usual guest has, and of some that few have.
        @Test func `every byte of many devices is described`() throws {
            let directory = try PeersDirectory()
            let machine = try PeersMachine(
                .qemu,
                PeerGuest(.q35, firmware: Peers.guest),
                in: directory,
                paused: false,
                options: [
                    "-smp", "2", "-device", "intel-iommu", "-device", "virtio-net-pci", "-device",
                    "e1000e", "-device", "qemu-xhci", "-device", "usb-tablet", "-device",
                    "virtio-balloon", "-device", "virtio-rng-pci", "-device", "virtio-scsi",
                    "-device",
                    "VGA", "-device", "virtio-serial", "-device", "i6300esb", "-serial", "null",
                ]
            )
            try machine.waitForRounds(2)
            try machine.monitor.execute("stop")
            let image = directory.file("image")
            try machine.migrate(to: machine.fileURI(image))
            let devices = try #require(try report(image, in: directory)["devices"]?.elements)
            #expect(devices.count > 35)
            for device in devices {
                let name = device["name"]?.string ?? ""
                #expect(device["problem"] == nil, "\(name)")
                let fields = (device["fields"]?.elements ?? []).reduce(0) {
                    $0 + ($1["size"]?.integer ?? 0)
                }
                #expect(fields <= device["size"]?.integer ?? 0, "\(name)")
                #expect(fields > 0, "\(name)")
            }
            let registers = devices.filter { $0["name"]?.string == "cpu" }.compactMap {
                $0["fields"]?.elements?.first { $0["name"]?.string == "env.regs" }?["value"]?
                    .elements
            }
            #expect(registers.map(\.count) == [16, 16])
        }

        /// What a script found in the page, in the browser.
        private struct Found: Decodable {
            struct Map: Decodable {
                var name: String
                var width: Int
                var height: Int
                var opaque: Int
                var labels: [String]
                var hover: String
                var isInside: Bool
                var isReadable: Bool
            }
            var title: String
            var errors: [String]
            var maps: [Map]
            var details: Int
            var open: Int
            var hidden: Bool
            var shown: Bool
            var xml: String
            var isTooWide: Bool
        }

        /// Runs in a copy of the page, after everything is loaded.
        private static let script = """
            <script>
            addEventListener("load", () => {
              const maps = [...document.querySelectorAll("figure.map")].map(figure => {
                const image = figure.querySelector("img");
                const canvas = document.createElement("canvas");
                const [width, height] = [image.naturalWidth, image.naturalHeight];
                Object.assign(canvas, { width, height });
                const context = canvas.getContext("2d");
                context.drawImage(image, 0, 0);
                const pixels = width ? context.getImageData(0, 0, width, height).data : [];
                let opaque = 0;
                for (let i = 3; i < pixels.length; i += 4) opaque += pixels[i] == 255 ? 1 : 0;
                const box = image.getBoundingClientRect();
                image.dispatchEvent(new PointerEvent("pointermove", {
                  clientX: box.left + .5 * box.width / width,
                  clientY: box.top + box.height - .5 * box.height / height }));
                const labels = [...figure.querySelectorAll(".labels span")];
                const shown = labels.filter(label => label.checkVisibility())
                  .map(label => label.getBoundingClientRect());
                const frame = figure.querySelector(".labels").getBoundingClientRect();
                return { name: image.alt, width, height, opaque,
                         labels: labels.map(label => label.textContent),
                         hover: figure.querySelector("output").textContent,
                         isInside: shown.every(box => box.left >= frame.left),
                         isReadable: shown.every((box, index) =>
                           index == 0 || box.top >= shown[index - 1].bottom) };
              });
              const folded = document.querySelector("details.device td");
              const isShown = () => folded.checkVisibility();
              const hidden = !isShown();
              const all = [...document.querySelectorAll("details")];
              const open = all.filter(one => one.open).length;
              folded.closest("details.device").querySelector("summary").click();
              const found = { title: document.title, errors: window.pageErrors, maps,
                details: all.length, open, hidden, shown: isShown(),
                xml: document.querySelector("pre").textContent,
                isTooWide: document.documentElement.scrollWidth > innerWidth };
              const text = document.createElement("p");
              text.id = "found";
              const bytes = new TextEncoder().encode(JSON.stringify(found));
              text.textContent = btoa(String.fromCharCode(...bytes));
              document.body.append(text);
            });
            </script>
            </body>
            """

        private static let errorScript = """
            <head>
            <script>
            window.pageErrors = [];
            addEventListener("error", event => pageErrors.push(String(event.message)));
            </script>
            """

        private static func look(
            at page: String,
            width: Int,
            _ browser: PeersBrowser
        ) throws -> Found {
            let (document, complaints) = try browser.open(page, width: width)
            #expect(complaints.isEmpty)
            let start = try #require(document.range(of: "<p id=\"found\">"))
            let text = document[start.upperBound...].prefix { $0 != "<" }
            let data = try #require(Data(base64Encoded: String(text)))
            return try JSONDecoder().decode(Found.self, from: data)
        }

        @Test(
            .requiresBrowser,
            .timeLimit(.minutes(5)),
            arguments: [ImageForm.sequential, .mappedRAM]
        )
        func `the page is good in a browser`(_ form: ImageForm) throws {
            let directory = try PeersDirectory()
            let guest = PeerGuest(.q35, firmware: Peers.guest)
            let saved = try SavedGuest.qemu(.qemu, guest, form, in: directory)
            // As libvirt saves it, so that there is XML.
            let xml = directory.file("vm.xml")
            try Self.xml.write(toFile: xml, atomically: true, encoding: .utf8)
            let image = directory.file("vm.save")
            let target = form == .mappedRAM ? "libvirt-sparse" : "libvirt-raw"
            try berth(
                ["convert", saved.image, image, "--format", target, "--xml", xml],
                in: directory
            )
            let page = directory.file("vm.html")
            #expect(try berth(["inspect", image, "--html", page], in: directory).isEmpty)

            let original = try String(contentsOfFile: page, encoding: .utf8)
            let copy = directory.file("copy.html")
            try original.replacingOccurrences(of: "<head>", with: Self.errorScript)
                .replacingOccurrences(of: "</body>", with: Self.script)
                .write(toFile: copy, atomically: true, encoding: .utf8)
            let browser = try PeersBrowser(in: directory)
            let found = try Self.look(at: copy, width: 1200, browser)
            let narrow = try Self.look(at: copy, width: 500, browser)
            #expect(!narrow.isTooWide)
            #expect(narrow.maps.allSatisfy { $0.isInside && $0.isReadable })
            #expect(found.title == "vm.save")
            #expect(found.errors.isEmpty)
            #expect(!found.isTooWide)
            #expect(found.xml == Self.xml)
            #expect(found.details > 40)
            #expect(found.open == 0)
            #expect(found.hidden && found.shown)
            let report = try report(image, in: directory)
            let blocks = try #require(report["blocks"]?.elements)
            #expect(found.maps.count == blocks.count)
            for (map, block) in zip(found.maps, blocks) {
                let name = try #require(block["name"]?.string)
                let pageCount = try #require(block["pages"]?["total"]?.integer)
                #expect(map.name == "Map of the pages of \(name)")
                #expect(Int64(map.width * map.height) >= pageCount)
                // A pixel a page in guests of this size: those with content have the full colour.
                #expect(Int64(map.opaque) == block["pages"]?["data"]?.integer, "\(name)")
                #expect(map.labels.first == "0x00000000")
                #expect(Set(map.labels).count == map.labels.count)
                #expect(map.isInside && map.isReadable)
                let last = map.width * (map.height - 1) * 4096
                let end = last + 4095
                #expect(
                    map.hover == "0x\(String(last, radix: 16))\u{2013}0x\(String(end, radix: 16))"
                )
            }

            #expect(try browser.screenshot(of: page, width: 1200, height: 1600).count > 20_000)
            #expect(try browser.print(page).starts(with: Data("%PDF-".utf8)))
        }
    }
}
