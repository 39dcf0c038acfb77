import BerthJSON
import BerthQAPI
import BerthSystem
import Glibc
import Testing

@testable import BerthMonitor

/// The human monitor on a real socket, with the device's own thread.
@Suite(.timeLimit(.minutes(1))) struct HMPDeviceTests {
    private struct NoCommands: QMPHandler {
        func execute(
            _ command: QMPCommand,
            monitor: MonitorContext
        ) async throws(QMPError) -> JSONValue { throw .commandNotFound(command.name) }

        func executeOOB(
            _ command: QMPCommand,
            monitor: MonitorContext
        ) async throws(QMPError) -> JSONValue { throw .commandNotFound(command.name) }
    }

    private let path = "@berth-hmp-\(getpid())-\(UInt64.random(in: 0...(.max)))"

    /// Opens a monitor in the kernel's abstract name space, where no file is left behind.
    private func makeServer(_ table: HMPCommandTable) throws -> MonitorServer {
        let server = MonitorServer(
            package: "test",
            handler: NoCommands(),
            events: EventBroadcaster(),
            makeConsole: { _, context in
                HMPSession(shell: HMPShell(table: table, monitor: context), version: "10.0.2")
            },
            report: { Issue.record("\($0)") }
        )
        let socket = CharacterDevice.Socket(
            address: .unix(path: String(path.dropFirst()), isAbstract: true),
            isServer: true
        )
        let device = CharacterDevice(label: "compat_monitor0", backend: .socket(socket))
        try server.open(MonitorConfiguration(device: device, mode: .readline))
        try server.start()
        return server
    }

    private func connect() throws -> OwnedDescriptor {
        let socket = OwnedDescriptor(Glibc.socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0))
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let name = [0] + Array(path.utf8.dropFirst())
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + name.count)
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(socket.raw, $0, length)
            }
        }
        try #require(result == 0)
        return socket
    }

    private let greeting = "QEMU 10.0.2 monitor - type 'help' for more information\r\n(qemu) "

    @Test func `answers all lines of a client that has stopped sending, then hangs up`()
        async throws
    {
        let table = HMPCommandTable(
            [
                HMPCommand("pause", summary: "take some time") { invocation in
                    for _ in 0..<50 { await Task.yield() }
                    invocation.console.writeLine("paused")
                }
            ],
            information: []
        )
        let server = try makeServer(table)
        let client = try connect()
        var transcript = HMPTranscript(client.raw)
        transcript.write("pause\npause\ninfo history\nhalf")
        shutdown(client.raw, CInt(SHUT_WR))
        let text = try await transcript.readToEnd()
        #expect(
            text == greeting + "paused\r\n(qemu) paused\r\n(qemu) "
                + "0: 'pause'\r\n1: 'info history'\r\n(qemu) "
        )
        await server.close()
    }

    @Test func `serves one client after the other and hangs up after quit`() async throws {
        let server = try makeServer(HMPTestTable.table)
        for _ in 0..<3 {
            let client = try connect()
            var transcript = HMPTranscript(client.raw)
            transcript.write("info status\r")
            _ = try await transcript.read(through: greeting + "VM status: running\r\n(qemu) ")
            transcript.write("q\n")
            let rest = try await transcript.readToEnd()
            #expect(rest == "")
        }
        await server.close()
    }

    @Test func `sends output that is larger than the socket takes`() async throws {
        let server = try makeServer(
            HMPCommandTable(
                [
                    HMPCommand("much", summary: "write much") { invocation in
                        for _ in 0..<4000 {
                            invocation.console.writeLine(String(repeating: "x", count: 998))
                        }
                        invocation.console.writeLine("end")
                    }
                ],
                information: []
            )
        )
        let client = try connect()
        var transcript = HMPTranscript(client.raw)
        transcript.write("much\n")
        shutdown(client.raw, CInt(SHUT_WR))
        let text = try await transcript.readToEnd()
        #expect(text.utf8.count == greeting.utf8.count + 4_000_000 + "end\r\n(qemu) ".utf8.count)
        #expect(text.hasSuffix("end\r\n(qemu) "))
        await server.close()
    }
}
