/// Size in bytes of a target page, the unit of every page record, bitmap bit and dirty log entry.
///
/// 4096 for every machine that Berth knows. Source: QEMU's x86 target, and the default of the
/// others when `configuration/target-page-bits` is absent or 12.
public let targetPageByteCount = 4096

extension Int {
    /// Number of target pages that it takes to hold this many bytes.
    public var pageCountRoundedUp: Int {
        let (pages, rest) = quotientAndRemainder(dividingBy: targetPageByteCount)
        return rest == 0 ? pages : pages + 1
    }
}
