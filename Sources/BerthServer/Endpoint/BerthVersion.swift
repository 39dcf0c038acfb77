public import BerthQAPI

/// Berth's own version, and the version of QEMU that its monitor speaks.
public enum BerthVersion {
    /// Berth's version.
    public static let current = "0.1.0"

    /// Version and package in one text, as the human monitor shows them.
    static let shown = "\(info.qemu.major).\(info.qemu.minor).\(info.qemu.micro)"

    /// What `query-version`, the greeting and `info version` tell: QEMU 10.0.2 is what Berth was
    /// compared with.
    public static let info = VersionInfo(
        qemu: VersionTriple(micro: 2, minor: 0, major: 10),
        package: "berth-\(current)"
    )
}
