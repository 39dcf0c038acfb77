import BerthTestSupport
import Testing

extension Interop {
    /// What a user would see in `top` and feel at the prompt, with real QEMU measured in the same minute.
    @Suite(.requiresBerth, .requiresQEMU10) struct CostOfAnEndpoint {
        private static let rounds = 9

        @Test(.timeLimit(.minutes(2)))
        func `Berth answers sooner after its start than QEMU`() throws {
            let directory = try PeersDirectory()
            var qemu: [Duration] = []
            var berth: [Duration] = []
            // In turn, so that whatever else the machine does falls on both.
            for _ in 0..<Self.rounds {
                qemu.append(try start(.qemu, in: directory).took)
                berth.append(try start(.berth, in: directory).took)
            }
            #expect(median(berth) < median(qemu))
        }

        @Test(.timeLimit(.minutes(2)))
        func `Berth is smaller than QEMU beyond the guest's memory`() throws {
            let directory = try PeersDirectory()
            let qemu = try start(.qemu, in: directory).machine
            let berth = try start(.berth, in: directory).machine
            let sizes = [qemu, berth].compactMap { $0.process.residentByteCount }
            try #require(sizes.count == 2)
            #expect(sizes[1] < sizes[0])
        }

        private func start(
            _ program: PeerProgram,
            in directory: PeersDirectory
        ) throws -> (machine: PeersMachine, took: Duration) {
            let clock = ContinuousClock()
            let begin = clock.now
            let machine = try PeersMachine(program, PeerGuest(.none), in: directory)
            return (machine, clock.now - begin)
        }

        private func median(_ times: [Duration]) -> Duration {
            times.sorted()[times.count / 2]
        }
    }
}
