import BerthTestSupport
import Testing

extension Interop {
    /// Workloads, and wishes about a guest's memory, that can't be had.
    @Suite(.requiresBerth) struct WhenWorkloadsMakeNoSense {
        let directory: PeersDirectory

        init() throws {
            directory = try PeersDirectory()
        }

        /// A property that is wrong, and a word that the refusal must have.
        private static let mistakes: [(properties: [String: PeersJSON], word: String)] = [
            (["start": 4095], "pages"),
            (["size": 4097], "pages"),
            (["start": 0x200_0000], "range"),
            (["start": 0x100_0000, "size": 0x100_1000], "outside"),
            (["start": 0x7fff_ffff_ffff_f000], "range"),
            (["size": 0x7fff_ffff_ffff_f000], "outside"),
            (["size": 0], "empty"),
            (["pattern": "bogus"], "bogus"),
            (["memdev": "nobody"], "nobody"),
            (["threads": 0], "threads"),
            (["threads": 65], "threads"),
            (["size": 4096, "threads": 2], "threads"),
            (["rate": "fast"], "rate"),
            (["bogus": 1], "bogus"),
        ]

        @Test(.timeLimit(.minutes(1)), arguments: mistakes)
        func `is refused on the command line`(
            properties: [String: PeersJSON],
            word: String
        ) throws {
            let berth = try #require(Peers.berth)
            var words = ["guest-workload", "id=writer"]
            if properties["memdev"] == nil { words.append("memdev=ram") }
            for (name, value) in properties {
                words.append("\(name)=\(value.string ?? String(value.integer ?? 0))")
            }
            let process = try PeersProcess(
                [
                    berth, "run", "-nodefaults", "-display", "none",
                    "-object", "memory-backend-ram,id=ram,size=32M",
                    "-machine", "none,memory-backend=ram", "-m", "32",
                    "-object", words.joined(separator: ","),
                ],
                in: directory
            )
            #expect(try process.waitForExit() == 1)
            #expect(process.errorOutput.contains(word), "\(process.errorOutput)")
        }

        @Test(.timeLimit(.minutes(1)))
        func `is refused by the monitor, and leaves nothing behind`() throws {
            var guest = PeerGuest(.none)
            guest.memory = .anonymous
            let berth = try PeersMachine(.berth, guest, in: directory, paused: false)
            for (properties, word) in Self.mistakes {
                var arguments: [String: PeersJSON] = [
                    "qom-type": "guest-workload", "id": "writer", "memdev": "ram",
                ]
                arguments.merge(properties) { $1 }
                let refusal = #expect(throws: QMPRefusal.self, "\(properties)") {
                    try berth.monitor.execute("object-add", .object(arguments))
                }
                #expect(refusal?.text.contains(word) == true, "\(refusal as Any)")
            }
            #expect(try berth.monitor.execute("x-query-workload") == [])
            // This request is in order.
            try add("writer", on: "ram", to: berth)
            try berth.waitForWrites(beyond: 0)
        }

        @Test(.timeLimit(.minutes(1)))
        func `memory that is written stays`() throws {
            var guest = PeerGuest(.none)
            guest.memory = .anonymous
            let berth = try PeersMachine(.berth, guest, in: directory, paused: false)
            try berth.monitor.execute(
                "object-add",
                ["qom-type": "memory-backend-ram", "id": "more", "size": 0x10_0000]
            )
            try add("writer", on: "more", to: berth)
            try berth.waitForWrites(beyond: 0)
            for id in ["more", "ram", "nobody"] {
                #expect(throws: QMPRefusal.self, "\(id)") {
                    try berth.monitor.execute("object-del", ["id": .string(id)])
                }
            }
            #expect(throws: QMPRefusal.self) { try add("writer", on: "ram", to: berth) }
            #expect(throws: QMPRefusal.self) { try add("ram", on: "more", to: berth) }
            try berth.waitForWrites(beyond: try berth.workload().writes)
            try berth.monitor.execute("object-del", ["id": "writer"])
            #expect(try berth.monitor.execute("x-query-workload") == [])
            try berth.monitor.execute("object-del", ["id": "more"])
        }

        private func add(_ id: String, on backend: String, to berth: PeersMachine) throws {
            try berth.monitor.execute(
                "object-add",
                ["qom-type": "guest-workload", "id": .string(id), "memdev": .string(backend)]
            )
        }
    }
}
