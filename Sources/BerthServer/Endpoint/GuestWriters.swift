import BerthMemory
import BerthMigration
import BerthQAPI
import BerthWorkload
import Synchronization

/// Everything that writes the guest's memory: workloads, and other processes.
///
/// They run while the guest does. One at a time calls what changes the set; queries come at any
/// time.
final class GuestWriters: GuestActivity {
    /// A writer and how it was described.
    struct Entry: Sendable {
        let options: ObjectOptions
        let writer: Writer
    }

    /// A kind of writer.
    enum Writer: Sendable {
        case workload(Workload)
        case external(ExternalWriterPort)
    }

    private struct State {
        var entries: [Entry] = []
        var isRunning = false
        var throttle = 0
        /// Limits of `set-vcpu-dirty-limit`, in MB/s, by index of the thread.
        var limits: [Int: UInt64] = [:]
        /// The limit of capability `dirty-limit`, in bytes/s.
        var migrationLimit: UInt64?
    }

    private let state = Mutex(State())
    private let objects: MemoryObjects

    /// A write takes microseconds, and a thread that waits for the processor milliseconds: who takes
    /// longer is held up by something that may last.
    private static let patience = Duration.seconds(1)

    init(_ objects: MemoryObjects) {
        self.objects = objects
    }

    /// All writers, in the order in which they were made.
    var all: [Entry] { state.withLock { $0.entries } }

    // MARK: Objects

    /// Makes a writer.
    ///
    /// - Parameter expectsContent: whether a migration is still to bring the memory's content.
    /// - Throws: `QMPError` if it can't be what it is to be.
    func add(_ options: ObjectOptions, expectsContent: Bool) throws(QMPError) {
        guard objects[options.id] == nil, !all.contains(where: { $0.options.id == options.id })
        else {
            throw QMPError("attempt to add duplicate object '\(options.id)'")
        }
        let (backend, writer) = try make(options, expectsContent: expectsContent)
        objects.use(backend)
        state.withLock { state in
            state.entries.append(Entry(options: options, writer: writer))
            apply(state)
            if state.isRunning { writer.resume() }
        }
    }

    /// Ends a writer.
    ///
    /// - Returns: false if there is none of that id.
    /// - Throws: `QMPError` if it doesn't stop; it goes on then.
    func remove(_ id: String) throws(QMPError) -> Bool {
        guard let found = all.first(where: { $0.options.id == id }) else { return false }
        // Its end would wait for as long as a snapshot holds it.
        guard found.writer.pause(within: Self.patience) else {
            let error = Self.stillWriting(id)
            throw QMPError("cannot delete object '\(id)': " + error.message, hint: error.hint)
        }
        let entry = state.withLock { state -> Entry? in
            guard let index = state.entries.firstIndex(where: { $0.options.id == id }) else {
                return nil
            }
            // The threads behind it get other numbers.
            state.limits = [:]
            let entry = state.entries.remove(at: index)
            apply(state)
            return entry
        }
        guard let entry else { return false }
        entry.writer.end()
        if let backend = entry.options.writtenBackend { objects.release(backend) }
        return true
    }

    private func make(
        _ options: ObjectOptions,
        expectsContent: Bool
    ) throws(QMPError) -> (backend: String, Writer) {
        guard let backend = options.writtenBackend, let entry = objects[backend] else {
            throw QMPError(
                "cannot create object '\(options.id)': there is no memory backend "
                    + "'\(options.writtenBackend ?? "")'",
                hint: "name one of -object memory-backend-*, or the machine's own, in 'memdev'"
            )
        }
        do throws(WorkloadError) {
            switch options.variant {
            case .guestWorkload(let properties):
                let plan = WorkloadPlan(options.id, properties, block: entry.block)
                try checkOverlap(plan, properties.memdev)
                return (
                    backend, .workload(try Workload(plan, expectsContent: expectsContent))
                )
            case .externalWriter(let properties):
                let port = try ExternalWriterPort(
                    id: options.id,
                    block: entry.block,
                    path: properties.path
                )
                return (backend, .external(port))
            default:
                throw WorkloadError("object '\(options.id)' doesn't write memory")
            }
        } catch {
            throw QMPError(error.message, hint: error.hint)
        }
    }

    /// Two workloads that wrote the same pages would find each other's to be corrupt.
    private func checkOverlap(_ plan: WorkloadPlan, _ backend: String) throws(WorkloadError) {
        for entry in all {
            guard case .workload(let other) = entry.writer,
                entry.options.writtenBackend == backend,
                plan.start < other.plan.start + other.plan.byteCount,
                other.plan.start < plan.start.addingReportingOverflow(plan.byteCount).partialValue
            else { continue }
            throw WorkloadError(
                "cannot create workload '\(plan.id)': its range overlaps that of '\(other.plan.id)'",
                hint: "give each workload pages of its own, with start and size"
            )
        }
    }

    /// Removes the sockets for other processes: this one is about to exit.
    func removeSockets() {
        for case .external(let port) in all.map(\.writer) {
            port.end()
        }
    }

    // MARK: GuestActivity

    func pause() throws(MigrationError) {
        let stubborn = state.withLock { state -> String? in
            let late = state.entries.first { !$0.writer.pause(within: Self.patience) }
            if late == nil {
                state.isRunning = false
            } else {
                state.entries.forEach { $0.writer.resume() }
            }
            return late?.options.id
        }
        guard let stubborn else { return }
        throw Self.stillWriting(stubborn)
    }

