import BerthJSON
import BerthQAPI

/// The guest's memory, as far as the command line decides it.
struct MemoryPlan {
    var byteCount: UInt64
    var backends: [ObjectOptions]
    var blocks: [RAMBlockSource]
}

extension CommandLineReader {
    /// Decides what the guest's RAM is made of.
    func finishMemory(
        _ machine: MachineType,
        _ objects: [ObjectOptions]
    ) throws(CommandLineError) -> MemoryPlan {
        let given = try memorySize()
        if let id = memoryBackendID {
            return try planWithBackend(id, given, machine, objects)
        }
        // QEMU rounds up to this, as it has since RAM was handed out in such pieces.
        let unit: UInt64 = 8192
        let wanted = given ?? machine.defaultRAMByteCount
        let (sum, overflow) = wanted.addingReportingOverflow(unit - 1)
        guard !overflow else { throw CommandLineError("ram size too large") }
        let byteCount = sum / unit * unit
        let nodes = try numaBackends(byteCount, machine, objects)
        if !nodes.isEmpty {
            return MemoryPlan(
                byteCount: byteCount,
                backends: objects,
                blocks: nodes.map { source($0, machine) }
            )
        }
        guard byteCount > 0 else { return MemoryPlan(byteCount: 0, backends: objects, blocks: []) }
        let name = machine.ramBlockName
        guard !objects.contains(where: { $0.id == name }) else {
            throw CommandLineError(
                "object's id '\(name)' is reserved for the default RAM backend, it can't be used "
                    + "for any other purposes",
                hints: [
                    "Give the object another id, or name it with -machine memory-backend=\(name)."
                ]
            )
        }
        return MemoryPlan(
            byteCount: byteCount,
            backends: objects + [machinesOwn(name, byteCount)],
            blocks: [RAMBlockSource(blockName: name, backendID: name)]
        )
    }

    /// `-m`, in bytes; nil if it wasn't given, or says 0.
    private func memorySize() throws(CommandLineError) -> UInt64? {
        guard case .object(let memory)? = draft.machine["memory"] else { return nil }
        func size(_ key: String) throws(CommandLineError) -> UInt64? {
            guard case .string(let text)? = memory[key] else { return nil }
            guard let size = SizeText.parse(text) else {
                throw CommandLineError("Parameter 'memory.\(key)' expects size")
            }
            return size
        }
        for (key, _) in memory where !["size", "max-size", "slots"].contains(key) {
            throw CommandLineError("Parameter 'memory.\(key)' is unexpected")
        }
        let given = try size("size")
        let limit = try size("max-size")
        if memory["slots"] != nil, limit == nil {
            throw CommandLineError("slots specified but no max-size")
        }
        let initial = given ?? 128 << 20
        if let limit, limit < initial {
            throw CommandLineError(
                "invalid value of maxmem: maximum memory size (0x\(String(limit, radix: 16))) must "
                    + "be at least the initial memory size (0x\(String(initial, radix: 16)))"
            )
        }
        return given == 0 ? nil : given
    }

    private func planWithBackend(
        _ id: String,
        _ given: UInt64?,
        _ machine: MachineType,
        _ objects: [ObjectOptions]
    ) throws(CommandLineError) -> MemoryPlan {
        guard draft.memoryPath == nil else {
            throw CommandLineError(
                "'-mem-path' can't be used together with'-machine memory-backend'"
            )
        }
        guard let options = objects.first(where: { $0.id == id }) else {
            throw CommandLineError("Memory backend '\(id)' not found")
        }
        let byteCount = options.variant.backend?.size ?? 0
        guard given == nil || given == byteCount else {
            throw CommandLineError(
                "Machine memory size does not match the size of the memory backend"
            )
        }
        for (options, _) in draft.numaNodes where options["memdev"] != nil {
            throw CommandLineError(
                "'-machine memory-backend' and '-numa memdev' properties are mutually exclusive"
            )
        }
        return MemoryPlan(
            byteCount: byteCount,
            backends: objects,
            blocks: [source(options, machine)]
        )
    }

    /// The backend that the machine makes by itself, from `-mem-path` and `-mem-prealloc`.
    private func machinesOwn(_ name: String, _ byteCount: UInt64) -> ObjectOptions {
        let base = MemoryBackendProperties(
            prealloc: draft.preallocatesMemory,
            size: byteCount,
            xUseCanonicalPathForRamblockID: false
        )
        guard let path = draft.memoryPath else {
            return ObjectOptions(id: name, variant: .memoryBackendRAM(base))
        }
        return ObjectOptions(
            id: name,
            variant: .memoryBackendFile(
                MemoryBackendFileProperties(
                    prealloc: draft.preallocatesMemory,
                    size: byteCount,
                    xUseCanonicalPathForRamblockID: false,
                    memPath: path
                )
            )
        )
    }

