import BerthTestSupport
import Testing

extension Interop {
    /// What Berth says of its interface beside what QEMU says of its own.
    @Suite struct SchemaShapes {
        /// What Berth has and QEMU 10.0 hasn't: the former names of two capabilities, and objects
        /// that write guest memory.
        private static let ours = [
            "migrate-set-capabilities/arg-type/capabilities[]/capability: value 'fixed-ram'",
            "migrate-set-capabilities/arg-type/capabilities[]/capability: value 'track-writes-ram'",
            "object-add/arg-type/qom-type: value 'external-writer'",
            "object-add/arg-type/qom-type: value 'guest-workload'",
            "object-add/arg-type: variant 'external-writer'",
            "object-add/arg-type: variant 'guest-workload'",
        ]

        @Test(.requiresQEMU10, .requiresBerth, .timeLimit(.minutes(1)))
        func `commands, events and types have the shape of QEMU's`() throws {
            let directory = try PeersDirectory()
            let qemu = try PeersMachine(.qemu, PeerGuest(.none), in: directory)
            let berth = try PeersMachine(.berth, PeerGuest(.none), in: directory)
            var comparison = try SchemaComparison(
                ours: try berth.monitor.execute("query-qmp-schema"),
                reference: try qemu.monitor.execute("query-qmp-schema")
            )
            let differences = try comparison.differences().filter { !Self.ours.contains($0) }
            #expect(differences == [], "\(differences)")
            #expect(comparison.comparedCount > 100)
        }
    }
}

/// Compares two replies to `query-qmp-schema` where they speak of the same things.
///
/// The first may lack what the second has, but must not have more, other types or other features;
/// what begins with `x-` (an event: `X_`) is its own business.
struct SchemaComparison {
    private let ours: [String: PeersJSON]
    private let reference: [String: PeersJSON]
    private var compared: Set<[String]> = []
    private var found: [String] = []

    /// How many pairs of types, commands and events were compared.
    var comparedCount: Int { compared.count }

    init(ours: PeersJSON, reference: PeersJSON) throws {
        self.ours = try Self.index(ours)
        self.reference = try Self.index(reference)
    }

    private static func index(_ schema: PeersJSON) throws -> [String: PeersJSON] {
        guard case .array(let entries) = schema else {
            throw PeerFailure("query-qmp-schema answers with \(schema)")
        }
        return try Dictionary(
            entries.map { ($0["name"]?.string ?? "", $0) },
            uniquingKeysWith: { entry, _ in
                throw PeerFailure("two entries are called \(entry["name"] ?? "nothing")")
            }
        )
    }

    /// Where they differ, sorted.
    mutating func differences() throws -> [String] {
        // In order, so that a type that several lead to is always met on the same path.
        for (name, entry) in ours.sorted(by: { $0.key < $1.key }) {
            let kind = entry["meta-type"]?.string
            let isOwn = name.hasPrefix("x-") || name.hasPrefix("X_")
            guard kind == "command" || kind == "event", !isOwn else { continue }
            guard reference[name] != nil else {
                found.append("\(name): there is no such \(kind ?? "thing")")
                continue
            }
            try compare(name, name, name)
        }
        return found.sorted()
    }

    private mutating func compare(_ own: String, _ other: String, _ path: String) throws {
        guard compared.insert([own, other]).inserted else { return }
        guard let entry = ours[own], let model = reference[other] else {
            throw PeerFailure("\(path): type '\(own)' or '\(other)' is missing")
        }
        for key in ["meta-type", "json-type", "allow-oob", "tag"] where entry[key] != model[key] {
            found.append("\(path): \(key)")
        }
        compareFeatures(entry, model, path)
        for key in ["arg-type", "ret-type"] {
            guard let type = entry[key]?.string, let type2 = model[key]?.string else { continue }
            try compare(type, type2, "\(path)/\(key)")
        }
        if let type = entry["element-type"]?.string, let type2 = model["element-type"]?.string {
            try compare(type, type2, path + "[]")
        }
        switch entry["meta-type"]?.string {
        case "object": try compareObjects(entry, model, path)
        case "enum": compareEnums(entry, model, path)
        case "alternate": try compareAlternates(entry, model, path)
        default: break
        }
    }

    /// Features may be missing here: they promise something.
    private mutating func compareFeatures(_ entry: PeersJSON, _ model: PeersJSON, _ path: String) {
        for feature in Self.list(entry["features"])
        where !Self.list(model["features"]).contains(feature) {
            found.append("\(path): feature \(feature)")
        }
        for feature in ["deprecated", "unstable"] as [PeersJSON]
        where Self.list(model["features"]).contains(feature)
            && !Self.list(entry["features"]).contains(feature)
        {
            found.append("\(path): lacks feature \(feature)")
        }
    }

    private mutating func compareObjects(
        _ entry: PeersJSON,
        _ model: PeersJSON,
        _ path: String
    ) throws {
        for member in Self.list(entry["members"]) {
            guard let name = member["name"]?.string, !name.hasPrefix("x-") else { continue }
            guard
                let twin = Self.list(model["members"]).first(where: { $0["name"] == member["name"] }
                )
            else {
                found.append("\(path): member '\(name)'")
                continue
            }
            if member["default"] != twin["default"] { found.append("\(path)/\(name): optional") }
            compareFeatures(member, twin, "\(path)/\(name)")
            guard let type = member["type"]?.string, let type2 = twin["type"]?.string else {
                continue
            }
            try compare(type, type2, "\(path)/\(name)")
        }
        // What must be given there must be given here.
        for twin in Self.list(model["members"]) where twin["default"] == nil {
            guard Self.list(entry["members"]).contains(where: { $0["name"] == twin["name"] }) else {
                found.append("\(path): lacks \(twin["name"]?.string ?? "")")
                continue
            }
        }
        for variant in Self.list(entry["variants"]) {
            let twin = Self.list(model["variants"]).first { $0["case"] == variant["case"] }
            guard let type = variant["type"]?.string, let type2 = twin?["type"]?.string else {
                found.append("\(path): variant '\(variant["case"]?.string ?? "")'")
                continue
            }
            try compare(type, type2, "\(path)/+\(variant["case"]?.string ?? "")")
        }
    }

    private mutating func compareEnums(_ entry: PeersJSON, _ model: PeersJSON, _ path: String) {
        let models = Self.list(model["members"])
        for value in Self.list(entry["members"]) {
            guard let twin = models.first(where: { $0["name"] == value["name"] }) else {
                found.append("\(path): value '\(value["name"]?.string ?? "")'")
                continue
            }
            compareFeatures(value, twin, "\(path)/\(value["name"]?.string ?? "")")
        }
        let shared = Self.list(entry["values"]).filter(Self.list(model["values"]).contains)
        if shared != Self.list(model["values"]).filter(shared.contains) {
            found.append("\(path): order of values")
        }
    }

    private mutating func compareAlternates(
        _ entry: PeersJSON,
        _ model: PeersJSON,
        _ path: String
    ) throws {
        let branches = Self.list(entry["members"])
        let models = Self.list(model["members"])
        guard branches.count == models.count else {
            found.append("\(path): number of branches")
            return
        }
        for (branch, twin) in zip(branches, models) {
            guard let type = branch["type"]?.string, let type2 = twin["type"]?.string else {
                continue
            }
            try compare(type, type2, path + "|")
        }
    }

    private static func list(_ value: PeersJSON?) -> [PeersJSON] {
        if case .array(let elements)? = value { elements } else { [] }
    }
}
