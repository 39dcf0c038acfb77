import BerthJSON
import BerthQAPI

extension CommandLineReader {
    /// Takes an option that is about the machine or its memory.
    mutating func takeMachine(_ option: GivenOption) throws(CommandLineError) {
        switch option.name {
        case "M", "machine":
            merge(try keyvalObject(option.value, impliedKey: "type"), into: &draft.machine)
        case "smp":
            mergeIntoMachine("smp", try keyvalObject(option.value, impliedKey: "cpus"))
        case "m": try takeMemory(option)
        case "accel":
            let options = try options(option, .accelerator)
            guard let name = options["accel"] else {
                throw CommandLineError("Parameter 'accel' is missing")
            }
            draft.accelerators.append(
                (name, options.pairs.map(\.key).filter { $0 != "accel" }, option.location)
            )
        case "enable-kvm": draft.wantsKVM = true
        case "numa": draft.numaNodes.append((try options(option, .numa), option.location))
        case "mem-path": draft.memoryPath = option.value
        default: draft.preallocatesMemory = true
        }
    }

    private mutating func takeMemory(_ option: GivenOption) throws(CommandLineError) {
        let options = try options(option, .memory)
        var object = JSONObject()
        for (key, value) in options.pairs {
            switch key {
            case "size":
                // Only a number that ends in a digit is in mebibytes.
                let isBare = value.utf8.last.map { (0x30...0x39).contains($0) } ?? false
                object["size"] = .string(isBare ? value + "M" : value)
            case "maxmem": object["max-size"] = .string(value)
            default: object[key] = .string(value)
            }
        }
        mergeIntoMachine("memory", object)
    }

    private mutating func mergeIntoMachine(_ key: String, _ object: JSONObject) {
        merge([key: .object(object)], into: &draft.machine)
    }

    /// Adds what is new and replaces the rest, also in objects within objects.
    private func merge(_ object: JSONObject, into target: inout JSONObject) {
        for (key, value) in object {
            if case .object(let inner) = value, case .object(var present)? = target[key] {
                merge(inner, into: &present)
                target[key] = .object(present)
            } else {
                target[key] = value
            }
        }
    }

    private func text(_ key: String) -> String? {
        if case .string(let text)? = draft.machine[key] { text } else { nil }
    }

    /// The machine, its properties checked.
    func finishMachine() throws(CommandLineError) -> MachineType {
        let name = text("type") ?? ""
        let known = MachineCatalog.machine(named: name, architecture: draft.architecture)
        guard let machine = known else {
            throw CommandLineError(
                "unsupported machine type: \"\(name)\"",
                hints: ["Use -machine help to list supported machines"]
            )
        }
        try MachineProperties.check(draft.machine, of: machine)
        return machine
    }

    /// The id of `-machine memory-backend=`.
    var memoryBackendID: String? { text("memory-backend") }

    // MARK: Processors

    /// The number of processors.
    func finishProcessors(_ machine: MachineType) throws(CommandLineError) -> Int64 {
        guard case .object(let topology)? = draft.machine["smp"] else { return 1 }
        let names = [
            "cpus", "drawers", "books", "sockets", "dies", "clusters", "modules", "cores",
            "threads", "maxcpus",
        ]
        var numbers: [String: Int64] = [:]
        for name in names {
            guard let value = topology[name] else { continue }
            guard case .string(let text) = value, let number = Int64(text) else {
                throw CommandLineError("Parameter 'smp.\(name)' expects integer")
            }
            guard number > 0 else {
                throw CommandLineError(
                    "Invalid CPU topology: CPU topology parameters must be greater than zero"
                )
            }
            numbers[name] = number
        }
        for (name, _) in topology where !names.contains(name) {
            throw CommandLineError("Parameter 'smp.\(name)' is unexpected")
        }
        let levels = names.filter { $0 != "cpus" && $0 != "maxcpus" }
        var product: Int64 = 1
        for level in levels {
            let (next, overflow) = product.multipliedReportingOverflow(by: numbers[level] ?? 1)
            guard !overflow else { throw Self.tooManyProcessors(.max, machine) }
            product = next
        }
        let limit = numbers["maxcpus"] ?? numbers["cpus"] ?? product
        let count = numbers["cpus"] ?? limit
        guard count <= limit else {
            throw CommandLineError(
                "Invalid CPU topology: maxcpus must be equal to or greater than smp: "
                    + "maxcpus (\(limit)) < smp_cpus (\(count))"
            )
        }
        // What isn't given of sockets, cores and threads is computed, so that only all of them can
        // contradict the number.
        if ["sockets", "cores", "threads"].allSatisfy({ numbers[$0] != nil }), product != limit {
            throw CommandLineError(
                "Invalid CPU topology: product of the hierarchy must match maxcpus: "
                    + levels.filter { numbers[$0] != nil || $0 == "dies" || $0 == "modules" }
                    .map { "\($0) (\(numbers[$0] ?? 1))" }.joined(separator: " * ")
                    + " != maxcpus (\(limit))"
            )
        }
        guard limit <= machine.cpuLimit else { throw Self.tooManyProcessors(limit, machine) }
        return count
    }

    private static func tooManyProcessors(
        _ count: Int64,
        _ machine: MachineType
    ) -> CommandLineError {
        CommandLineError(
            "Invalid SMP CPUs \(count). The max CPUs supported by machine '\(machine.name)' is "
                + "\(machine.cpuLimit)"
        )
    }

    // MARK: Accelerators

    /// Checks the accelerators, none of which is used: one of them must exist.
    mutating func finishAccelerators() throws(CommandLineError) {
        let inMachine = text("accel") ?? (draft.wantsKVM ? "kvm" : nil)
        guard let inMachine else {
            try checkAccelerators(draft.accelerators)
            return
        }
        guard draft.accelerators.isEmpty else {
            throw CommandLineError(
                "The -accel and \"-machine accel=\" options are incompatible"
            )
        }
        try checkAccelerators(
            inMachine.split(separator: ":").map { (String($0), [], nil) }
        )
    }

    private mutating func checkAccelerators(
        _ list: [(name: String, keys: [String], location: String)]
    ) throws(CommandLineError) {
        try checkAccelerators(list.map { ($0.name, $0.keys, Optional($0.location)) })
    }

    private mutating func checkAccelerators(
        _ list: [(name: String, keys: [String], location: String?)]
    ) throws(CommandLineError) {
        var complaints: [CommandLineMessage] = []
        for (name, keys, location) in list {
            guard let properties = Self.accelerators[name] else {
                complaints.append(
                    CommandLineMessage(location: location, text: "invalid accelerator \(name)")
                )
                continue
            }
            if let key = keys.first(where: { !properties.contains($0) }) {
                throw CommandLineError("Property '\(name)-accel.\(key)' not found")
                    .located(location)
            }
            guard !complaints.isEmpty else { return }
            let shown = ["kvm": "KVM", "qtest": "QTest"][name] ?? name
            report(complaints + [CommandLineMessage(text: "falling back to \(shown)")])
            return
        }
        if !complaints.isEmpty { throw CommandLineError(messages: complaints) }
    }

    /// Accelerators and their properties.
    static let accelerators: [String: [String]] = [
        "kvm": [
            "device", "dirty-ring-size", "kernel-irqchip", "kvm-shadow-mem", "notify-vmexit",
            "notify-window", "xen-evtchn-max-pirq", "xen-gnttab-max-frames", "xen-version",
        ],
        "tcg": ["one-insn-per-tb", "split-wx", "tb-size", "thread"],
        "qtest": [],
    ]
}
