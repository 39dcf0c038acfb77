internal import BerthJSON
internal import BerthMonitor
internal import BerthQAPI

extension MigrateSetParameters {
    /// Those that count MiB per second on the human monitor where they have no suffix.
    private static let inMebibytes: Set = ["max-bandwidth", "avail-switchover-bandwidth"]

    /// Reads what `migrate_set_parameter` is given.
    ///
    /// Whatever is kept in 64 bits may have a suffix, which multiplies by powers of 1024 even where
    /// it counts milliseconds; QEMU's monitor does so, too. Smaller numbers are plain.
    ///
    /// - Throws: if there is no such parameter, or the value isn't one for it. Ranges are not
    ///   checked here.
    init(hmpName name: String, value: String) throws(QMPError) {
        guard let setting = MigrationParameters.settings.first(where: { $0.name == name }) else {
            throw .invalidName(name)
        }
        let text: String
        switch setting.kind {
        case .structured:
            throw QMPError(
                "The \(name) parameter can only be set through QMP",
                hint: "use migrate-set-parameters there"
            )
        case .size where Self.inMebibytes.contains(name):
            guard let bytes = HMPSize.mebibytes(value) else {
                throw QMPError(
                    "Invalid size \(value)",
                    hint: "write a number of MiB, or a number with suffix B, K, M, G, T, P or E"
                )
            }
            text = String(bytes)
        case .size, .integer(bits: 64):
            guard let number = SizeText.parse(value) else {
                throw QMPError(
                    "Parameter '\(name)' expects a non-negative number below 2^64",
                    hint: "it may have a suffix K, M, G, T, P or E for powers of 1024"
                )
            }
            text = String(number)
        case .boolean, .integer, .text, .choice:
            text = value
        }
        try self.init(checking: [name: .string(text)], spelling: .keyval)
    }
}
