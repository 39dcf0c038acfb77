/// The machine types that an endpoint can pass for.
///
/// Names and limits are those of QEMU 10.0.
public enum MachineCatalog {
    /// What counts if no machine is named.
    static let defaultName = "pc-i440fx-10.0"

    /// The machine of this name or alias.
    ///
    /// - Parameters:
    ///   - name: empty for the default machine.
    ///   - architecture: of the guest's processors; nil for any.
    public static func machine(named name: String, architecture: String?) -> MachineType? {
        let name = name.isEmpty ? defaultName : name
        return machines(for: architecture).first { $0.name == name || $0.alias == name }
    }

    /// All machines for guests of this architecture, in the order of `-machine help`; nil for all
    /// there are.
    public static func machines(for architecture: String?) -> [MachineType] {
        guard let architecture else { return all }
        return all.filter { $0.architecture == architecture || $0.family == .none }
    }

    /// All architectures that a machine is for.
    static let architectures = ["x86_64", "aarch64"]

    private static let releases =
        (4...12).map { QEMURelease(2, $0) } + [QEMURelease(3, 0), QEMURelease(3, 1)]
        + (4...9).flatMap { major in (0...2).map { QEMURelease(major, $0) } }
        + [QEMURelease(10, 0)]

    private static let all: [MachineType] = {
        let pc = "Standard PC (i440FX + PIIX, 1996)"
        let q35 = "Standard PC (Q35 + ICH9, 2009)"
        var all = [
            MachineType(
                name: "microvm",
                summary: "microvm (i386)",
                ramBlockName: "microvm.ram",
                cpuLimit: 288,
                family: .microvm
            )
        ]
        all += releases.reversed().map { versioned("pc-i440fx-", $0, "pc", pc, cpuLimit: 255) }
        for release in releases.reversed() {
            all.append(versioned("pc-q35-", release, "q35", q35, cpuLimit: limit(q35: release)))
            if release == QEMURelease(4, 0) {
                // One between two releases, made to put a default of 4.0 right.
                all.append(
                    MachineType(
                        name: "pc-q35-4.0.1",
                        summary: q35,
                        ramBlockName: "pc.ram",
                        cpuLimit: 288,
                        release: release,
                        family: .pc
                    )
                )
            }
        }
        all.append(
            MachineType(
                name: "isapc",
                summary: "ISA-only PC",
                ramBlockName: "pc.ram",
                cpuLimit: 1,
                family: .pc
            )
        )
        all += releases.reversed().map(virt)
        all.append(
            MachineType(
                name: "none",
                summary: "empty machine",
                ramBlockName: "ram",
                defaultRAMByteCount: 0,
                cpuLimit: 1,
                hasNUMA: false,
                hasACPI: false,
                family: .none
            )
        )
        return all
    }()

    private static func versioned(
        _ prefix: String,
        _ release: QEMURelease,
        _ alias: String,
        _ summary: String,
        cpuLimit: Int64
    ) -> MachineType {
        MachineType(
            name: "\(prefix)\(release.major).\(release.minor)",
            alias: release == releases.last ? alias : nil,
            summary: summary,
            ramBlockName: "pc.ram",
            cpuLimit: cpuLimit,
            release: release,
            family: .pc
        )
    }

    private static func virt(_ release: QEMURelease) -> MachineType {
        let version = "\(release.major).\(release.minor)"
        return MachineType(
            name: "virt-\(version)",
            alias: release == releases.last ? "virt" : nil,
            summary: "QEMU \(version) ARM Virtual Machine",
            architecture: "aarch64",
            ramBlockName: "mach-virt.ram",
            cpuLimit: 512,
            release: release,
            family: .virt
        )
    }

    /// Most processors of a Q35, which grew over time.
    private static func limit(q35 release: QEMURelease) -> Int64 {
        if release < QEMURelease(2, 8) { return 255 }
        if release < QEMURelease(8, 1) { return 288 }
        return release < QEMURelease(9, 0) ? 1024 : 4096
    }
}
