internal import BerthJSON
internal import BerthMonitor
internal import BerthQAPI

// How fast the guest's memory changes, who changes it, and how that is found.
extension HMPCommands {
    var dirtyingCommands: [HMPCommand] {
        [
            HMPCommand(
                "calc_dirty_rate",
                parameters: [
                    HMPParameter("dirty_ring", .flag("r")),
                    HMPParameter("dirty_bitmap", .flag("b")),
                    HMPParameter("second", .int64),
                    HMPParameter("sample_pages_per_GB", .int64, isOptional: true),
                ],
                summary: """
                    measure for some seconds how fast the guest changes its memory
                    -r by the dirty rings of its CPUs
                    -b by counting pages, not by comparing samples
                    """,
                action: measureDirtyRate
            ),
            HMPCommand(
                "set_vcpu_dirty_limit",
                parameters: [
                    HMPParameter("dirty_rate", .int64),
                    HMPParameter("cpu_index", .int64, isOptional: true),
                ],
                summary: "limit how much memory a CPU, or each, changes in a second, in MB",
                action: setDirtyLimit
            ),
            HMPCommand(
                "cancel_vcpu_dirty_limit",
                parameters: [HMPParameter("cpu_index", .int64, isOptional: true)],
                summary: "take the limit of a CPU, or of all, back",
                action: cancelDirtyLimit
            ),
        ]
    }

    var dirtyingInformation: [HMPCommand] {
        [
            HMPCommand(
                "dirty_rate",
                summary: "show what calc_dirty_rate has measured",
                action: showDirtyRate
            ),
            HMPCommand(
                "vcpu_dirty_limit",
                summary: "show the limits of CPUs on changing memory",
                action: showDirtyLimits
            ),
            HMPCommand(
                "dirty_tracking",
                summary: "show how writes to the guest's memory are found",
                action: showTracking
            ),
            HMPCommand(
                "workloads",
                summary: "show who writes the guest's memory, and whether it is all there",
                action: showWorkloads
            ),
        ]
    }

    private func measureDirtyRate(_ invocation: HMPInvocation) async throws(QMPError) {
        let arguments = invocation.arguments
        let seconds = arguments.integer("second") ?? 0
        guard seconds != 0 else {
            return invocation.console.writeLine("Incorrect period length specified!")
        }
        let usesRing = arguments.isOn("dirty_ring")
        let usesBitmap = arguments.isOn("dirty_bitmap")
        guard !usesRing || !usesBitmap else {
            return invocation.console.writeLine("Either -r or -b can be given, not both")
        }
        try await invocation.perform(
            .calcDirtyRate(
                CalcDirtyRateArguments(
                    calcTime: seconds,
                    samplePages: arguments.integer("sample_pages_per_GB"),
                    mode: usesRing ? .dirtyRing : usesBitmap ? .dirtyBitmap : .pageSampling
                )
            ),
            by: execute
        )
        invocation.console.writeLine("Measuring the dirty rate for \(seconds) seconds")
        invocation.console.writeLine("[Use 'info dirty_rate' to see the result]")
    }

    private func setDirtyLimit(_ invocation: HMPInvocation) async throws(QMPError) {
        let rate = invocation.arguments.integer("dirty_rate") ?? 0
        guard rate >= 0 else {
            throw QMPError("a dirty limit can't be negative", hint: "0 takes the limit back")
        }
        try await invocation.perform(
            .setVcpuDirtyLimit(
                SetVcpuDirtyLimitArguments(
                    cpuIndex: invocation.arguments.integer("cpu_index"),
                    dirtyRate: UInt64(rate)
                )
            ),
            by: execute
        )
        invocation.console.writeLine("[Use 'info vcpu_dirty_limit' to see the limits]")
    }

    private func cancelDirtyLimit(_ invocation: HMPInvocation) async throws(QMPError) {
        try await invocation.perform(
            .cancelVcpuDirtyLimit(
                CancelVcpuDirtyLimitArguments(
                    cpuIndex: invocation.arguments.integer("cpu_index")
                )
            ),
            by: execute
        )
        invocation.console.writeLine("[Use 'info vcpu_dirty_limit' to see the limits]")
    }

