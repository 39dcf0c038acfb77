internal import BerthJSON
internal import BerthMonitor
internal import BerthQAPI

// What the human monitor tells of mapped-ram images.

extension HMPCommands {
    var imageInformation: [HMPCommand] {
        [
            HMPCommand(
                "mapped_ram",
                summary: "show what was done with the last mapped-ram images",
                action: showImages
            )
        ]
    }

    private func showImages(_ invocation: HMPInvocation) async throws(QMPError) {
        let info: MappedRAMInfo = try await invocation.query(.xQueryMappedRAM, by: execute)
        let console = invocation.console
        if let load = info.load {
            console.writeLine(
                "loaded from \(load.image)" + (load.changed ? " (changed since)" : "")
            )
            console.write(load.blocks.map(\.hmpText).joined())
            if load.prefetch != .off {
                let amount = FixedDecimals.byteText(Int64(clamping: load.prefetched))
                console.writeLine("  prefetch: \(load.prefetch.rawValue), \(amount)")
            }
        }
        if let save = info.save {
            console.writeLine("saved to \(save.image)")
            console.write(save.blocks.map(\.hmpText).joined())
        }
    }
}

extension MappedRAMBlock {
    /// A block as `info mapped_ram` shows it.
    fileprivate var hmpText: String {
        let amount = FixedDecimals.byteText(Int64(clamping: present))
        let whole = FixedDecimals.byteText(Int64(clamping: size))
        return "  \(block): \(means.rawValue), \(amount) of \(whole)"
            + (reason.map { " (\($0))" } ?? "") + "\n"
    }
}
