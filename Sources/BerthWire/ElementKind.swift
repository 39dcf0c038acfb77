/// The byte that says what follows at this place of a stream.
///
/// Format: docs/wire/sequential.md. Origin: QEMU 10.0 migration/savevm.h, QEMU_VM_*.
public enum ElementKind: UInt8, Sendable, CaseIterable {
    /// End of the element list. QEMU: QEMU_VM_EOF.
    case endOfFile = 0x00
    /// First part of a section that comes in several. QEMU: QEMU_VM_SECTION_START.
    case start = 0x01
    /// A further part. QEMU: QEMU_VM_SECTION_PART.
    case part = 0x02
    /// The last part. QEMU: QEMU_VM_SECTION_END.
    case end = 0x03
    /// A section in one piece. QEMU: QEMU_VM_SECTION_FULL.
    case full = 0x04
    /// Optional data within a body; never an element by itself. QEMU: QEMU_VM_SUBSECTION.
    case subsection = 0x05
    /// The JSON description, only after the end. QEMU: QEMU_VM_VMDESCRIPTION.
    case vmDescription = 0x06
    /// The configuration, only after the header. QEMU: QEMU_VM_CONFIGURATION.
    case configuration = 0x07
    /// A command. QEMU: QEMU_VM_COMMAND.
    case command = 0x08
    /// Closes a section's body. QEMU: QEMU_VM_SECTION_FOOTER.
    case footer = 0x7e

    /// Whether this kind can stand where an element begins.
    public var isElement: Bool {
        switch self {
        case .endOfFile, .start, .part, .end, .full, .command: true
        case .subsection, .vmDescription, .configuration, .footer: false
        }
    }

    /// Looks at the byte where an element begins, without passing over it.
    ///
    /// The element's own decoder (`SectionHeader`, `StreamCommand`) reads the byte again; only
    /// `.endOfFile` has nothing after it.
    ///
    /// - Throws: `WireError.unknownKind` for a byte that begins no element; `.truncated`.
    public init(peeking cursor: WireCursor, _ bytes: Span<UInt8>) throws(WireError) {
        var ahead = cursor
        let byte = try ahead.u8(bytes, "element type")
        guard let kind = ElementKind(rawValue: byte), kind.isElement else {
            throw .unknownKind(
                field: "element type",
                offset: cursor.streamOffset,
                found: hexadecimal(byte)
            )
        }
        self = kind
    }
}
