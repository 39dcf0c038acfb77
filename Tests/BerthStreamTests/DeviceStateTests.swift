import BerthStream
import BerthTestSupport
import BerthWire
import Testing

@Suite struct DeviceStateTests {
    /// The device state in a vector that begins with its first section.
    private func load(_ name: String) throws -> DeviceState {
        let bytes = try HexVector.load(name)
        var scanner = DeviceSectionScanner()
        var feeding = DeviceStateFeeding(bytes)
        let end = try feeding.end(&scanner)
        return DeviceState(
            final: DeviceSectionRun(end.sections, copying: bytes.span),
            description: end.description.map { Array(bytes[$0]) }
        )
    }

    private func scanned(_ state: DeviceState) throws -> DeviceSectionScanner.End {
        var scanner = DeviceSectionScanner(hasFooters: state.hasFooters)
        var feeding = DeviceStateFeeding(
            state.final.bytes + MadeStream.tail(description: state.description)
        )
        return try feeding.end(&scanner)
    }

    @Test func `a fresh state is what QEMU 10 saves for an empty machine`() throws {
        let saved = try HexVector.load("sequential/none-64k-qemu-10.0")
        let state = DeviceState.fresh(runState: "prelaunch", machineName: "none")
        let bytes = state.final.bytes + MadeStream.tail(description: state.description)
        #expect(Array(saved.suffix(bytes.count)) == bytes)
        #expect(try scanned(state).isVerified)
    }

    @Test(arguments: try HexVector.names(in: "device-state"))
    func `a foreign state is kept byte for byte`(name: String) throws {
        let bytes = try HexVector.load(name)
        let state = try load(name)
        #expect(
            state.final.encoded(footers: true) + MadeStream.tail(description: state.description)
                == bytes
        )
        #expect(state.globalState?.runState == "prelaunch")
        #expect(state.byteCount == bytes.count - 1 - VMDescriptionHeader.byteCount)
    }

    @Test(arguments: try HexVector.names(in: "device-state"))
    func `patching the run state changes nothing else`(name: String) throws {
        let state = try load(name)
        let patched = state.patchingRunState("io-error", wasSuspended: true)
        #expect(patched.globalState == GlobalState(runState: "io-error", wasSuspended: true))
        #expect(patched.description == state.description)
        #expect(patched.final.sections == state.final.sections)
        let body = try #require(state.final.sections.last).body
        for (index, bytes) in zip(state.final.bytes, patched.final.bytes).enumerated()
        where bytes.0 != bytes.1 {
            #expect(body.contains(index))
        }
        #expect(try scanned(patched).isVerified)
        #expect(
            patched.patchingRunState("prelaunch", wasSuspended: false).globalState
                == GlobalState(runState: "prelaunch")
        )
    }

    @Test func `patching keeps what the source said about suspension`() {
        let state = DeviceState.fresh(runState: "running", machineName: "none")
            .patchingRunState("suspended", wasSuspended: true)
            .patchingRunState("paused")
        #expect(state.globalState == GlobalState(runState: "paused", wasSuspended: true))
    }

    @Test func `a missing run state is added, to the description too`() throws {
        var made = MadeStream()
        made.append("timer", id: 3, body: Array(repeating: 0, count: 24))
        let state = DeviceState(final: made.run, description: made.description)
        let patched = state.patchingRunState("paused")
        #expect(patched.globalState?.runState == "paused")
        #expect(patched.final.sections.map(\.id) == [3, 4])
        let end = try scanned(patched)
        #expect(end.isVerified)
        #expect(end.sections == patched.final.sections)
    }

    @Test func `a description that is not QEMU's stays as it is`() {
        var made = MadeStream()
        made.append("timer", id: 0, body: [0])
        for text in ["{}", "", "{\"devices\": []}"] {
            let state = DeviceState(final: made.run, description: Array(text.utf8))
            #expect(state.patchingRunState("paused").description == Array(text.utf8))
        }
    }

    @Test func `footers can be left out and put back`() throws {
        let state = try load("device-state/q35-qemu-10.0")
        let bare = state.final.encoded(footers: false)
        #expect(bare.count == state.final.bytes.count - 5 * state.final.sections.count)
        var scanner = DeviceSectionScanner(hasFooters: false)
        let stream = bare + MadeStream.tail(description: state.description)
        var feeding = DeviceStateFeeding(stream)
        let run = DeviceSectionRun(try feeding.end(&scanner).sections, copying: stream.span)
        #expect(run.bytes == bare)
        #expect(run.encoded(footers: true) == state.final.bytes)
    }

    @Test func `an id of Berth's own is one that no section has`() throws {
        let state = try load("device-state/q35-qemu-10.0")
        let used = Set(state.final.sections.map(\.id))
        #expect(!used.contains(state.unusedSectionID(preferred: 1)))
        #expect(state.unusedSectionID(preferred: 7000) == 7000)
        #expect(!used.contains(state.unusedSectionID(preferred: used.max() ?? 0)))
    }
}
