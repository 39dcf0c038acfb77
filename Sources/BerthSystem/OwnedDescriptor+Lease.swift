internal import CBerthLinux

extension OwnedDescriptor {
    /// Checks that nobody else has the file open, by a write lease that is given back at once.
    ///
    /// Duplicates of this descriptor, here or in another process, and mappings made with it are the
    /// same open file. Based on `F_SETLEASE` of fcntl(2).
    ///
    /// - Throws: `SystemCallError` for `lease`: `EAGAIN` if the file is open elsewhere, `EACCES` for
    ///   a file of another user, `EINVAL` where there are no leases.
    public func probeLease() throws(SystemCallError) {
        try SystemCall.check("lease", "fd \(raw)") { berth_probe_lease(raw) }
    }
}
