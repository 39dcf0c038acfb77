/// Body of the section `timer`, version 2: offsets of the guest's clocks.
///
/// offset 0 tick offset (8) · 8 reserved, zero (8) · 16 clock offset, nanoseconds (8)
///
/// Format: docs/wire/device-state.md. Origin: QEMU 10.0 system/cpu-timers.c, vmstate_timers.
public struct TimerState: Equatable, Sendable {
    /// Name of the section.
    public static let sectionName = "timer"
    /// Version of the section.
    public static let sectionVersion: UInt32 = 2
    /// Bytes of the body.
    public static let byteCount = 24

    /// Cycle counter at the source.
    public var tickOffset: UInt64
    /// Virtual clock at the source, in nanoseconds.
    public var clockOffset: UInt64

    /// Makes a state; zeros suit a guest without clocks.
    public init(tickOffset: UInt64 = 0, clockOffset: UInt64 = 0) {
        self.tickOffset = tickOffset
        self.clockOffset = clockOffset
    }

    /// Decodes the body; the reserved bytes are ignored.
    ///
    /// - Throws: `WireError.truncated`.
    public init(decoding cursor: inout WireCursor, _ bytes: Span<UInt8>) throws(WireError) {
        var ahead = cursor
        try ahead.require(Self.byteCount, bytes, "timer state")
        tickOffset = try ahead.be64(bytes, "tick offset")
        try ahead.skip(8, bytes, "timer reserve")
        clockOffset = try ahead.be64(bytes, "clock offset")
        cursor = ahead
    }

    /// Appends the encoded form.
    public func encode(into output: inout [UInt8]) {
        output.appendBigEndian(tickOffset)
        output.appendBigEndian(UInt64(0))
        output.appendBigEndian(clockOffset)
    }
}
