import BerthJSON
import BerthMemory
import BerthMigration
import BerthQAPI
import BerthWorkload

extension Endpoint {
    /// The commands about workloads and the guest's memory.
    func executeWorkload(_ command: QMPCommand) async throws(QMPError) -> JSONValue {
        switch command {
        case .xQueryWorkload(let arguments):
            return try await workloads(arguments.id).toJSON()
        case .xQueryExternalWriter:
            return writers.all.compactMap(ExternalWriterInfo.init).toJSON()
        case .xQueryRAMDigest:
            let blocks: [RAMBlock]
            do {
                blocks = try await controller.stoppedBlocks(for: "compute a digest")
            } catch {
                throw QMPError(error.message, hint: error.hint)
            }
            return await onThread {
                blocks.map {
                    let digits = String($0.digest, radix: 16)
                    return RAMDigest(
                        block: $0.id,
                        size: UInt64($0.byteCount),
                        digest: String(repeating: "0", count: 16 - digits.count) + digits
                    )
                }
            }.toJSON()
        default:
            throw QMPError("'\(command.name)' is not a workload command")
        }
    }

    private func workloads(_ id: String?) async throws(QMPError) -> [WorkloadInfo] {
        var infos: [WorkloadInfo] = []
        for entry in writers.all where id == nil || entry.options.id == id {
            guard case .workload(let workload) = entry.writer,
                case .guestWorkload(let properties) = entry.options.variant
            else { continue }
            // A look at all of its memory, unless it writes.
            let report = await onThread { workload.check() }
            infos.append(
                WorkloadInfo(entry.options.id, properties, workload, report)
            )
        }
        if let id, infos.isEmpty {
            throw QMPError(
                "there is no workload '\(id)'",
                hint: "x-query-workload without 'id' lists them"
            )
        }
        return infos
    }
}

extension WorkloadInfo {
    fileprivate init(
        _ id: String,
        _ properties: GuestWorkloadProperties,
        _ workload: Workload,
        _ report: WorkloadReport
    ) {
        let status = workload.status
        self.init(
            id: id,
            memdev: properties.memdev,
            start: UInt64(workload.plan.start),
            size: UInt64(workload.plan.byteCount),
            pattern: properties.pattern,
            rate: properties.rate,
            threads: properties.threads,
            running: status.isRunning,
            writes: status.isRunning ? status.writes : report.writes,
            throughput: status.throughput,
            longestWrite: status.longestWrite,
            throttle: UInt8(clamping: status.throttle),
            verdict: WorkloadVerdict(report.verdict),
            faults: report.faults.map {
                WorkloadFault(
                    offset: UInt64(clamping: $0.offset),
                    kind: WorkloadFaultKind($0.kind)
                )
            },
            faultCount: UInt64(clamping: report.faultCount)
        )
    }
}

extension ExternalWriterInfo {
    /// What is known of a port for other processes; nil for another writer.
    fileprivate init?(_ entry: GuestWriters.Entry) {
        guard case .external(let port) = entry.writer,
            case .externalWriter(let properties) = entry.options.variant
        else { return nil }
        let status = port.status
        self.init(
            id: entry.options.id,
            memdev: properties.memdev,
            path: properties.path,
            state: ExternalWriterState(status.state),
            pid: status.processID.map { Int64($0) },
            tracked: status.isTracked,
            untrackedReason: status.untrackedReason,
            lastRefusal: status.lastRefusal
        )
    }
}

extension ExternalWriterState {
    fileprivate init(_ state: ExternalWriterStatus.State) {
        self =
            switch state {
            case .absent: .absent
            case .attaching: .attaching
            case .paused: .paused
            case .running: .running
            case .pausing: .pausing
            }
    }
}

extension WorkloadVerdict {
    fileprivate init(_ verdict: WorkloadReport.Verdict) {
        self =
            switch verdict {
            case .unchecked: .unchecked
            case .clean: .clean
            case .corrupt: .corrupt
            }
    }
}

extension WorkloadFaultKind {
    fileprivate init(_ kind: WorkloadReport.FaultKind) {
        self =
            switch kind {
            case .torn: .torn
            case .misplaced: .misplaced
            case .stale: .stale
            }
    }
}
