/// A command of the source to the destination, between two elements of the stream.
///
/// offset 0 kind 0x08 · 1 code (2) · 3 payload length (2) · 5 payload
///
/// Format: docs/wire/sequential.md. Origin: QEMU 10.0 migration/savevm.c, enum qemu_vm_cmd.
public enum StreamCommand: Equatable, Sendable {
    /// Open the return path on this channel. QEMU: MIG_CMD_OPEN_RETURN_PATH.
    case openReturnPath
    /// Answer with `ReturnPathMessage.pong` of the same value. QEMU: MIG_CMD_PING.
    case ping(UInt32)
    /// Postcopy may follow; nil where only dirty bitmaps are announced.
    /// QEMU: MIG_CMD_POSTCOPY_ADVISE.
    case postcopyAdvise(PostcopyAdvice?)
    /// Begin to serve page faults. QEMU: MIG_CMD_POSTCOPY_LISTEN.
    case postcopyListen
    /// Start the guest. QEMU: MIG_CMD_POSTCOPY_RUN.
    case postcopyRun
    /// Forget the listed ranges of one block. QEMU: MIG_CMD_POSTCOPY_RAM_DISCARD.
    case postcopyRAMDiscard(RAMDiscard)
    /// So many bytes follow the command, not counted in its payload: a nested list of elements to
    /// be read as a whole before it is loaded. QEMU: MIG_CMD_PACKAGED.
    case packaged(byteCount: UInt32)
    /// Coarse-grained lock-stepping, which Berth does not do. QEMU: MIG_CMD_ENABLE_COLO.
    case enableCOLO
    /// Go on after a broken postcopy. QEMU: MIG_CMD_POSTCOPY_RESUME.
    case postcopyResume
    /// Send the bitmap of received pages of a block. QEMU: MIG_CMD_RECV_BITMAP.
    case receiveBitmap(block: String)
    /// The final stage begins; new in QEMU 10.0. QEMU: MIG_CMD_SWITCHOVER_START.
    case switchoverStart

    /// Page sizes that both ends must share for postcopy.
    public struct PostcopyAdvice: Equatable, Sendable {
        /// Bitwise or of the host page sizes, in bytes, behind all RAM blocks.
        public var pageSizeSummary: UInt64
        /// Bytes of a target page.
        public var targetPageByteCount: UInt64

        /// Makes an advice.
        public init(pageSizeSummary: UInt64, targetPageByteCount: UInt64) {
            self.pageSizeSummary = pageSizeSummary
            self.targetPageByteCount = targetPageByteCount
        }
    }

    /// Ranges of a block that the source will send again.
    ///
    /// offset 0 version, 0 · 1 block name (length byte and bytes) · then a zero byte · then
    /// start (8) and length (8) per range, in bytes
    public struct RAMDiscard: Equatable, Sendable {
        /// One range, in bytes of the block.
        public struct Range: Equatable, Sendable {
            /// Offset of the first byte.
            public var start: UInt64
            /// Bytes in the range; `start + byteCount` does not wrap.
            public var byteCount: UInt64

            /// Makes a range.
            public init(start: UInt64, byteCount: UInt64) {
                self.start = start
                self.byteCount = byteCount
            }
        }

        /// Name of the block.
        public var block: String
        /// 1 or more ranges; a QEMU source sends at most 12 in one command.
        public var ranges: [Range]

        /// Makes a discard command's payload.
        public init(block: String, ranges: [Range]) {
            self.block = block
            self.ranges = ranges
        }
    }

    /// The number that stands for the command on the wire.
    public var code: UInt16 {
        switch self {
        case .openReturnPath: 1
        case .ping: 2
        case .postcopyAdvise: 3
        case .postcopyListen: 4
        case .postcopyRun: 5
        case .postcopyRAMDiscard: 6
        case .packaged: 7
        case .enableCOLO: 8
        case .postcopyResume: 9
        case .receiveBitmap: 10
        case .switchoverStart: 11
        }
    }

    /// All codes that exist; 0 and those above are errors.
    public static let codes: ClosedRange<UInt16> = 1...11
}
