import BerthWire

/// A section that Berth itself can write, with its part of the JSON description.
///
/// The field names are QEMU 10.0's, so that tools which read saved guests find what they know.
struct DescribedSection {
    var id: UInt32
    var identity: SectionHeader.Identity
    var fields: [(name: String, type: String, byteCount: Int)]

    /// The clocks; ids as `-M none` has them.
    static let timer = DescribedSection(
        id: 0,
        identity: .init(
            name: TimerState.sectionName,
            instance: 0,
            version: TimerState.sectionVersion
        ),
        fields: [
            ("cpu_ticks_offset", "int64", 8),
            ("unused", "unused_buffer", 8),
            ("cpu_clock_offset", "int64", 8),
        ]
    )

    /// The run state.
    static let globalState = DescribedSection(
        id: 3,
        identity: .init(
            name: GlobalState.sectionName,
            instance: 0,
            version: GlobalState.sectionVersion
        ),
        fields: [
            ("size", "uint32", 4),
            ("runstate", "buffer", 32),
            ("has_vm_was_suspended", "uint8", 1),
            ("vm_was_suspended", "uint8", 1),
            ("unused", "buffer", 66),
        ]
    )

    /// This section's element of the list of devices.
    var text: String {
        #"{"name": "\#(identity.name)", "instance_id": \#(identity.instance), "#
            + Self.structure(name: identity.name, version: identity.version, fields) + "}"
    }

    /// A whole description, in one line as QEMU writes it.
    ///
    /// - Parameter machineName: name in the stream's configuration section, for its length.
    static func description(of sections: [DescribedSection], machineName: String) -> [UInt8] {
        let configuration = structure(
            name: "configuration",
            version: 1,
            [("len", "uint32", 4), ("name", "buffer", machineName.utf8.count)]
        )
        let devices = sections.map(\.text).joined(separator: ", ")
        let text =
            #"{"configuration": {\#(configuration)}, "page_size": \#(TargetPage.byteCount), "#
            + #""devices": [\#(devices)]}"#
        return Array(text.utf8)
    }

    /// A description with this section added at the end of its list of devices.
    ///
    /// The rest stays byte for byte. A description that does not end with the list, or whose list
    /// is empty, is not QEMU's and stays as it is.
    func appended(to description: [UInt8]) -> [UInt8] {
        let end = Array("}]}".utf8)
        guard description.suffix(end.count).elementsEqual(end) else {
            return description
        }
        return description.dropLast(2) + Array(", \(text)]}".utf8)
    }

    private static func structure(
        name: String,
        version: UInt32,
        _ fields: [(name: String, type: String, byteCount: Int)]
    ) -> String {
        let list = fields.map {
            #"{"name": "\#($0.name)", "type": "\#($0.type)", "size": \#($0.byteCount)}"#
        }
        return #""vmsd_name": "\#(name)", "version": \#(version), "#
            + #""fields": [\#(list.joined(separator: ", "))]"#
    }
}
