import BerthJSON
import BerthQAPI
import Testing

/// What replies and events look like.
@Suite struct EncodingTests {
    @Test func `the members of a reply come in the order that QEMU's have`() {
        let status = StatusInfo(status: .running, running: true)
        #expect(status.toJSON().serialized() == #"{"status": "running", "running": true}"#)
        let version = VersionInfo(
            qemu: VersionTriple(micro: 2, minor: 0, major: 10),
            package: "berth"
        )
        #expect(
            version.toJSON().serialized()
                == #"{"qemu": {"micro": 2, "minor": 0, "major": 10}, "package": "berth"}"#
        )
        let set = FdsetInfo(fds: [FdsetFdInfo(fd: 5)], fdsetID: 1)
        #expect(set.toJSON().serialized() == #"{"fds": [{"fd": 5}], "fdset-id": 1}"#)
    }

    @Test func `what isn't known is left out`() {
        #expect(MigrationInfo().toJSON().serialized() == "{}")
        #expect(NameInfo().toJSON().serialized() == "{}")
        let info = MigrationInfo(status: .failed, errorDesc: "why")
        #expect(info.toJSON().serialized() == #"{"status": "failed", "error-desc": "why"}"#)
    }

    @Test func `numbers keep all their digits`() {
        let parameters = MigrationParameters(maxBandwidth: 9_223_372_036_853_727_232)
        #expect(parameters.toObject()["max-bandwidth"] == .integer(9_223_372_036_853_727_232))
        let unlimited = MigrationParameters(maxBandwidth: .max)
        #expect(unlimited.toObject()["max-bandwidth"] == .unsigned(.max))
    }

    @Test func `a union is flat`() {
        let address = SocketAddress.unix(UnixSocketAddress(path: "/s"))
        #expect(
            address.toJSON().serialized()
                == #"{"type": "unix", "path": "/s", "abstract": false, "tight": true}"#
        )
        #expect(YankInstance.migration.toJSON().serialized() == #"{"type": "migration"}"#)
    }

    @Test func `an event has a name, and data only if there is some`() {
        #expect(QMPEvent.stop.name == "STOP")
        #expect(QMPEvent.stop.data == nil)
        let event = QMPEvent.migration(status: .preSwitchover)
        #expect(event.name == "MIGRATION")
        #expect(event.data == ["status": .string("pre-switchover")])
        let shutdown = QMPEvent.shutdown(guest: false, reason: .hostQMPQuit)
        #expect(shutdown.data == ["guest": .bool(false), "reason": .string("host-qmp-quit")])
        #expect(QMPEvent.migrationPass(pass: 2).data == ["pass": .integer(2)])
    }

    @Test func `what was decoded is encoded as it was`() throws {
        let text =
            "{'qom-type':'memory-backend-memfd','id':'m','size':18446744073709551615,'seal':false}"
        guard case .object(let object) = try parseQMPText(text) else { return }
        let options = try ObjectOptions(checking: object)
        #expect(try ObjectOptions(checking: options.toObject()) == options)
        for (name, value) in object { #expect(options.toObject()[name] == value) }
    }
}
