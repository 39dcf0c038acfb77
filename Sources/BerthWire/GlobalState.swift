/// Body of the section `globalstate`, version 1: the run state in which the guest is to go on.
///
/// offset 0 name length + 1 (4) · 4 run state, NUL-padded (32) · 36 1 if the next byte counts
/// · 37 1 if the guest was suspended · 38 reserved, zero (66)
///
/// Format: docs/wire/device-state.md. Origin: QEMU 10.0 migration/global_state.c.
public struct GlobalState: Equatable, Sendable {
    /// Name of the section.
    public static let sectionName = "globalstate"
    /// Version of the section.
    public static let sectionVersion: UInt32 = 1
    /// Bytes of the body.
    public static let byteCount = 104

    private static let nameFieldByteCount = 32

    /// Name of the run state before the source stopped the guest, as `running` or `paused`.
    public var runState: String
    /// Whether the guest was suspended when it was stopped; nil from older sources, as QEMU
    /// 7.2, which do not say.
    public var wasSuspended: Bool?

    /// Makes a state.
    ///
    /// - Precondition: the name has at most 31 bytes, as all of QEMU's run states.
    public init(runState: String, wasSuspended: Bool? = false) {
        precondition(runState.utf8.count < Self.nameFieldByteCount, "a run state's name is short")
        self.runState = runState
        self.wasSuspended = wasSuspended
    }

    /// Decodes the body.
    ///
    /// Whether the name is a run state of QEMU's is the caller's question.
    ///
    /// - Throws: `WireError.invalidValue` for a length that does not fit the name, or a name that
    ///   is not printable; `.truncated`.
    public init(decoding cursor: inout WireCursor, _ bytes: Span<UInt8>) throws(WireError) {
        var ahead = cursor
        try ahead.require(Self.byteCount, bytes, "global state")
        let byteCount = try ahead.be32(bytes, "run state length")
        guard (2...UInt32(Self.nameFieldByteCount)).contains(byteCount) else {
            throw .invalidValue(
                field: "run state length",
                offset: cursor.streamOffset,
                expected: "2 to \(Self.nameFieldByteCount)",
                found: String(byteCount)
            )
        }
        let nameOffset = ahead.offset
        runState = try ahead.printable(Int(byteCount) - 1, bytes, "run state")
        let end = try ahead.u8(bytes, "end of the run state")
        guard end == 0 else {
            throw .badMagic(
                field: "end of the run state",
                offset: ahead.streamOffset &- 1,
                expected: 0,
                found: UInt64(end)
            )
        }
        ahead.offset = nameOffset + Self.nameFieldByteCount
        let counts = try ahead.u8(bytes, "suspended mark")
        let suspended = try ahead.u8(bytes, "suspended flag")
        wasSuspended = counts == 0 ? nil : suspended != 0
        cursor.offset += Self.byteCount
    }

    /// Appends the encoded form.
    public func encode(into output: inout [UInt8]) {
        let name = runState.utf8
        precondition(name.count < Self.nameFieldByteCount, "a run state's name is short")
        let end = output.count + Self.byteCount
        output.appendBigEndian(UInt32(name.count) + 1)
        output.append(contentsOf: name)
        output.appendZeros(Self.nameFieldByteCount - name.count)
        output.append(wasSuspended == nil ? 0 : 1)
        output.append(wasSuspended == true ? 1 : 0)
        output.appendZeros(end - output.count)
    }
}
