/// Which machine a stream belongs to, directly after the header.
///
/// offset 0 kind 0x07 · 1 name length (4) · 5 machine name · then subsections, each: 0x05, name
/// (length byte and bytes), version (4), body
///
/// subsection bodies: target-page-bits: bits (4) · capabilities: count (4), names · uuid: 16 bytes
///
/// Format: docs/wire/sequential.md. Origin: QEMU 10.0 migration/savevm.c, vmstate_configuration.
public struct ConfigurationSection: Equatable, Sendable {
    /// Canonical name of the machine: `none`, `pc-q35-10.0`.
    public var machineName: String
    /// Page bits of the target if they are above the CPU's least; never sent for x86.
    public var targetPageBits: UInt32?
    /// Those capabilities that are on at the source and must be on at both ends
    /// (`mapped-ram`, `x-ignore-shared`); other names can be listed and mean nothing.
    public var capabilities: [String]
    /// The guest's UUID if the source has `validate-uuid` on.
    public var uuid: GuestUUID?

    /// Makes a configuration.
    public init(
        machineName: String,
        targetPageBits: UInt32? = nil,
        capabilities: [String] = [],
        uuid: GuestUUID? = nil
    ) {
        self.machineName = machineName
        self.targetPageBits = targetPageBits
        self.capabilities = capabilities
        self.uuid = uuid
    }
}

extension ConfigurationSection {
    private static let pageBitsName = "configuration/target-page-bits"
    private static let capabilitiesName = "configuration/capabilities"
    private static let uuidName = "configuration/uuid"
    private static let subsectionVersion: UInt32 = 1

    /// Decodes the section from its kind byte on.
    ///
    /// The end shows only in the byte after it (anything but 0x05), which must be in the span but
    /// stays unread.
    ///
    /// - Throws: `WireError.badMagic` if the section is missing; `.limitExceeded`;
    ///   `.unknownKind` for a subsection that Berth does not know; `.unsupportedVersion`;
    ///   `.invalidValue` for a name that is not printable or a subsection sent twice; `.truncated`.
    public init(decoding cursor: inout WireCursor, _ bytes: Span<UInt8>) throws(WireError) {
        var ahead = cursor
        let kind = try ahead.u8(bytes, "configuration section")
        guard kind == ElementKind.configuration.rawValue else {
            throw .badMagic(
                field: "configuration section",
                offset: cursor.streamOffset,
                expected: UInt64(ElementKind.configuration.rawValue),
                found: UInt64(kind)
            )
        }
        let byteCountOffset = ahead.streamOffset
        let byteCount = try ahead.be32(bytes, "machine name length")
        guard byteCount <= Limits.machineNameByteCount else {
            throw .limitExceeded(
                field: "machine name length",
                offset: byteCountOffset,
                limit: UInt64(Limits.machineNameByteCount),
                found: UInt64(byteCount)
            )
        }
        self.init(machineName: try ahead.printable(Int(byteCount), bytes, "machine name"))

        var seen: Set<String> = []
        while true {
            try ahead.require(1, bytes, "byte after the configuration")
            guard bytes[ahead.offset] == ElementKind.subsection.rawValue else {
                break
            }
            let offset = ahead.streamOffset
            ahead.offset &+= 1
            let name = try ahead.cstr(bytes, "configuration subsection")
            guard seen.insert(name).inserted else {
                throw .invalidValue(
                    field: "configuration subsection",
                    offset: offset,
                    expected: "each name once",
                    found: "'\(name)' again"
                )
            }
            try decodeSubsection(name, at: offset, &ahead, bytes)
        }
        cursor = ahead
    }

    private mutating func decodeSubsection(
        _ name: String,
        at offset: UInt64,
        _ cursor: inout WireCursor,
        _ bytes: Span<UInt8>
    ) throws(WireError) {
        guard [Self.pageBitsName, Self.capabilitiesName, Self.uuidName].contains(name) else {
            throw .unknownKind(
                field: "configuration subsection",
                offset: offset,
                found: "'\(name)'"
            )
        }
        let versionOffset = cursor.streamOffset
        let version = try cursor.be32(bytes, "configuration subsection version")
        guard version <= Self.subsectionVersion else {
            throw .unsupportedVersion(
                field: "configuration subsection version",
                offset: versionOffset,
                supported: 0...Self.subsectionVersion,
                found: version
            )
        }
        switch name {
        case Self.pageBitsName:
            targetPageBits = try cursor.be32(bytes, "target page bits")
        case Self.capabilitiesName:
            capabilities = try Self.decodeCapabilities(&cursor, bytes)
        default:
            uuid = try GuestUUID(decoding: &cursor, bytes)
        }
    }

    private static func decodeCapabilities(
        _ cursor: inout WireCursor,
        _ bytes: Span<UInt8>
    ) throws(WireError) -> [String] {
        let offset = cursor.streamOffset
        let count = try cursor.be32(bytes, "capability count")
        guard count <= Limits.capabilityCount else {
            throw .limitExceeded(
                field: "capability count",
                offset: offset,
                limit: UInt64(Limits.capabilityCount),
                found: UInt64(count)
            )
        }
        var names: [String] = []
        for _ in 0..<count {
            names.append(try cursor.cstr(bytes, "capability name"))
        }
        return names
    }

    /// Appends the encoded form.
    ///
    /// - Precondition: the machine's name has at most `Limits.machineNameByteCount` bytes.
    public func encode(into output: inout [UInt8]) {
        let name = machineName.utf8
        precondition(name.count <= Limits.machineNameByteCount, "machine name is too long")
        output.append(ElementKind.configuration.rawValue)
        output.appendBigEndian(UInt32(name.count))
        output.append(contentsOf: name)
        if let targetPageBits {
            Self.encodeSubsection(Self.pageBitsName, into: &output)
            output.appendBigEndian(targetPageBits)
        }
        if !capabilities.isEmpty {
            Self.encodeSubsection(Self.capabilitiesName, into: &output)
            output.appendBigEndian(UInt32(capabilities.count))
            for capability in capabilities {
                output.appendName(capability)
            }
        }
        if let uuid {
            Self.encodeSubsection(Self.uuidName, into: &output)
            uuid.encode(into: &output)
        }
    }

    private static func encodeSubsection(_ name: String, into output: inout [UInt8]) {
        output.append(ElementKind.subsection.rawValue)
        output.appendName(name)
        output.appendBigEndian(subsectionVersion)
    }
}