    // MARK: info

    private func showDirtyRate(_ invocation: HMPInvocation) async throws(QMPError) {
        let info: DirtyRateInfo = try await invocation.query(
            .queryDirtyRate(QueryDirtyRateArguments()),
            by: execute
        )
        let console = invocation.console
        console.writeLine("Status: \(info.status.rawValue)")
        // QEMU names the wrong unit, and clients read the line as it is.
        console.writeLine("Start Time: \(info.startTime) (ms)")
        if info.mode == .pageSampling {
            console.writeLine("Sample Pages: \(info.samplePages) (per GB)")
        }
        console.writeLine("Period: \(info.calcTime) (sec)")
        console.writeLine("Mode: \(info.mode.rawValue)")
        console.writeLine(
            "Dirty rate: " + (info.dirtyRate.map { "\($0) (MB/s)" } ?? "(not ready)")
        )
    }

    private func showDirtyLimits(_ invocation: HMPInvocation) async throws(QMPError) {
        let limits = try await invocation.query(
            .queryVcpuDirtyLimit,
            [DirtyLimitInfo].self,
            by: execute
        )
        if limits.isEmpty {
            invocation.console.writeLine("Dirty page limit not enabled!")
        }
        for limit in limits {
            invocation.console.writeLine(
                "vcpu[\(limit.cpuIndex)], limit rate \(limit.limitRate) (MB/s), "
                    + "current rate \(limit.currentRate) (MB/s)"
            )
        }
    }

    private func showTracking(_ invocation: HMPInvocation) async throws(QMPError) {
        let blocks = try await invocation.query(
            .xQueryDirtyTracking,
            [DirtyTrackingInfo].self,
            by: execute
        )
        for block in blocks {
            let console = invocation.console
            let names = block.mechanisms.map(\.rawValue).joined(separator: ", ")
            console.writeLine("\(block.block): \(names)\(block.active ? " (active)" : "")")
            console.writeLine("  kernel tracking: \(block.kernelObstacle ?? "possible")")
            console.writeLine("  background snapshot: \(block.snapshotObstacle ?? "possible")")
        }
    }

    private func showWorkloads(_ invocation: HMPInvocation) async throws(QMPError) {
        let workloads = try await invocation.query(
            .xQueryWorkload(XQueryWorkloadArguments()),
            [WorkloadInfo].self,
            by: execute
        )
        for workload in workloads {
            invocation.console.write(workload.hmpText)
        }
        let processes = try await invocation.query(
            .xQueryExternalWriter,
            [ExternalWriterInfo].self,
            by: execute
        )
        for process in processes {
            invocation.console.writeLine(process.hmpText)
        }
    }
}

extension ExternalWriterInfo {
    /// A port for other processes as `info workloads` shows it.
    fileprivate var hmpText: String {
        var parts = ["\(id): " + (pid.map { "process \($0), " } ?? "") + state.rawValue]
        if let untrackedReason {
            parts.append("not tracked: \(untrackedReason)")
        } else if tracked {
            parts.append("tracked")
        }
        if let lastRefusal { parts.append("last refusal: \(lastRefusal)") }
        return parts.joined(separator: ", ")
    }
}

extension WorkloadInfo {
    /// A workload as `info workloads` shows it.
    fileprivate var hmpText: String {
        var lines = [
            "\(id): \(pattern.rawValue) on \(memdev), \(threads) threads, "
                + (running ? "running" : "stopped"),
            "  range: \(start) + \(size) bytes",
            "  rate: " + (rate == 0 ? "no limit" : "\(rate) bytes/s"),
            "  throughput: \(FixedDecimals.byteText(Int64(clamping: throughput)))/s",
            "  throttle: \(throttle) %",
            "  writes: \(writes) pages",
            "  longest write: \(longestWrite / 1000) us",
            "  verdict: \(verdict.rawValue)",
        ]
        if faultCount > 0 {
            lines.append("  faults: \(faultCount)")
            lines += faults.map { "    at \($0.offset): \($0.kind.rawValue)" }
        }
        return lines.map { $0 + "\n" }.joined()
    }
}
