import BerthWire

/// The frame that both layouts share: header, commands, section starts and ends.
public struct StreamFrame {
    private let plan: StreamPlan
    private let output: StreamOutput

    init(_ plan: StreamPlan, _ output: StreamOutput) {
        self.plan = plan
        self.output = output
    }

    /// The first bytes of every stream.
    static var header: [UInt8] {
        var bytes = [UInt8]()
        StreamHeader().encode(into: &bytes)
        return bytes
    }

    /// Header, configuration, return path, and the start of the RAM section up to its total.
    ///
    /// - Parameter withholdsHeader: leaves zeros in the place of the header, to be written last.
    func begin(total: UInt64, withholdsHeader: Bool = false) throws(StreamError) {
        var bytes = Self.header
        if withholdsHeader {
            bytes = Array(repeating: 0, count: bytes.count)
        }
        plan.configuration.encode(into: &bytes)
        if plan.opensReturnPath {
            StreamCommand.openReturnPath.encode(into: &bytes)
            // QEMU sends 1 here and wants an answer before it opens further channels.
            StreamCommand.ping(1).encode(into: &bytes)
        }
        SectionHeader(
            full: false,
            id: plan.ramSectionID,
            identity: .init(name: "ram", instance: 0, version: 4)
        ).encode(into: &bytes)
        RAMWord(offset: total, flags: .blockList).encode(into: &bytes)
        try output.put(bytes)
    }

    func beginPart(isLast: Bool, announced: Bool = false) throws(StreamError) {
        var bytes = [UInt8]()
        if isLast, announced {
            StreamCommand.switchoverStart.encode(into: &bytes)
        }
        SectionHeader(partOf: plan.ramSectionID, isLast: isLast).encode(into: &bytes)
        try output.put(bytes)
    }

    func endPart() throws(StreamError) {
        var bytes = [UInt8]()
        RAMWord(offset: 0, flags: .endOfSection).encode(into: &bytes)
        if plan.hasFooters {
            SectionFooter(id: plan.ramSectionID).encode(into: &bytes)
        }
        try output.put(bytes)
    }

    /// The end of the RAM section, device state, end mark and description.
    func finish(
        deviceSections: [UInt8],
        description: [UInt8]?,
        closesMemory: Bool
    ) throws(StreamError) {
        if closesMemory {
            try endPart()
        }
        try output.put(deviceSections)
        var bytes = [ElementKind.endOfFile.rawValue]
        if let description {
            bytes.append(ElementKind.vmDescription.rawValue)
            bytes.appendBigEndian(UInt32(clamping: description.count))
        }
        try output.put(bytes)
        try output.put(description ?? [])
        try output.flush()
    }
}