    /// A backend as a block of RAM.
    ///
    /// Old machine types name blocks of files by the object's path.
    private func source(_ options: ObjectOptions, _ machine: MachineType) -> RAMBlockSource {
        let isFile = options.variant.tag != .memoryBackendRAM
        let usesPath =
            options.variant.backend?.xUseCanonicalPathForRamblockID
            ?? (isFile && machine.isBefore(QEMURelease(4, 0)))
        return RAMBlockSource(
            blockName: usesPath ? "/objects/\(options.id)" : options.id,
            backendID: options.id
        )
    }

    // MARK: NUMA

    /// The backends of `-numa node,memdev=`, in the order of the nodes; none if no node has one.
    private func numaBackends(
        _ byteCount: UInt64,
        _ machine: MachineType,
        _ objects: [ObjectOptions]
    ) throws(CommandLineError) -> [ObjectOptions] {
        var nodes: [Int64: ObjectOptions] = [:]
        var numbers: Set<Int64> = []
        for (options, location) in draft.numaNodes {
            do throws(CommandLineError) {
                let type = options["type"]
                guard type == "node" else {
                    try Self.checkNUMAType(type)
                    continue
                }
                guard machine.hasNUMA else {
                    throw CommandLineError("NUMA is not supported by this machine-type")
                }
                let node = try node(options, numbers)
                guard numbers.insert(node).inserted else {
                    throw CommandLineError("Duplicate NUMA nodeid: \(node)")
                }
                guard let id = options["memdev"] else { continue }
                guard let backend = objects.first(where: { $0.id == id }) else {
                    throw CommandLineError("memdev=\(id) is ambiguous")
                }
                nodes[node] = backend
            } catch {
                throw error.located(location)
            }
        }
        guard !numbers.isEmpty else { return [] }
        if let missing = (0..<Int64(numbers.count)).first(where: { !numbers.contains($0) }) {
            throw CommandLineError("numa: Node ID missing: \(missing)")
        }
        let ordered = nodes.sorted { $0.key < $1.key }.map(\.value)
        try checkNUMASizes(ordered, byteCount)
        return ordered
    }

    private static func checkNUMAType(_ type: String?) throws(CommandLineError) {
        guard let type else { throw CommandLineError("Parameter 'type' is missing") }
        guard ["dist", "cpu", "hmat-lb", "hmat-cache"].contains(type) else {
            throw CommandLineError("Parameter 'type' does not accept value '\(type)'")
        }
    }

    private func node(
        _ options: QemuOptions,
        _ taken: Set<Int64>
    ) throws(CommandLineError) -> Int64 {
        let keys: Set<String> = ["type", "nodeid", "cpus", "mem", "memdev", "initiator"]
        if let key = options.pairs.map(\.key).first(where: { !keys.contains($0) }) {
            throw CommandLineError("Invalid parameter '\(key)'")
        }
        guard options["mem"] == nil else {
            throw CommandLineError(
                "Parameter -numa node,mem is not supported by this machine type",
                hints: ["Use -numa node,memdev instead"]
            )
        }
        guard let text = options["nodeid"] else { return Int64(taken.count) }
        guard let number = UInt64(cText: text), number <= .max >> 1 else {
            throw CommandLineError("Parameter 'nodeid' expects a uint64 value")
        }
        // QEMU's limit, MAX_NODES.
        guard number < 128 else {
            throw CommandLineError("Max number of NUMA nodes reached: \(number)")
        }
        return Int64(number)
    }

    private func checkNUMASizes(
        _ backends: [ObjectOptions],
        _ byteCount: UInt64
    ) throws(CommandLineError) {
        var sum: UInt64 = 0
        var ids: Set<String> = []
        for backend in backends {
            sum = sum.addingReportingOverflow(backend.variant.backend?.size ?? 0).partialValue
        }
        guard sum == byteCount else {
            throw CommandLineError(
                "total memory for NUMA nodes (0x\(String(sum, radix: 16))) should equal RAM size "
                    + "(0x\(String(byteCount, radix: 16)))"
            )
        }
        for backend in backends where !ids.insert(backend.id).inserted {
            throw CommandLineError("memory backend \(backend.id) can't be used multiple times.")
        }
    }
}
