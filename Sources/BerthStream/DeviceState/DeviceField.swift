/// One field of a device's state, as the stream's own description delimits it.
///
/// Berth knows no devices: names, types and lengths are what the source wrote into its description
/// (vmdesc), the value is what lies there. Both are a stranger's bytes.
///
/// Format: docs/wire/device-state.md. Origin: QEMU 10.0 migration/vmstate.c.
public struct DeviceField: Equatable, Sendable {
    /// Name in the description, as `regs` or `parent_obj[0]`; several fields can have one name.
    public var name: String
    /// QEMU's name of the encoding, as `uint32`, `struct` or `pci config`.
    public var type: String
    /// Place among the elements of one array, if the description lists them singly; the last
    /// element of such an array has none.
    public var index: Int?
    /// Offset of the field's first byte in the section's body.
    public var offset: Int
    /// Bytes of all elements together.
    public var byteCount: Int
    /// Elements that are described as one; 1 for everything but a folded array.
    public var count: Int
    /// What lies there.
    public var value: Value

    /// What a field holds, read as far as its type says how.
    public indirect enum Value: Equatable, Sendable {
        /// `uint8` to `uint64`, and `timer`: nanoseconds, all ones if it is not armed.
        case unsigned(UInt64)
        /// `int8` to `int64`.
        case signed(Int64)
        /// `bool`, whose byte was 0 or 1.
        case bool(Bool)
        /// Several numbers of one type; single bytes are `bytes`.
        case numbers(DeviceNumbers)
        /// Types that are raw (`buffer`), written by a device's own code (`virtio`), or unknown.
        case bytes(ArraySlice<UInt8>)
        /// A nested structure with its own subsections.
        case structure(DeviceStructure)
        /// Several structures: a folded array, or the elements of a list.
        case structures([DeviceStructure])
    }
}

/// A structure of a device's state: its fields, and the subsections that were sent.
public struct DeviceStructure: Equatable, Sendable {
    /// Name of the structure (vmsd), which for a device can differ from its section's.
    public var name: String
    /// Version of the structure; 0 if the description has none.
    public var version: UInt64
    /// The fields, in the order of the stream.
    public var fields: [DeviceField]
    /// Parts that depend on the guest's state, in the order of the stream.
    public var subsections: [DeviceStructure]

    /// Makes a structure.
    public init(
        name: String,
        version: UInt64,
        fields: [DeviceField],
        subsections: [DeviceStructure]
    ) {
        self.name = name
        self.version = version
        self.fields = fields
        self.subsections = subsections
    }

    /// The first field with this name.
    public subscript(_ name: String) -> DeviceField? {
        fields.first { $0.name == name }
    }
}

/// Numbers of one type that follow each other, read when they are asked for.
public struct DeviceNumbers: Equatable, Sendable, RandomAccessCollection {
    let kind: DeviceNumberKind
    let bytes: ArraySlice<UInt8>

    /// 0.
    public var startIndex: Int { 0 }

    /// How many numbers there are.
    public var endIndex: Int { bytes.count / kind.byteCount }

    /// One number: `.unsigned`, `.signed` or `.bool`.
    public subscript(position: Int) -> DeviceField.Value {
        let start = bytes.startIndex + position * kind.byteCount
        return kind.value(bytes[start..<(start + kind.byteCount)])
    }
}

/// How a number lies in a device's state: big-endian, as all of the stream.
struct DeviceNumberKind: Equatable, Sendable {
    var byteCount: Int
    var isSigned = false
    var isBool = false

    /// The kind that a type's name announces, if the size agrees.
    ///
    /// Names can have a second word that only says what a destination checks: `int32 le` is a number
    /// that must be less than or equal to the destination's.
    init?(type: String, byteCount: Int) {
        let name = type.prefix { $0 != " " }
        switch (name, byteCount) {
        case ("bool", 1): isBool = true
        case ("uint8", 1), ("uint16", 2), ("uint32", 4), ("uint64", 8), ("timer", 8): break
        case ("int8", 1), ("int16", 2), ("int32", 4), ("int64", 8): isSigned = true
        default: return nil
        }
        self.byteCount = byteCount
    }

    /// Whether several of these are better given as bytes.
    var isByte: Bool { byteCount == 1 && !isSigned && !isBool }

    func value(_ bytes: ArraySlice<UInt8>) -> DeviceField.Value {
        let number = bytes.reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
        if isBool, number < 2 {
            return .bool(number == 1)
        }
        if isSigned {
            let shift = UInt64.bitWidth - 8 * byteCount
            return .signed(Int64(bitPattern: number << shift) >> shift)
        }
        return .unsigned(number)
    }
}
