public import BerthQAPI

/// A machine type: for an endpoint, a name that both ends must agree on, and what the guest's RAM
/// is called.
public struct MachineType: Sendable, Equatable {
    /// The name that goes into a stream's configuration section, never an alias.
    public let name: String
    /// A shorter name that means this one.
    public var alias: String?
    /// One line for people.
    public let summary: String
    /// The architecture of the guest's processors, as in `qemu-system-ARCHITECTURE`.
    public var architecture = "x86_64"
    /// Name of the block that the RAM makes if no backend is named.
    public let ramBlockName: String
    /// Bytes of RAM if `-m` doesn't say; 0 for none.
    public var defaultRAMByteCount: UInt64 = 128 << 20
    /// Most processors that it may have.
    public let cpuLimit: Int64
    /// Whether `-numa` has a meaning.
    public var hasNUMA = true
    /// Whether it has ACPI.
    public var hasACPI = true
    /// The QEMU that the machine imitates; nil for one without versions.
    public var release: QEMURelease?
    let family: Family

    /// Machine types that have their properties in common.
    enum Family: Sendable {
        case none, pc, microvm, virt
    }

    /// Whether QEMU is about to drop it.
    public var isDeprecated: Bool { isBefore(QEMURelease(7, 1)) }

    /// Whether it imitates a QEMU before this release.
    public func isBefore(_ release: QEMURelease) -> Bool {
        self.release.map { $0 < release } ?? false
    }

    /// The machine as `query-machines` lists it.
    public var info: MachineInfo {
        MachineInfo(
            name: name,
            alias: alias,
            isDefault: name == MachineCatalog.defaultName ? true : nil,
            cpuMax: cpuLimit,
            // Processors don't come and go where there are none.
            hotpluggableCpus: false,
            numaMemSupported: hasNUMA && isBefore(QEMURelease(5, 1)),
            deprecated: isDeprecated,
            defaultRAMID: ramBlockName,
            acpi: hasACPI
        )
    }
}

/// A release of QEMU, as machine types name it.
public struct QEMURelease: Sendable, Equatable, Comparable {
    /// The first number.
    public let major: Int
    /// The second number.
    public let minor: Int

    /// Names a release.
    public init(_ major: Int, _ minor: Int) {
        self.major = major
        self.minor = minor
    }

    /// Orders releases by age.
    public static func < (left: QEMURelease, right: QEMURelease) -> Bool {
        (left.major, left.minor) < (right.major, right.minor)
    }
}
