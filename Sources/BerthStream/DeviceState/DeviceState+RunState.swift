public import BerthWire

extension DeviceState {
    /// The run state that the source left; nil if it sent none or one that cannot be read.
    ///
    /// A destination treats a missing state as `running`.
    public var globalState: GlobalState? {
        guard let index = final.index(ofFull: GlobalState.sectionName) else {
            return nil
        }
        var cursor = WireCursor()
        return try? GlobalState(decoding: &cursor, Array(final.body(at: index)).span)
    }

    /// The same device state with another run state.
    ///
    /// A section `globalstate` of the usual length is rewritten in place, so the description keeps
    /// fitting. If there is none, one is added, also to a description in QEMU's form.
    ///
    /// - Parameters:
    ///   - runState: one of QEMU's names, at most 31 bytes.
    ///   - wasSuspended: whether the guest was suspended before it was stopped; nil keeps what the
    ///     source said.
    public func patchingRunState(_ runState: String, wasSuspended: Bool? = nil) -> DeviceState {
        var copy = self
        let state = GlobalState(
            runState: runState,
            // QEMU 7.2 doesn't say, and what it doesn't say isn't made up.
            wasSuspended: wasSuspended ?? (globalState.map(\.wasSuspended) ?? false)
        )
        var body: [UInt8] = []
        state.encode(into: &body)
        if let index = final.index(ofFull: GlobalState.sectionName) {
            if final.sections[index].body.count == body.count {
                copy.final.replaceBody(at: index, with: body)
            }
            return copy
        }
        copy.final.append(
            id: unusedSectionID(preferred: DescribedSection.globalState.id),
            identity: DescribedSection.globalState.identity,
            body: body,
            footer: hasFooters
        )
        copy.description = description.flatMap(DescribedSection.globalState.appended(to:))
        return copy
    }

    /// The device state of an endpoint that has no guest from elsewhere: what `-M none` sends.
    ///
    /// - Parameters:
    ///   - runState: one of QEMU's names, at most 31 bytes.
    ///   - machineName: name in the configuration section, which the description describes too.
    public static func fresh(runState: String, machineName: String) -> DeviceState {
        var final = DeviceSectionRun()
        var body: [UInt8] = []
        TimerState().encode(into: &body)
        let timer = DescribedSection.timer
        final.append(id: timer.id, identity: timer.identity, body: body, footer: true)
        body.removeAll()
        GlobalState(runState: runState).encode(into: &body)
        let global = DescribedSection.globalState
        final.append(id: global.id, identity: global.identity, body: body, footer: true)
        return DeviceState(
            final: final,
            description: DescribedSection.description(
                of: [timer, global],
                machineName: machineName
            )
        )
    }
}
