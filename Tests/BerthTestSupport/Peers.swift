import Glibc
public import Testing

/// The programs on the other side of the interop tests, as `.ci/setup-peers.sh` found them.
///
/// `make test` passes their places in environment variables. A plain `swift test` has none of them and
/// finds at least what lies in PATH and in the build folder.
public enum Peers {
    /// QEMU 10.0 or later.
    public static let qemu = program("BERTH_QEMU") ?? searchPath(for: "qemu-system-x86_64")

    /// QEMU 7.2, whose streams are those of Debian 12.
    public static let oldQEMU = program("BERTH_QEMU_OLD")

    /// The firmware assembled from `Tests/guest/counter.S`.
    public static let guest = program("BERTH_GUEST")

    /// libvirt's daemon, 11.3 or later, on a machine where a test can start its own.
    public static let libvirtd = program("BERTH_LIBVIRTD")

    /// libvirt's client.
    public static let virsh = program("BERTH_VIRSH")

    /// A browser that runs without a display: chromium.
    public static let browser = program("BERTH_BROWSER") ?? searchPath(for: "chromium")

    /// Berth itself: the release binary that `make` names, or the one beside this test's own program.
    public static let berth = program("BERTH_BINARY") ?? besideThisProgram("berth")

    /// The program or file that an environment variable names, if it exists.
    private static func program(_ variable: String) -> String? {
        guard let path = environment(variable), access(path, R_OK) == 0 else { return nil }
        return path
    }

    private static func searchPath(for name: String) -> String? {
        (environment("PATH") ?? "").split(separator: ":").map { "\($0)/\(name)" }
            .first { access($0, X_OK) == 0 }
    }

    private static func besideThisProgram(_ name: String) -> String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        guard count > 0 else { return nil }
        let own = String(decoding: buffer.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
        guard let slash = own.lastIndex(of: "/") else { return nil }
        let path = own[...slash] + name
        return access(String(path), X_OK) == 0 ? String(path) : nil
    }

    /// The value of an environment variable, or `nil` where it is unset or empty.
    public static func environment(_ name: String) -> String? {
        guard let value = getenv(name), value.pointee != 0 else { return nil }
        return String(cString: value)
    }
}

extension Trait where Self == ConditionTrait {
    /// The test talks to QEMU 10.0 or later.
    public static var requiresQEMU10: Self {
        requires(
            Peers.qemu,
            variable: "BERTH_QEMU",
            otherwise: "needs QEMU 10.0 or later in BERTH_QEMU; 'make test' says how to get it"
        )
    }

    /// The test talks to QEMU 7.2.
    public static var requiresQEMU72: Self {
        requires(
            Peers.oldQEMU,
            variable: "BERTH_QEMU_OLD",
            otherwise: "needs QEMU 7.2 in BERTH_QEMU_OLD; 'make test' unpacks Debian 12's"
        )
    }

    /// The test runs the guest that counts.
    public static var requiresGuest: Self {
        requires(
            Peers.guest,
            variable: "BERTH_GUEST",
            otherwise: "needs the guest in BERTH_GUEST; 'make test' assembles it with binutils"
        )
    }

    /// The test starts a libvirtd.
    public static var requiresLibvirt: Self {
        requires(
            Peers.virsh == nil ? nil : Peers.libvirtd,
            variable: "BERTH_LIBVIRTD",
            otherwise:
                "needs libvirt 11.3 in BERTH_LIBVIRTD and BERTH_VIRSH; 'make test' says how to get it"
        )
    }

    /// The test opens a page in a browser.
    public static var requiresBrowser: Self {
        requires(
            Peers.browser,
            variable: "BERTH_BROWSER",
            otherwise: "needs chromium in BERTH_BROWSER; 'make test' says how to get it"
        )
    }

    /// The test starts Berth as a process.
    public static var requiresBerth: Self {
        requires(
            Peers.berth,
            variable: "BERTH_BINARY",
            otherwise: "needs the program berth in BERTH_BINARY; 'make test' builds it"
        )
    }

    private static func requires(
        _ peer: String?,
        variable: String,
        otherwise reason: String
    ) -> Self {
        // The set-up script knows better than we why something is missing on this machine.
        let why = Peers.environment(variable + "_WHY") ?? reason
        return .enabled(if: peer != nil, Comment(rawValue: why))
    }
}
