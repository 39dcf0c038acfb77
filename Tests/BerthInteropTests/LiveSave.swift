import BerthTestSupport
import Foundation
import Testing

extension Interop {
    /// Saves of a guest that writes its memory without end, faster than it can be saved.
    @Suite(.requiresBerth, .requiresQEMU10) struct LiveSave {
        @Test(.timeLimit(.minutes(2)), arguments: [Route.sequentialFile, .mappedFile])
        func `a save of a guest that never rests is whole`(route: Route) throws {
            let byteCount = 128 << 20
            let busy = try BusyGuest(
                PeerWorkload(.increment, byteCount: byteCount, threadCount: 2),
                megabytes: byteCount >> 20
            )
            let mapped = route == .mappedFile
            let image = busy.directory.file("image")
            let source = try busy.start()
            try source.setCapability("mapped-ram", mapped)

            // What is left never fits into a millisecond: only we end the save.
            try source.setParameter("max-bandwidth", 0)
            try source.setParameter("downtime-limit", 1)
            source.monitor.dropEvents()
            try source.startMigration(to: "file:\(image)")
            var history = try source.history(to: "pass 4")
            try source.wait("twice the memory to be sent") {
                let ram = try source.monitor.execute("query-migrate")["ram"]
                return ram?["transferred"]?.integer ?? 0 > 2 * byteCount
            }
            try source.setParameter("downtime-limit", 60_000)
            history += try source.history()
            let last = history.count - 6
            #expect(
                history == ["setup", "pass 1", "active"] + (2...last).map { "pass \($0)" }
                    + ["STOP", "device", "pass \(last + 1)", "completed"]
            )
            let info = try source.monitor.execute("query-migrate")
            #expect(info["ram"]?["dirty-sync-count"]?.integer == Int64(last + 1))

            let attributes = try FileManager.default.attributesOfItem(atPath: image)
            let size = try #require(attributes[.size] as? Int)
            print("\(route.rawValue): \(size >> 20) MiB for \(byteCount >> 20) MiB of memory")
            if mapped {
                // The pages begin at 1 MiB; behind them is less than a further one.
                #expect(size <= byteCount + (2 << 20))
            } else {
                #expect(size >= byteCount * 3 / 2)
            }
            for program in [PeerProgram.berth, .qemu] {
                let restored = try busy.restore(image, in: program, mapped: mapped)
                try busy.expectSame(in: restored, as: source)
                guard program == .berth else { continue }
                try restored.monitor.execute("cont")
                try busy.expectGoesOn(in: restored)
            }
        }

        @Test(.timeLimit(.minutes(2)), arguments: PeerMemoryKind.allCases, ["software", "kernel"])
        func `each kind of memory is saved whole`(memory: PeerMemoryKind, tracking: String) throws {
            for pattern in PeerWorkload.Pattern.allCases {
                let busy = try BusyGuest(
                    PeerWorkload(pattern, byteCount: 16 << 20, bytesPerSecond: 64 << 20),
                    megabytes: 32,
                    memory: memory
                )
                let source = try busy.start()
                let blocks = try source.monitor.execute("x-query-dirty-tracking")
                // The kernel tells nothing about files on most disks, and Berth says so.
                if tracking == "kernel", blocks[0]?["kernel"] == false {
                    #expect(memory == .sharedFile, "\(blocks)")
                    return
                }
                let image = busy.directory.file("image")
                try source.setParameter("x-dirty-tracking", .string(tracking))
                try source.setCapability("mapped-ram", true)
                try source.migrate(to: "file:\(image)")
                let restored = try busy.restore(image, in: .berth, mapped: true)
                try busy.expectSame(in: restored, as: source)
                try restored.monitor.execute("cont")
                try busy.expectGoesOn(in: restored)
            }
        }

        @Test(.timeLimit(.minutes(2)), arguments: ["torn", "misplaced", "stale"])
        func `a page that isn't what was saved is found, and kept as it is`(kind: String) throws {
            let busy = try BusyGuest(PeerWorkload(.increment, byteCount: 8 << 20), megabytes: 8)
            let image = busy.directory.file("image")
            let source = try busy.start()
            try source.waitForWrites(beyond: 10 * 2048)
            try source.setCapability("mapped-ram", true)
            try source.setParameter("downtime-limit", 60_000)
            try source.migrate(to: "file:\(image)")

            let page = 1000
            try change(page, of: image) { words in
                for line in stride(from: 0, to: words.count, by: 8) {
                    switch kind {
                    case "torn" where line >= words.count / 2: words[line] -= 1 << 32
                    case "misplaced": words[line] += 1
                    case "stale": words[line] -= 5 << 32
                    default: break
                    }
                }
            }
            let restored = try busy.restore(image, in: .berth, mapped: true)
            let answer = try restored.workload().answer
            #expect(answer["verdict"] == "corrupt")
            #expect(answer["fault-count"] == 1)
            #expect(
                answer["faults"] == [
                    ["offset": .integer(Int64(page * 4096)), "kind": .string(kind)]
                ]
            )
            let digest = try restored.digest()
            try restored.monitor.execute("cont")
            let stayed = try restored.workload().answer
            #expect(stayed["verdict"] == "corrupt")
            #expect(stayed["running"] == false)
            try restored.monitor.execute("stop")
            #expect(try restored.digest() == digest)
        }

        /// Changes a page in a mapped image, whose pages begin at 1 MiB.
        private func change(_ page: Int, of image: String, _ body: (inout [UInt64]) -> Void) throws
        {
            let file = try #require(fopen(image, "r+"))
            defer { fclose(file) }
            var words = [UInt64](repeating: 0, count: 512)
            fseek(file, (1 << 20) + page * 4096, SEEK_SET)
            try #require(fread(&words, 4096, 1, file) == 1)
            try #require(UInt32(truncatingIfNeeded: words[0]) == UInt32(page))
            body(&words)
            fseek(file, (1 << 20) + page * 4096, SEEK_SET)
            try #require(fwrite(words, 4096, 1, file) == 1)
        }
    }
}
