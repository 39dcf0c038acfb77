import BerthJSON
public import BerthWire

/// One device section with its fields, decoded along the stream's own description.
public struct DecodedDevice: Equatable, Sendable {
    /// Name of the section (idstr), as `cpu` or `0000:00:02.0/virtio-net`.
    public var name: String
    /// Index among sections of one name.
    public var instance: UInt32
    /// Version in the section's header; for the later parts of a section, in its start.
    public var version: UInt32
    /// `.full`, or `.start`, `.part`, `.end` of a section in several parts, which QEMU does not
    /// describe.
    public var kind: ElementKind
    /// Bytes of the body.
    public var byteCount: Int
    /// The fields, in the order of the stream; they cover the body but for the subsections.
    public var fields: [DeviceField]
    /// Parts that depend on the guest's state.
    public var subsections: [DeviceStructure]
    /// Why the description doesn't fit the section, or that there is none; nil if it fits exactly.
    public var problem: String?

    /// The first field with this name.
    public subscript(_ name: String) -> DeviceField? {
        fields.first { $0.name == name }
    }
}

extension DeviceState {
    /// All sections in the order of the stream, the early ones first, with their fields.
    ///
    /// Never fails: a section that is not described, or wrongly, has its bytes as raw fields and
    /// says so in `problem`. Takes time in proportion to the state and the description, and memory
    /// for at most 2^17 fields beside the state itself, whose bytes are shared.
    public func decoded() -> [DecodedDevice] {
        let descriptions = DeviceDescriptions(description)
        var budget = DeviceFieldDecoder.budget
        var devices: [DecodedDevice] = []
        devices.reserveCapacity(early.sections.count + final.sections.count)
        for run in [early, final] {
            for section in run.sections {
                devices.append(
                    DecodedDevice(section, run.bytes[section.body], descriptions, &budget)
                )
            }
        }
        return devices
    }
}

extension DecodedDevice {
    fileprivate init(
        _ section: DeviceSection,
        _ body: ArraySlice<UInt8>,
        _ descriptions: DeviceDescriptions,
        _ budget: inout Int
    ) {
        name = section.identity.name
        instance = section.identity.instance
        version = section.identity.version
        kind = section.kind
        byteCount = body.count
        let description = section.kind == .full ? descriptions[section.identity] : nil
        var decoder = DeviceFieldDecoder(body, budget: budget)
        // Without a description all is one field, which the decoder makes of the bytes left over.
        let structure = decoder.decode(description ?? JSONObject())
        fields = structure.fields
        subsections = structure.subsections
        budget = decoder.budget
        problem = description == nil ? descriptions.absence(of: section) : decoder.problem
    }
}

/// The elements of a description's list of devices, by section.
private struct DeviceDescriptions {
    private struct Key: Hashable {
        var name: String
        var instance: UInt64
    }

    private var devices: [Key: JSONObject] = [:]
    /// Why there are none.
    private var problem: String?

    init(_ text: [UInt8]?) {
        guard let text, !text.isEmpty else {
            problem = "the stream has no description of its devices"
            return
        }
        guard text.count <= Limits.vmDescriptionByteCount, let root = try? parseJSON(text) else {
            problem = "the stream's description of its devices is not JSON"
            return
        }
        for device in root["devices"]?.arrayValue ?? [] {
            if let members = device.objectValue, let name = members["name"]?.stringValue,
                let instance = members["instance_id"]?.uint64Value
            {
                // Of two the first counts: a stream has one section of a name and instance.
                let key = Key(name: name, instance: instance)
                devices[key] = devices[key] ?? members
            }
        }
    }

    subscript(_ identity: SectionHeader.Identity) -> JSONObject? {
        devices[Key(name: identity.name, instance: UInt64(identity.instance))]
    }

    func absence(of section: DeviceSection) -> String {
        if let problem {
            return problem
        }
        return section.kind == .full
            ? "the stream's description has no such device"
            : "sections in several parts are not described"
    }
}
