import BerthStream

/// Which blocks of a stream are the machine's RAM, in the order in which the machine puts them together.
///
/// A stream lists all blocks alike: RAM, video memory, firmware, plugged modules. What tells them
/// apart are their names. In this order, the first that fits:
///
/// 1. the machine types' own name: `pc.ram`, `microvm.ram`, `ram`;
/// 2. the names of a NUMA machine's parts: `ram-node0`, `ram-node1`, … as libvirt gives them, or
///    `mem0`, `mem1`, …, from 0 on without a gap; there may be only one;
/// 3. whatever it is called, if it is the only block that isn't a device's.
///
/// The prefix `/objects/`, which old machine types give to memory backends, doesn't count.
enum MainMemory {
    /// Names that a machine type gives its RAM by itself.
    static let machineNames = ["pc.ram", "microvm.ram", "ram"]

    /// What the names of a NUMA machine's parts begin with.
    static let familyNames = ["ram-node", "mem"]

    /// Finds the blocks.
    ///
    /// - Parameter names: the blocks' names, if the user knows better.
    /// - Returns: indices of blocks, at least one.
    /// - Throws: `ImageError` that lists the blocks there are.
    static func blocks(
        of blocks: [StreamBlock],
        named names: [String]
    ) throws(ImageError) -> [Int] {
        guard names.isEmpty else {
            return try named(names, in: blocks)
        }
        for name in machineNames {
            if let index = index(of: name, in: blocks) { return [index] }
        }
        for family in familyNames {
            let members = members(of: family, in: blocks)
            if !members.isEmpty { return members }
        }
        let others = blocks.indices.filter { !isDevice(plain(blocks[$0].name)) }
        guard let only = others.first, others.count == 1 else {
            throw ImageError(
                "cannot tell which of the blocks \(list(blocks)) are the machine's RAM",
                hint: "name them in order with --ram NAME,NAME..."
            )
        }
        return [only]
    }

    /// Index of the block with this name, with or without its prefix.
    static func index(of name: String, in blocks: [StreamBlock]) -> Int? {
        blocks.firstIndex { $0.name == name }
            ?? blocks.firstIndex { plain($0.name) == plain(name) }
    }

    /// What to say of a block that isn't there.
    static func noBlock(_ name: String, in blocks: [StreamBlock]) -> ImageError {
        ImageError(
            "there is no block '\(name)'",
            hint: "there \(blocks.count == 1 ? "is only" : "are") \(list(blocks))"
        )
    }

    /// Names of blocks, for messages.
    static func list(_ blocks: [StreamBlock]) -> String {
        blocks.isEmpty
            ? "(none)" : blocks.map { "'\($0.name)'" }.joined(separator: ", ")
    }

    private static func named(
        _ names: [String],
        in blocks: [StreamBlock]
    ) throws(ImageError) -> [Int] {
        var found: [Int] = []
        for name in names {
            guard let index = index(of: name, in: blocks) else {
                throw noBlock(name, in: blocks)
            }
            guard !found.contains(index) else {
                throw ImageError("the block '\(name)' is named twice")
            }
            found.append(index)
        }
        return found
    }

    /// The blocks `family`0, `family`1 and so on, up to the first gap.
    private static func members(of family: String, in blocks: [StreamBlock]) -> [Int] {
        var members: [Int] = []
        while let next = blocks.firstIndex(where: { plain($0.name) == "\(family)\(members.count)" })
        {
            members.append(next)
        }
        return members
    }

    private static func plain(_ name: String) -> String {
        let prefix = "/objects/"
        return name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name
    }

    /// Whether this is how QEMU calls firmware, or memory of a device: a path, or one of few endings.
    private static func isDevice(_ name: String) -> Bool {
        name.contains("/")
            || [".rom", ".bios", ".vram", ".flash0", ".flash1"].contains { name.hasSuffix($0) }
    }
}
