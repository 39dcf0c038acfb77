import BerthJSON
import BerthQAPI

extension CommandLineReader {
    /// Types of objects that an endpoint takes notice of and doesn't make: they belong to devices,
    /// or to what isn't built.
    private static let otherTypes: Set<String> = [
        "authz-list", "authz-listfile", "authz-pam", "authz-simple", "can-bus",
        "can-host-socketcan", "colo-compare", "cryptodev-backend", "cryptodev-backend-builtin",
        "cryptodev-backend-lkcf", "cryptodev-vhost-user", "dbus-vmstate", "filter-buffer",
        "filter-dump", "filter-mirror", "filter-redirector", "filter-replay", "filter-rewriter",
        "input-linux", "iommufd", "iothread", "main-loop", "pr-manager-helper", "qtest",
        "rng-builtin", "rng-egd", "rng-random", "secret", "secret_keyring", "thread-context",
        "throttle-group", "tls-cipher-suites", "tls-creds-anon", "tls-creds-psk", "tls-creds-x509",
    ]

    /// Types that are a matter of memory, so that dropping them would change the guest.
    private static let refusedTypes: Set<String> = ["memory-backend-shm", "memory-backend-epc"]

    /// Takes `-object`.
    mutating func takeObject(_ option: GivenOption) throws(CommandLineError) {
        let object: JSONObject
        let spelling: ArgumentSpelling
        if option.value.hasPrefix("{") {
            object = try jsonObject(option.value)
            spelling = .json
        } else {
            let options = try options(option, .object)
            if let id = options.id, !draft.objectIDs.insert(id).inserted {
                throw CommandLineError("Duplicate ID '\(id)' for object")
            }
            object = options.object
            spelling = .options
        }
        if case .string(let type)? = object["qom-type"], ObjectType(name: type) == nil {
            if Self.refusedTypes.contains(type) {
                throw CommandLineError("'\(type)' is not built into this version of Berth")
            }
            if Self.otherTypes.contains(type) {
                guard case .string(let id)? = object["id"] else {
                    throw CommandLineError("Parameter 'id' is missing")
                }
                draft.otherObjects.append(OtherObject(type: type, id: id))
                return
            }
        }
        let checked = try schemaChecked { () throws(QMPError) in
            try ObjectOptions(checking: object, spelling: spelling)
        }
        draft.objects.append((checked, option.location))
    }

    /// Reads the JSON form of an option.
    func jsonObject(_ text: String) throws(CommandLineError) -> JSONObject {
        do {
            if case .object(let object) = try parseQMPText(text) { return object }
        } catch {
            throw CommandLineError(error.description)
        }
        throw CommandLineError("JSON parse error, expecting value")
    }

    /// The objects that are to be made, checked as far as that is possible before.
    func finishObjects() throws(CommandLineError) -> [ObjectOptions] {
        var ids: Set<String> = []
        for other in draft.otherObjects {
            guard Endpoint.isIdentifier(other.id) else { throw Self.badIdentifier }
            guard ids.insert(other.id).inserted else { throw Self.duplicate(other.id) }
        }
        for (options, _) in draft.objects {
            guard Endpoint.isIdentifier(options.id) else { throw Self.badIdentifier }
            guard ids.insert(options.id).inserted else { throw Self.duplicate(options.id) }
            guard let base = options.variant.backend else { continue }
            let type = options.variant.tag.rawValue
            if base.size == 0 { throw Self.badValue("size", "0", type) }
            if base.preallocThreads == 0 { throw Self.badValue("prealloc-threads", "0", type) }
        }
        return draft.objects.map(\.options)
    }

    private static let badIdentifier = CommandLineError(
        "Parameter 'id' expects an identifier",
        hints: QemuOptions.identifierHints
    )

    private static func duplicate(_ id: String) -> CommandLineError {
        CommandLineError("attempt to add duplicate property '\(id)' to object (type 'container')")
    }

    private static func badValue(
        _ property: String,
        _ value: String,
        _ type: String
    ) -> CommandLineError {
        CommandLineError("property '\(property)' of \(type) doesn't take value '\(value)'")
    }
}

extension ObjectOptions.Variant {
    /// What all memory backends have; nil for other objects.
    var backend: MemoryBackendProperties? {
        switch self {
        case .memoryBackendFile(let file): file.base
        case .memoryBackendMemfd(let memfd): memfd.base
        case .memoryBackendRAM(let properties): properties
        case .guestWorkload, .externalWriter: nil
        }
    }
}
