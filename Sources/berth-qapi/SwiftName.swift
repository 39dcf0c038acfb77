/// How names of the schema are spelled in Swift.
enum SwiftName {
    /// Words that are written in capitals, unless a name in lower case begins with them.
    private static let acronyms: Set<String> = [
        "ram", "uuid", "id", "qmp", "kvm", "fd", "uri", "tls", "cpu", "io", "qom", "rdma",
        "vfio", "xbzrle", "colo", "oob", "nmi", "ui", "acpi", "numa",
    ]

    /// Words that Swift keeps for itself.
    private static let reserved: Set<String> = ["default", "init", "self", "internal", "in"]

    /// A member, argument, case or enumeration value: `max-bandwidth` becomes `maxBandwidth`.
    static func member(_ name: String) -> String {
        let words = words(name)
        let text = words[0] + words.dropFirst().map(capitalized).joined()
        return reserved.contains(text) ? "`\(text)`" : text
    }

    /// A type made for a command: `add-fd` becomes `AddFD`.
    static func type(_ name: String) -> String {
        words(name).map(capitalized).joined()
    }

    private static func words(_ name: String) -> [String] {
        let isAllCapitals = !name.contains { $0.isLowercase }
        return name.split { $0 == "-" || $0 == "_" }.map { word in
            isAllCapitals ? word.lowercased() : String(word)
        }
    }

    private static func capitalized(_ word: String) -> String {
        acronyms.contains(word)
            ? word.uppercased()
            : (word.first.map { String($0).uppercased() } ?? "") + word.dropFirst()
    }
}
