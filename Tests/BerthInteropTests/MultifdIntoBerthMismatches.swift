import BerthTestSupport
import Testing

extension Interop {
    /// Two ends of a multifd migration that don't agree, and sources that go away.
    ///
    /// Real QEMU hangs at one end or both in most of these cases.
    @Suite(.requiresBerth, .requiresQEMU10) struct MultifdIntoBerthMismatches {
        private let directory: PeersDirectory
        private let guest = PeerGuest(.none)
        private let memory: String

        init() throws {
            directory = try PeersDirectory()
            memory = directory.file("memory")
            try PeersMemory.writePattern(to: memory, byteCount: guest.memoryByteCount, seed: 23)
        }

        private func machines(
            sourceOptions: [String] = [],
            berthOptions: [String] = []
        ) throws -> (source: PeersMachine, berth: PeersMachine) {
            let source = try PeersMachine(
                .qemu,
                guest,
                in: directory,
                memoryPath: memory,
                options: sourceOptions
            )
            let berth = try PeersMachine(
                .berth,
                guest,
                in: directory,
                incoming: "defer",
                options: berthOptions
            )
            try MultifdRoute().apply(toSource: source)
            try MultifdRoute().apply(toDestination: berth)
            return (source, berth)
        }

        /// Lets a guest migrate to a Berth that must refuse it, and expects that both ends are done.
        ///
        /// - Returns: The reason that Berth gives.
        private func refusal(
            by berth: PeersMachine,
            of source: PeersMachine,
            over transport: String
        ) throws -> String {
            let address = try MultifdRoute(transport: transport).listen(berth, directory)
            try source.startMigration(to: address)
            #expect(try berth.waitForEnd() == "failed")
            #expect(try berth.runState() == "inmigrate")
            #expect(try source.waitForEnd() == "failed")
            return try #require(try berth.monitor.execute("query-migrate")["error-desc"]?.string)
        }

        /// Expects that Berth still takes the guest from a source that agrees.
        ///
        /// From another source: QEMU 10.0 tells of one failure twice.
        private func expectWorks(_ berth: PeersMachine, sourceOptions: [String] = []) throws {
            berth.monitor.dropEvents()
            let source = try PeersMachine(
                .qemu,
                guest,
                in: directory,
                memoryPath: memory,
                options: sourceOptions
            )
            let route = MultifdRoute(channelCount: 3)
            try route.apply(toSource: source)
            try route.apply(toDestination: berth)
            try source.migrate(to: try route.listen(berth, directory))
            try berth.waitForCompletion()
            try expectSameMemory(memory, berth.memoryPath)
        }

        @Test(.timeLimit(.minutes(2)), arguments: ["unix", "tcp"])
        func `more channels at the source`(_ transport: String) throws {
            let (source, berth) = try machines()
            try source.setParameter("multifd-channels", 5)
            let reason = try refusal(by: berth, of: source, over: transport)
            #expect(reason.contains("2 are expected here"), "\(reason)")
            try expectWorks(berth)
        }

        @Test(.timeLimit(.minutes(2)), arguments: ["unix", "tcp"])
        func `fewer channels at the source`(_ transport: String) throws {
            let (source, berth) = try machines()
            try berth.setParameter("multifd-channels", 4)
            let reason = try refusal(by: berth, of: source, over: transport)
            #expect(
                reason.contains("the source connected 2 multifd channels, 4 are expected here"),
                "\(reason)"
            )
            try expectWorks(berth)
        }

        @Test(.timeLimit(.minutes(2)), arguments: ["unix", "tcp"])
        func `multifd at the source only`(_ transport: String) throws {
            let (source, berth) = try machines()
            try berth.setCapability("multifd", false)
            let reason = try refusal(by: berth, of: source, over: transport)
            #expect(reason.contains("multifd"), "\(reason)")
            try expectWorks(berth)
        }

