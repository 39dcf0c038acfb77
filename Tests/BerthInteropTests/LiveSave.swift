import BerthTestSupport
import Foundation
import Testing

extension Interop {
    /// Saves of a guest that writes its memory without end, faster than it can be saved.
    @Suite(.requiresBerth, .requiresQEMU10) struct LiveSave {
        @Test(.timeLimit(.minutes(2)), arguments: [Route.sequentialFile, .mappedFile])
        func `a save of a guest that never rests is whole`(route: Route) throws {
            let byteCount = 256 << 20
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
            let rounds = Int64(3 * byteCount / 4096)
            let before = try source.workload().writes
            try source.startMigration(to: "file:\(image)")
            try source.monitor.waitForEvent("MIGRATION_PASS") { $0["pass"]?.integer == 4 }
            try source.waitForWrites(beyond: before + rounds)
            try source.setParameter("downtime-limit", 60_000)
            let info = try source.waitForCompletion()
            #expect(info["ram"]?["dirty-sync-count"]?.integer ?? 0 >= 4)

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

        @Test(
            .timeLimit(.minutes(2)),
            arguments: PeerWorkload.Pattern.allCases,
            PeerMemoryKind.allCases
        )
        func `each pattern is saved whole from each kind of memory`(
            pattern: PeerWorkload.Pattern,
            memory: PeerMemoryKind
        ) throws {
            let workload = PeerWorkload(pattern, byteCount: 16 << 20, bytesPerSecond: 64 << 20)
            let busy = try BusyGuest(workload, megabytes: 32, memory: memory)
            let image = busy.directory.file("image")
            let source = try busy.start()
            try source.setCapability("mapped-ram", true)
            try source.migrate(to: "file:\(image)")
            let restored = try busy.restore(image, in: .berth, mapped: true)
            try busy.expectSame(in: restored, as: source)
            try restored.monitor.execute("cont")
            try busy.expectGoesOn(in: restored)
        }
    }
}
