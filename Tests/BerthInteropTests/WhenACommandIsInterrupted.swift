import BerthTestSupport
import Foundation
import Testing

extension Interop {
    /// What a signal leaves behind.
    @Suite(.requiresBerth) struct WhenACommandIsInterrupted {
        @Test(
            .timeLimit(.minutes(1)),
            arguments: [SIGTERM, SIGINT, SIGHUP],
            [["receive"], ["convert", "--format", "mapped-ram", "-"]]
        )
        func `a signal ends a command, and nothing of the image stays`(
            signal: CInt,
            command: [String]
        ) throws {
            let berth = try #require(Peers.berth)
            let directory = try PeersDirectory()
            let stream = try HexVector.load("sequential/none-64k-qemu-10.0")
            let fifo = directory.file("fifo")
            try #require(mkfifo(fifo, 0o600) == 0)
            // For reading too: opening it waits for nobody, and the command sees no end.
            let source = open(fifo, O_RDWR | O_CLOEXEC)
            defer { close(source) }
            let half = stream.count / 2
            try #require(write(source, stream, half) == half)

            let image = directory.file("image")
            let receive = try PeersProcess(
                [berth] + command + [image],
                in: directory,
                input: fifo
            )
            while try images(in: directory).isEmpty, receive.isRunning {
                usleep(2000)
            }
            #expect(try images(in: directory) == ["image.partial-\(receive.identifier)"])

            receive.signal(signal)
            #expect(try receive.waitForExit() == Int(128 + signal))
            #expect(receive.errorOutput == "berth: terminating on signal \(signal)\n")
            #expect(try images(in: directory) == [])
        }

        @Test(.timeLimit(.minutes(1)))
        func `a signal ends the demonstration, and its folder goes`() throws {
            let berth = try #require(Peers.berth)
            let directory = try PeersDirectory()
            let demo = try PeersProcess(
                ["/usr/bin/env", "TMPDIR=\(directory.path)", berth, "demo"],
                in: directory
            )
            // Until its first save is under way.
            while try !isSaving(in: directory), demo.isRunning {
                usleep(2000)
            }
            demo.signal(SIGTERM)
            #expect(try demo.waitForExit() == Int(128 + SIGTERM))
            #expect(try demonstrations(in: directory) == [])
        }

        @Test(.timeLimit(.minutes(1)))
        func `a PID file belongs to one endpoint`() throws {
            let berth = try #require(Peers.berth)
            let directory = try PeersDirectory()
            let pidFile = directory.file("pid")
            let arguments = [berth, "run", "-M", "none", "-pidfile", pidFile]
            let first = try PeersProcess(arguments, in: directory)
            while FileManager.default.contents(atPath: pidFile)?.isEmpty != false, first.isRunning {
                usleep(2000)
            }
            let second = try PeersProcess(arguments, in: directory)
            #expect(try second.waitForExit() == 1)
            #expect(second.errorOutput.contains("'\(pidFile)' is locked by a process that runs"))
            #expect(try String(contentsOfFile: pidFile, encoding: .utf8) == "\(first.identifier)\n")
            first.signal(SIGTERM)
            #expect(try first.waitForExit() == 0)
            #expect(!FileManager.default.fileExists(atPath: pidFile))
        }

        private func images(in directory: PeersDirectory) throws -> [String] {
            try names(in: directory, with: "image")
        }

        private func demonstrations(in directory: PeersDirectory) throws -> [String] {
            try names(in: directory, with: "berth-demo-")
        }

        private func isSaving(in directory: PeersDirectory) throws -> Bool {
            try demonstrations(in: directory).contains { folder in
                FileManager.default.fileExists(
                    atPath: directory.file("\(folder)/sequential.img")
                )
            }
        }

        private func names(in directory: PeersDirectory, with prefix: String) throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: directory.path)
                .filter { $0.hasPrefix(prefix) }
        }
    }
}
