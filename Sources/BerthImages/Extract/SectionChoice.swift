import BerthStream
import BerthWire

/// The device section that a user means.
struct SectionChoice {
    /// The bodies of its parts, in order.
    let bytes: [UInt8]

    /// Finds a section.
    ///
    /// - Parameter wanted: a name, or a name and `/INSTANCE`; names have slashes, too.
    /// - Throws: `ImageError` if none is meant, or several.
    init(_ wanted: String, in state: DeviceState) throws(ImageError) {
        let identities = Self.identities(in: state)
        var found = identities.filter { $0.name == wanted }
        if found.isEmpty, let slash = wanted.lastIndex(of: "/"),
            let instance = UInt32(wanted[wanted.index(after: slash)...])
        {
            found = identities.filter { $0.name == wanted[..<slash] && $0.instance == instance }
        }
        guard let identity = found.first else {
            throw ImageError(
                "there is no device section '\(wanted)'",
                hint: "'berth inspect' lists them"
            )
        }
        guard found.count == 1 else {
            let instances = found.prefix(16).map { "\(wanted)/\($0.instance)" }.joined(
                separator: ", "
            )
            throw ImageError(
                "\(found.count) device sections are called '\(wanted)'",
                hint: "say which: \(instances)"
            )
        }
        var bytes: [UInt8] = []
        for run in [state.early, state.final] {
            for section in run.sections where Identity(section) == identity {
                bytes += run.bytes[section.body]
            }
        }
        self.bytes = bytes
    }

    /// Every section's name and instance, once.
    private static func identities(in state: DeviceState) -> [Identity] {
        var seen: Set<Identity> = []
        var identities: [Identity] = []
        for run in [state.early, state.final] {
            for section in run.sections {
                let identity = Identity(section)
                if seen.insert(identity).inserted {
                    identities.append(identity)
                }
            }
        }
        return identities
    }
}

/// What tells a section from others.
private struct Identity: Hashable {
    var name: String
    var instance: UInt32

    init(_ section: DeviceSection) {
        name = section.identity.name
        instance = section.identity.instance
    }
}
