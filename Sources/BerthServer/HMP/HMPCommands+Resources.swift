internal import BerthJSON
internal import BerthMonitor
internal import BerthQAPI

// Memory, objects and descriptors.
extension HMPCommands {
    var resourceCommands: [HMPCommand] {
        [
            HMPCommand(
                "object_add",
                parameters: [HMPParameter("object", .rest)],
                usage: "[qom-type=]type,id=str[,prop=value][,...]",
                summary: "create an object, such as a memory backend",
                candidates: { $0 == 0 ? ObjectType.allCases.map(\.rawValue) : [] },
                action: addObject
            ),
            HMPCommand(
                "object_del",
                parameters: [HMPParameter("id", .word)],
                summary: "remove an object",
                action: removeObject
            ),
            HMPCommand(
                "getfd",
                parameters: [HMPParameter("name", .word)],
                summary: "keep the descriptor that came over the socket under a name",
                action: keepDescriptor
            ),
            HMPCommand(
                "closefd",
                parameters: [HMPParameter("name", .word)],
                summary: "close a descriptor that getfd has kept",
                action: closeDescriptor
            ),
        ]
    }

    var resourceInformation: [HMPCommand] {
        [
            HMPCommand("memdev", summary: "show the memory backends", action: backends),
            HMPCommand(
                "memory_size_summary",
                summary: "show how much memory the guest has, in bytes",
                action: memorySize
            ),
        ]
    }

    private func addObject(_ invocation: HMPInvocation) async throws(QMPError) {
        let options = try Self.objectOptions(invocation.arguments.text("object"))
        try await invocation.perform(.objectAdd(options), by: execute)
    }

    /// Reads what describes an object: `type,id=ID,...`, or a JSON object.
    static func objectOptions(_ text: String) throws(QMPError) -> ObjectOptions {
        guard text.hasPrefix("{") else {
            let object = try KeyValueText.parse(text, impliedKey: "qom-type")
            return try ObjectOptions(checking: object, spelling: .keyval)
        }
        let value: JSONValue
        do throws(JSONError) {
            value = try parseQMPText(text)
        } catch {
            throw QMPError("\(error)")
        }
        guard case .object(let object) = value else {
            throw QMPError("an object's description must be a JSON object")
        }
        return try ObjectOptions(checking: object)
    }

    private func removeObject(_ invocation: HMPInvocation) async throws(QMPError) {
        let id = invocation.arguments.text("id")
        try await invocation.perform(.objectDel(ObjectDelArguments(id: id)), by: execute)
    }

    private func keepDescriptor(_ invocation: HMPInvocation) async throws(QMPError) {
        let name = invocation.arguments.text("name")
        try await invocation.perform(.getfd(GetfdArguments(fdname: name)), by: execute)
    }

    private func closeDescriptor(_ invocation: HMPInvocation) async throws(QMPError) {
        let name = invocation.arguments.text("name")
        try await invocation.perform(.closefd(ClosefdArguments(fdname: name)), by: execute)
    }

    private func backends(_ invocation: HMPInvocation) async throws(QMPError) {
        let backends = try await invocation.query(.queryMemdev, [Memdev].self, by: execute)
        for backend in backends { invocation.console.write(backend.hmpText) }
        invocation.console.writeLine("")
    }

    private func memorySize(_ invocation: HMPInvocation) async throws(QMPError) {
        let info = try await invocation.query(
            .queryMemorySizeSummary,
            MemoryInfo.self,
            by: execute
        )
        invocation.console.writeLine("base memory: \(info.baseMemory)")
        if let plugged = info.pluggedMemory {
            invocation.console.writeLine("plugged memory: \(plugged)")
        }
    }
}

extension Memdev {
    /// A backend as `info memdev` shows it.
    var hmpText: String {
        var lines = [
            "memory backend: \(id ?? "")",
            "  size:  \(size)",
            "  merge: \(merge)",
            "  dump: \(dump)",
            "  prealloc: \(prealloc)",
            "  share: \(share)",
        ]
        if let reserve { lines.append("  reserve: \(reserve)") }
        lines.append("  policy: \(policy.rawValue)")
        lines.append("  host nodes: \(NumberRanges.text(hostNodes))")
        return lines.map { $0 + "\n" }.joined()
    }
}
