/// Numbers with a fixed number of decimals, as C's `%.2f` writes them.
enum FixedDecimals {
    /// Writes a number.
    ///
    /// - Parameters:
    ///   - value: any; what isn't finite is written as C writes it.
    ///   - count: how many decimals, 0 to 6.
    static func text(_ value: Double, _ count: Int) -> String {
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
}
