import BerthSystem
import Glibc

extension DirtyTrackingError {
    /// Why the kernel can't track writes to `mapping`.
    init(kernelTracking error: SystemCallError, of mapping: MemoryMapping) {
        self.init(
            "cannot have the kernel track writes",
            error,
            mapping,
            release: "6.7",
            instead: "or use x-dirty-tracking=software"
        )
    }

    /// Why writes to `mapping` can't be held back.
    init(snapshot error: SystemCallError, of mapping: MemoryMapping?) {
        self.init(
            "cannot hold back writes",
            error,
            mapping,
            release: "6.7",
            instead: "or save without background-snapshot"
        )
    }

    /// Why writes to memory that lies on an image can't be held back: the kernel only does that where
    /// it knows all pages.
    init(snapshotOf overlay: MemoryMapping.Overlay) {
        self.init(
            "cannot hold back writes: the memory lies on the image '\(overlay.name)'",
            hint: "save without background-snapshot, or load the guest with "
                + "x-mapped-ram-restore=copy"
        )
    }

    private init(
        _ attempt: String,
        _ error: SystemCallError,
        _ mapping: MemoryMapping?,
        release: String,
        instead: String
    ) {
        switch (error.call, error) {
        case ("userfaultfd", _) where error.has(ENOSYS):
            self.init(
                "\(attempt): this kernel has no userfaultfd",
                hint: "use a kernel with CONFIG_USERFAULTFD, \(instead)"
            )
        case ("userfaultfd", _) where error.has(EPERM) || error.has(EACCES):
            self.init(
                "\(attempt): userfaultfd is forbidden: \(error.reason)",
                hint: "allow userfaultfd(2) in the seccomp filter of the container or service "
                    + "that this process runs in, \(instead)"
            )
        case ("userfaultfd", _) where error.has(EBUSY):
            self.init(
                "\(attempt): this memory is being tracked or held back already",
                hint: "wait until the other migration or measurement has ended"
            )
        case ("userfaultfd", _) where error.has(EINVAL) && error.operand == "register memory":
            self.init(
                "\(attempt): the kernel can't write-protect \(mapping?.kindForMessages ?? "this memory")",
                hint: "use anonymous memory (memory-backend-ram), a memfd, hugetlb memory or a "
                    + "file on tmpfs, \(instead)"
            )
        case ("userfaultfd", _) where error.has(EINVAL),
            ("scan", _) where error.has(ENOTTY) || error.has(EINVAL):
            self.init(
                "\(attempt): this kernel is too old",
                hint: "use Linux \(release) or newer, \(instead)"
            )
        case ("open", _):
            self.init(
                "\(attempt): \(error)",
                hint: "start this process as the user it shall run as, rather than have it change "
                    + "its user, \(instead)"
            )
        default:
            self.init("\(attempt): \(error)", hint: nil)
        }
    }
}

extension SystemCallError {
    /// Whether the call left this error number.
    func has(_ code: CInt) -> Bool {
        self
            == SystemCallError(
                call: call,
                operand: operand,
                errno: SystemCall.failure("", "", code).errno
            )
    }
}

extension MemoryMapping {
    /// What the memory is, for messages.
    fileprivate var kindForMessages: String {
        if let path { return "a mapping of the file '\(path)'" }
        if isHugetlb { return "hugetlb memory" }
        return descriptor == nil ? "anonymous memory" : "a memfd"
    }
}
