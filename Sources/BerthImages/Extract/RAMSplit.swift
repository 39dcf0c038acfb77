import BerthStream

/// How a machine type divides its RAM around the hole below 4 GiB.
///
/// Facts of QEMU 10.0 (`hw/i386/pc_piix.c`, `pc_q35.c`, `microvm.c`), checked with `info mtree`.
enum RAMSplit: Equatable {
    /// i440FX: from 3.5 GiB on only 3 GiB stay low.
    case pc
    /// Q35: from 2.75 GiB on only 2 GiB stay low.
    case q35
    /// Above 3 GiB the rest is high.
    case microvm
    /// The ISA PC: above 3.5 GiB the rest is high, which only QEMU before 10.0 allows.
    case isaPC
    /// All in one piece from address 0.
    case flat

    /// Where the hole ends, and high memory begins.
    static let holeEnd: UInt64 = 1 << 32

    /// The rule of a machine type; nil if it isn't known.
    ///
    /// - Parameter machineName: with or without its version; distributions have their own.
    init?(machineName: String) {
        switch machineName {
        case _ where machineName.contains("q35"): self = .q35
        case "pc",
            _ where machineName.hasPrefix("pc-"):
            self = .pc
        case "microvm": self = .microvm
        case "isapc": self = .isaPC
        case "none": self = .flat
        default: return nil
        }
    }

    /// Bytes of RAM below the hole, of a machine with so many bytes of RAM.
    func lowByteCount(of byteCount: UInt64) -> UInt64 {
        switch self {
        case .pc: byteCount >= 0xE000_0000 ? 0xC000_0000 : byteCount
        case .q35: byteCount >= 0xB000_0000 ? 0x8000_0000 : byteCount
        case .microvm: min(byteCount, 0xC000_0000)
        case .isaPC: min(byteCount, 0xE000_0000)
        case .flat: byteCount
        }
    }

    /// Bytes of RAM below the hole as the machine told them to its firmware in the clock's CMOS; nil
    /// if there is none, or if it doesn't agree with the RAM there is.
    ///
    /// 0x34-0x35: RAM from 16 MiB to the hole; 0x5B-0x5D: RAM above 4 GiB; both in 64 KiB. The guest
    /// can overwrite it.
    static func lowByteCount(toldBy state: DeviceState, of byteCount: UInt64) -> UInt64? {
        guard let index = state.final.index(ofFull: "mc146818rtc") else { return nil }
        let memory = Array(state.final.body(at: index).prefix(128))
        guard memory.count == 128 else { return nil }
        func number(_ places: ClosedRange<Int>) -> UInt64 {
            places.reversed().reduce(0) { $0 << 8 | UInt64(memory[$1]) }
        }
        let low = (number(0x34...0x35) << 16) + (16 << 20)
        let high = number(0x5B...0x5D) << 16
        return low + high == byteCount && low <= holeEnd ? low : nil
    }
}
