import BerthStream

/// How one device section differs between two images.
public struct DeviceDifference: Sendable, Equatable {
    /// What one image has of it.
    public struct Side: Sendable, Equatable {
        /// Version in the section's header.
        public var version: UInt32
        /// Bytes of the section's body; of several parts, of all bodies.
        public var byteCount: Int
    }

    /// A field that has another value.
    public struct Field: Sendable, Equatable {
        /// The names on the way to it, and its own: `env.segs[1].selector`.
        public var path: String
        /// The value in the first image; nil if the field isn't there.
        public var first: String?
        /// The value in the second image; nil if the field isn't there.
        public var second: String?
    }

    /// Name of the section.
    public var name: String
    /// Index among sections of that name.
    public var instance: UInt32
    /// The section in the first image; nil if it isn't there.
    public var first: Side?
    /// The section in the second image; nil if it isn't there.
    public var second: Side?
    /// The fields that differ, at most `fieldLimit` of them.
    public var fields: [Field]
    /// Further fields that differ.
    public var omittedFieldCount: Int

    /// The most fields that are told of one section.
    public static let fieldLimit = 1000
}

extension DeviceDifference {
    /// Compares all sections of two device states.
    ///
    /// - Returns: those that differ: in the order of the first image, then those that only the second
    ///   has. A section in several parts counts as one.
    static func all(_ first: DeviceState, _ second: DeviceState) -> [DeviceDifference] {
        let (ones, others) = (Section.all(in: first), Section.all(in: second))
        var differences: [DeviceDifference] = []
        for section in ones.list {
            let other = others.byKey[section.key].map { others.list[$0] }
            if let difference = DeviceDifference(section, other) {
                differences.append(difference)
            }
        }
        for section in others.list where ones.byKey[section.key] == nil {
            if let difference = DeviceDifference(nil, section) {
                differences.append(difference)
            }
        }
        return differences
    }

    /// Compares one; nil if there is no difference.
    private init?(_ one: Section?, _ other: Section?) {
        guard let key = (one ?? other)?.key else { return nil }
        self.init(
            name: key.name,
            instance: key.instance,
            first: one?.side,
            second: other?.side,
            fields: [],
            omittedFieldCount: 0
        )
        guard let one, let other else { return }
        let values = FieldComparison(one.parts, other.parts)
        guard first != second || values.differingCount > 0 else { return nil }
        fields = values.differing
        omittedFieldCount = values.differingCount - fields.count
    }
}

/// All parts of one device section.
private struct Section {
    struct Key: Hashable {
        var name: String
        var instance: UInt32
    }

    var key: Key
    var parts: [DecodedDevice]

    var side: DeviceDifference.Side {
        DeviceDifference.Side(
            version: parts.first?.version ?? 0,
            byteCount: parts.reduce(0) { $0 + $1.byteCount }
        )
    }

    /// The sections of a state, in order, and where each is in that list.
    static func all(in state: DeviceState) -> (list: [Section], byKey: [Key: Int]) {
        var list: [Section] = []
        var byKey: [Key: Int] = [:]
        for device in state.decoded() {
            let key = Key(name: device.name, instance: device.instance)
            if let index = byKey[key] {
                list[index].parts.append(device)
            } else {
                byKey[key] = list.count
                list.append(Section(key: key, parts: [device]))
            }
        }
        return (list, byKey)
    }
}