    private static func stillWriting(_ id: String) -> MigrationError {
        MigrationError(
            "writer '\(id)' didn't stop writing the guest's memory",
            hint: "it may wait for a background snapshot, which can be cancelled, or be a process "
                + "that doesn't answer"
        )
    }

    func resume() {
        state.withLock { state in
            state.isRunning = true
            state.entries.forEach { $0.writer.resume() }
        }
    }

    func throttle(percentage: Int) {
        state.withLock { state in
            state.throttle = percentage
            apply(state)
        }
    }

    func limitDirtyRate(bytesPerSecond: UInt64?) {
        state.withLock { state in
            state.migrationLimit = bytesPerSecond
            apply(state)
        }
    }

    func migrationBegins() {
        for workload in workloads { workload.beginMeasurement() }
    }

    func contentReplaced() {
        for workload in workloads { workload.contentReplaced() }
    }

    func obstacle(toSnapshot snapshot: Bool) -> MigrationError? {
        for case .external(let port) in all.map(\.writer) {
            if let obstacle = port.obstacle {
                return MigrationError(obstacle.message, hint: obstacle.hint)
            }
            if snapshot, port.status.state != .absent {
                return MigrationError(
                    "another process writes memory through '\(port.id)': a background snapshot "
                        + "can't hold its writes back",
                    hint: "end that process, or save without background-snapshot"
                )
            }
        }
        return nil
    }

    // MARK: Limits

    /// The threads of all workloads, in the order in which `set-vcpu-dirty-limit` counts them.
    private static func threads(_ entries: [Entry]) -> [(workload: Workload, thread: Int)] {
        entries.flatMap { entry -> [(Workload, Int)] in
            guard case .workload(let workload) = entry.writer else { return [] }
            return (0..<workload.plan.threadCount).map { (workload, $0) }
        }
    }

    /// Workloads without their descriptions.
    private var workloads: [Workload] {
        all.compactMap { entry in
            guard case .workload(let workload) = entry.writer else { return nil }
            return workload
        }
    }

    private func apply(_ state: borrowing State) {
        for (index, (workload, thread)) in Self.threads(state.entries).enumerated() {
            let own = state.limits[index].map { $0.multipliedReportingOverflow(by: 1 << 20) }
            workload.limitDirtyRate(
                thread: thread,
                bytesPerSecond: state.migrationLimit ?? own.map { $0.overflow ? .max : $0.0 }
            )
            workload.throttle(percentage: state.throttle)
        }
    }

    /// Sets or lifts limits of threads, in MB/s.
    ///
    /// - Parameters:
    ///   - index: the thread; nil for all.
    ///   - limit: 0 lifts it.
    /// - Throws: `QMPError` for a thread that isn't there, or while a migration sets limits.
    func setLimit(_ index: Int64?, _ limit: UInt64) throws(QMPError) {
        let problem = state.withLock { state -> QMPError? in
            let count = Self.threads(state.entries).count
            guard state.migrationLimit == nil else {
                return QMPError(
                    "cannot change a dirty limit while a migration with capability 'dirty-limit' "
                        + "sets it",
                    hint: "wait for its end, or cancel it with migrate_cancel"
                )
            }
            if let index, index < 0 || index >= Int64(count) {
                return QMPError(
                    "there is no CPU \(index)",
                    hint: count == 0
                        ? "threads of workloads count as CPUs: create one with object-add"
                        : "the threads of the workloads are numbered from 0 to \(count - 1)"
                )
            }
            for thread in index.map({ [Int($0)] }) ?? Array(0..<count) {
                state.limits[thread] = limit == 0 ? nil : limit
            }
            apply(state)
            return nil
        }
        if let problem { throw problem }
    }

    /// The limits in force.
    var limits: [DirtyLimitInfo] {
        state.withLock { state in
            Self.threads(state.entries).enumerated().compactMap { index, place in
                let status = place.workload.status.threads[place.thread]
                guard let limit = status.limit else { return nil }
                return DirtyLimitInfo(
                    cpuIndex: Int64(index),
                    limitRate: limit >> 20,
                    currentRate: status.throughput >> 20
                )
            }
        }
    }
}

extension GuestWriters.Writer {
    func resume() {
        switch self {
        case .workload(let workload): workload.resume()
        case .external(let port): port.resume()
        }
    }

    func pause(within time: Duration) -> Bool {
        switch self {
        case .workload(let workload): workload.pause(within: time)
        case .external(let port): port.pause(within: time)
        }
    }

    func end() {
        switch self {
        case .workload(let workload): workload.end()
        case .external(let port): port.end()
        }
    }
}

extension ObjectOptions {
    /// Id of the memory backend that the object writes; nil if it doesn't.
    var writtenBackend: String? {
        switch variant {
        case .guestWorkload(let properties): properties.memdev
        case .externalWriter(let properties): properties.memdev
        default: nil
        }
    }
}

extension WorkloadPlan {
    fileprivate init(_ id: String, _ properties: GuestWorkloadProperties, block: RAMBlock) {
        let start = Int(clamping: properties.start)
        self.init(
            id: id,
            block: block,
            start: start,
            byteCount: properties.size.map { Int(clamping: $0) }
                ?? max(0, block.byteCount - start),
            pattern: BerthWorkload.WorkloadPattern(properties.pattern),
            bytesPerSecond: properties.rate,
            threadCount: Int(properties.threads)
        )
    }
}

extension BerthWorkload.WorkloadPattern {
    fileprivate init(_ pattern: BerthQAPI.WorkloadPattern) {
        self =
            switch pattern {
            case .increment: .increment
            case .random: .random
            case .sequential: .sequential
            case .zipf: .zipf
            }
    }
}