        @Test(.timeLimit(.minutes(2)), arguments: ["8.0", "8.1"])
        func `multifd at the source only, in a machine of an older version`(
            _ version: String
        ) throws {
            let guest = PeerGuest(.pc, version: version)
            let source = try PeersMachine(.qemu, guest, in: directory)
            let berth = try PeersMachine(.berth, guest, in: directory, incoming: "defer")
            try MultifdRoute(zeroPages: "legacy").apply(toSource: source)
            let reason = try refusal(by: berth, of: source, over: "unix")
            #expect(reason.contains("multifd"), "\(reason)")
        }

        @Test(.timeLimit(.minutes(2)), arguments: ["unix", "tcp"])
        func `multifd at the destination only`(_ transport: String) throws {
            let (source, berth) = try machines()
            try source.setCapability("multifd", false)
            let reason = try refusal(by: berth, of: source, over: transport)
            #expect(
                reason.contains("the source connected no multifd channel, 2 are expected here"),
                "\(reason)"
            )
            try expectWorks(berth)
        }

        @Test(
            .timeLimit(.minutes(2)),
            arguments: [("zlib", "none"), ("none", "zstd"), ("zstd", "zlib")]
        )
        func `another compression`(_ there: String, _ here: String) throws {
            let (source, berth) = try machines()
            try source.setParameter("multifd-compression", .string(there))
            try berth.setParameter("multifd-compression", .string(here))
            let reason = try refusal(by: berth, of: source, over: "unix")
            #expect(reason.contains("'\(there)'") && reason.contains("'\(here)'"), "\(reason)")
            try expectWorks(berth)
        }

        @Test(.timeLimit(.minutes(2)))
        func `another UUID, with and without one`() throws {
            let ours = "7a2e0d5c-3d4f-4b68-9d3e-0a1b2c3d4e5f"
            let theirs = "00000000-1111-2222-3333-444444444444"
            for (there, here) in [(theirs, ours), (theirs, nil), (nil, ours)] {
                let (source, berth) = try machines(
                    sourceOptions: there.map { ["-uuid", $0] } ?? [],
                    berthOptions: here.map { ["-uuid", $0] } ?? []
                )
                let reason = try refusal(by: berth, of: source, over: "unix")
                #expect(reason.contains("UUID"), "\(reason)")
                if let there { #expect(reason.contains(there)) }
                if let here { #expect(reason.contains(here)) }
                for end in [source, berth] { end.process.kill() }
            }
            let (_, berth) = try machines(berthOptions: ["-uuid", ours])
            try expectWorks(berth, sourceOptions: ["-uuid", ours])
        }

        @Test(.timeLimit(.minutes(2)), arguments: ["unix", "tcp"], ["none", "zstd"])
        func `a source that dies leaves Berth waiting and willing`(
            _ transport: String,
            _ compression: String
        ) throws {
            let (source, berth) = try machines()
            let route = MultifdRoute(
                transport: transport,
                channelCount: 4,
                compression: compression
            )
            try route.apply(toSource: source)
            try route.apply(toDestination: berth)
            try source.setParameter("max-bandwidth", 1_000_000)
            try source.startMigration(to: try route.listen(berth, directory))
            try berth.monitor.waitForEvent("MIGRATION") { $0["status"] == "active" }
            source.process.kill()
            #expect(try berth.waitForEnd() == "failed")
            #expect(try berth.runState() == "inmigrate")
            try expectWorks(berth)
        }

        @Test(.timeLimit(.minutes(2)))
        func `a Berth that is ended in the midst ends, and the source fails`() throws {
            let (source, berth) = try machines()
            try source.setParameter("max-bandwidth", 1_000_000)
            try source.startMigration(to: try MultifdRoute().listen(berth, directory))
            try berth.monitor.waitForEvent("MIGRATION") { $0["status"] == "active" }
            #expect(try berth.quit() == 0)
            #expect(try source.waitForEnd() == "failed")
        }

        @Test(.timeLimit(.minutes(2)))
        func `a Berth that waits for channels can be ended`() throws {
            let (source, berth) = try machines()
            try berth.setParameter("multifd-channels", 200)
            let address = try MultifdRoute().listen(berth, directory)
            try source.startMigration(to: address)
            #expect(try berth.quit() == 0)
            #expect(try source.waitForEnd() == "failed")
        }
    }
}
