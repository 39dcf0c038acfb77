import BerthTestSupport
import Foundation
import Testing

extension Interop {
    /// `berth diff` with images of real QEMU's guests, against their memories.
    @Suite(.requiresQEMU10, .requiresBerth, .requiresGuest)
    struct ComparingImages {
        private struct Outcome {
            var status: Int
            var output: String
            var errorOutput: String
        }

        private func berth(_ arguments: [String], in directory: PeersDirectory) throws -> Outcome {
            let process = try PeersProcess([try #require(Peers.berth)] + arguments, in: directory)
            let status = try process.waitForExit()
            return Outcome(
                status: status,
                output: process.output,
                errorOutput: process.errorOutput
            )
        }

        /// A running guest, saved twice, and its memory at both times.
        private func saveTwice(
            _ machineType: PeerMachineType,
            isFirstMapped: Bool,
            in directory: PeersDirectory
        ) throws -> [(image: String, memory: Data)] {
            let guest = PeerGuest(machineType, firmware: Peers.guest)
            let machine = try PeersMachine(.qemu, guest, in: directory, paused: false)
            var saved: [(image: String, memory: Data)] = []
            var state = try machine.waitForRounds(1)
            for (name, isMapped) in [("first", isFirstMapped), ("second", !isFirstMapped)] {
                try machine.monitor.execute("stop")
                let memory = try Data(contentsOf: URL(filePath: machine.memoryPath))
                try machine.setCapability("mapped-ram", isMapped)
                let image = directory.file(name)
                try machine.migrate(to: machine.fileURI(image))
                saved.append((image, memory))
                guard saved.count == 1 else { break }
                // Behind the pages that the guest counts in: some with content, some that lose it.
                try write(to: machine.memoryPath)
                // QEMU says that it is done a moment before the guest may go on.
                while try machine.runState() != "postmigrate" { usleep(1000) }
                try machine.monitor.execute("cont")
                state = try machine.waitForRounds(1, beyond: state)
            }
            return saved
        }

        private func write(to path: String) throws {
            let file = try #require(FileHandle(forUpdatingAtPath: path))
            for page in [0x1100, 0x1101, 0x1FFF] {
                try file.seek(toOffset: UInt64(page) << 12 + 4095)
                try file.write(contentsOf: Data([1]))
            }
            try file.close()
        }

        /// Pages of main memory by how they differ, as the memories themselves say.
        private func expected(_ one: Data, _ other: Data) -> [String: [Int]] {
            var pages: [String: [Int]] = [:]
            let zero = Data(count: 4096)
            for page in 0..<one.count / 4096 {
                let range = page << 12..<(page + 1) << 12
                guard one[range] != other[range] else { continue }
                let kind =
                    one[range] == zero
                    ? "only-second" : other[range] == zero ? "only-first" : "changed"
                pages[kind, default: []].append(page)
            }
            return pages
        }

        @Test(
            .timeLimit(.minutes(5)),
            arguments: [PeerMachineType.pc, .q35],
            [true, false]
        )
        func `the pages that a guest wrote are those that differ`(
            _ machineType: PeerMachineType,
            _ isFirstMapped: Bool
        ) throws {
            let directory = try PeersDirectory()
            let saved = try saveTwice(machineType, isFirstMapped: isFirstMapped, in: directory)
            let outcome = try berth(
                ["diff", "--json", "--pages", saved[0].image, saved[1].image],
                in: directory
            )
            #expect(outcome.status == 1, "\(outcome.errorOutput)")
            let json = try #require(
                JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any]
            )
            let blocks = try #require(json["blocks"] as? [[String: Any]])
            let ram = try #require(blocks.first { $0["name"] as? String == "pc.ram" })
            var found: [String: [Int]] = [:]
            for range in try #require(ram["ranges"] as? [[String: Any]]) {
                let kind = try #require(range["kind"] as? String)
                let offset = try #require(range["offset"] as? Int)
                let size = try #require(range["size"] as? Int)
                found[kind, default: []] += Array(offset >> 12..<(offset + size) >> 12)
            }
            let expected = expected(saved[0].memory, saved[1].memory)
            #expect(found == expected)
            // How many depends on how fast the guest is.
            #expect(expected["changed"]?.isEmpty == false)
            #expect(expected["only-second"] == [0x1100, 0x1101, 0x1FFF])
            #expect(ram["changed"] as? Int == expected["changed"]?.count)
            #expect(ram["only-second"] as? Int == 3)

            // The processor was elsewhere; a keyboard that nobody touched is as it was.
            let devices = try #require(json["devices"] as? [[String: Any]])
            let names = devices.compactMap { $0["name"] as? String }
            #expect(names.contains("cpu"))
            #expect(!names.contains("ps2kbd"))
            let processor = try #require(devices.first { $0["name"] as? String == "cpu" })
            let fields = try #require(processor["fields"] as? [[String: Any]])
            #expect(fields.contains { ($0["path"] as? String)?.hasPrefix("env.regs[") == true })
        }

        @Test(.timeLimit(.minutes(5)))
        func `one guest in any form has no difference, and what is no image is trouble`() throws {
            let directory = try PeersDirectory()
            let saved = try saveTwice(.q35, isFirstMapped: false, in: directory)
            let copy = directory.file("copy")
            let convert = try berth(
                ["convert", saved[0].image, copy, "--format", "mapped-ram"],
                in: directory
            )
            try #require(convert.status == 0, "\(convert.errorOutput)")
            let same = try berth(["diff", "--pages", saved[0].image, copy], in: directory)
            #expect(same.status == 0)
            #expect(same.output.isEmpty)
            #expect(same.errorOutput.isEmpty)

            let text = try berth(["diff", "--pages", copy, saved[1].image], in: directory)
            #expect(text.status == 1)
            #expect(text.output.contains("  pc.ram 0x1100000-0x1101fff only in second"))
            #expect(text.output.contains("env.regs["))

            let page = directory.file("page.html")
            let html = try berth(["diff", "--html", page, copy, saved[1].image], in: directory)
            #expect(html.status == 1)
            #expect(html.output.isEmpty)
            let document = try String(contentsOf: URL(filePath: page), encoding: .utf8)
            #expect(document.hasPrefix("<!DOCTYPE html>"))
            #expect(document.contains("Map of the pages of pc.ram"))

            for arguments in [[copy, "/dev/null"], ["/etc/passwd", copy], [copy, "/nowhere"]] {
                let trouble = try berth(["diff"] + arguments, in: directory)
                #expect(trouble.status == 2)
                #expect(trouble.output.isEmpty)
                #expect(trouble.errorOutput.hasPrefix("berth: "))
            }
        }
    }
}
