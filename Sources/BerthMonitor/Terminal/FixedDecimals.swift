/// Numbers with a fixed number of decimals, as C's `%.2f` writes them.
public enum FixedDecimals {
    /// Writes a number.
    ///
    /// - Parameters:
    ///   - value: any; what isn't finite is written as C writes it.
    ///   - count: how many decimals, 0 to 6.
    public static func text(_ value: Double, _ count: Int) -> String {
        guard value.isFinite else { return value.isNaN ? "nan" : value < 0 ? "-inf" : "inf" }
        var scale: UInt64 = 1
        for _ in 0..<min(max(count, 0), 6) { scale *= 10 }
        let scaled = (value.magnitude * Double(scale)).rounded(.toNearestOrEven)
        guard let units = UInt64(exactly: scaled) else { return "\(value)" }
        let sign = value < 0 ? "-" : ""
        guard scale > 1 else { return sign + String(units) }
        let decimals = String(units % scale + scale).dropFirst()
        return "\(sign)\(units / scale).\(decimals)"
    }

    /// A number of bytes with three or more digits that matter, such as `1.5 MiB`.
    public static func byteText(_ count: Int64) -> String {
        var value = Double(count)
        for unit in ["B", "KiB", "MiB", "GiB"] {
            if value < 1024 { return text(value, unit == "B" ? 0 : 1) + " " + unit }
            value /= 1024
        }
        return text(value, 1) + " TiB"
    }
}
