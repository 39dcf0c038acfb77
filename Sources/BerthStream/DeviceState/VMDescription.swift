import BerthJSON
public import BerthWire

/// What a stream says about its own device sections, in JSON after the last of them (vmdesc).
///
/// Of the description only what delimits sections is kept: which there are, in order, and how long
/// each body is. It is a claim of the source, and known to be too long for some arrays; so it
/// confirms what the section footers say, or finds what they don't, and is never trusted alone.
///
/// Format: docs/wire/device-state.md.
public struct VMDescription: Equatable, Sendable {
    /// One device section.
    public struct Device: Equatable, Sendable {
        /// Name of the section (idstr).
        public var name: String
        /// Index among sections of one name.
        public var instance: UInt32
        /// Bytes of the section's body, without header and footer.
        public var bodyByteCount: UInt64

        /// Makes a device.
        public init(name: String, instance: UInt32, bodyByteCount: UInt64) {
            self.name = name
            self.instance = instance
            self.bodyByteCount = bodyByteCount
        }
    }

    /// The sections that come in one piece, in the order of the stream.
    public var devices: [Device]

    /// Bytes of a target page, if the description says so.
    public var pageByteCount: UInt64?

    /// Reads a description.
    ///
    /// - Parameters:
    ///   - text: the JSON, at most `Limits.vmDescriptionByteCount` bytes.
    ///   - streamOffset: where the text was read, for the message.
    /// - Throws: `WireError.limitExceeded`; `.invalidValue` if this is not JSON, has no list of
    ///   devices, or describes one in a way that gives no length.
    public init(parsing text: [UInt8], at streamOffset: UInt64 = 0) throws(WireError) {
        guard text.count <= Limits.vmDescriptionByteCount else {
            throw .limitExceeded(
                field: "description length",
                offset: streamOffset,
                limit: UInt64(Limits.vmDescriptionByteCount),
                found: UInt64(text.count)
            )
        }
        let root: JSONValue
        do {
            root = try parseJSON(text)
        } catch {
            throw .invalidValue(
                field: "description",
                offset: streamOffset,
                expected: "JSON",
                found: "\(error)"
            )
        }
        guard case .object(let members) = root, case .array(let list)? = members["devices"] else {
            throw .invalidValue(
                field: "description",
                offset: streamOffset,
                expected: "a list of devices",
                found: "none"
            )
        }
        devices = []
        devices.reserveCapacity(list.count)
        for (index, element) in list.enumerated() {
            guard let device = Device(element) else {
                throw .invalidValue(
                    field: "description",
                    offset: streamOffset,
                    expected: "name, instance and lengths of every device",
                    found: "device \(index) without"
                )
            }
            devices.append(device)
        }
        pageByteCount = members["page_size"].flatMap(number)
    }
}

extension VMDescription.Device {
    /// Reads one element of the list; nil if a part is missing, of another type or too large.
    fileprivate init?(_ element: JSONValue) {
        guard case .object(let members) = element,
            case .string(let name)? = members["name"],
            let instance = members["instance_id"].flatMap(number).flatMap(UInt32.init(exactly:))
        else {
            return nil
        }
        // A handler of the old style has a size; the others add up their fields and subsections.
        let byteCount = members["size"].flatMap(number) ?? describedByteCount(of: members)
        guard let byteCount else {
            return nil
        }
        self.init(name: name, instance: instance, bodyByteCount: byteCount)
    }
}

/// Bytes of a described structure: its fields, and its own subsections with their framing.
///
/// A field's size already contains all that is nested in it, so nothing descends into fields.
private func describedByteCount(of structure: JSONObject) -> UInt64? {
    var sum: UInt64 = 0
    for field in elements(of: structure["fields"]) {
        guard case .object(let members) = field, let size = members["size"].flatMap(number) else {
            return nil
        }
        let count = members["array_len"].map(number) ?? 1
        guard let count, let total = added(sum, multiplied(size, count)) else {
            return nil
        }
        sum = total
    }
    for subsection in elements(of: structure["subsections"]) {
        guard case .object(let members) = subsection,
            case .string(let name)? = members["vmsd_name"],
            let body = describedByteCount(of: members),
            let total = added(added(sum, body), UInt64(name.utf8.count) + 6)
        else {
            return nil
        }
        sum = total
    }
    return sum
}

private func elements(of value: JSONValue?) -> [JSONValue] {
    guard case .array(let elements)? = value else {
        return []
    }
    return elements
}

private func number(_ value: JSONValue) -> UInt64? {
    switch value {
    case .integer(let number): UInt64(exactly: number)
    case .unsigned(let number): number
    default: nil
    }
}

private func added(_ one: UInt64?, _ other: UInt64?) -> UInt64? {
    guard let one, let other else {
        return nil
    }
    let sum = one.addingReportingOverflow(other)
    return sum.overflow ? nil : sum.partialValue
}

private func multiplied(_ one: UInt64, _ other: UInt64) -> UInt64? {
    let product = one.multipliedReportingOverflow(by: other)
    return product.overflow ? nil : product.partialValue
}
