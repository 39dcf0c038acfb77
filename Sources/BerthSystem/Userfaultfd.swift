internal import CBerthLinux
internal import Glibc

/// Write protection of memory by page, told about by the kernel.
///
/// Based on userfaultfd(2), opened so that it needs no privilege: only faults in user mode are
/// served, and a write by the kernel (read(2) into protected memory) fails with `EFAULT`.
public final class Userfaultfd: Sendable {
    /// What happens when a protected page is written.
    public enum Mode: Sendable {
        /// The writer waits until the page is released; `readFaults` tells where.
        case synchronous
        /// The kernel lifts the protection by itself; `PageMap` finds those pages. Linux 6.7.
        case asynchronous
    }

    private let descriptor: OwnedDescriptor

    /// Opens one, and checks that the kernel can do what `mode` needs.
    ///
    /// - Throws: `SystemCallError` for `userfaultfd` (`EPERM` and `ENOSYS` where it is forbidden or
    ///   missing) or for `ioctl` (`EINVAL` where the kernel is too old).
    public init(_ mode: Mode) throws(SystemCallError) {
        let raw = try SystemCall.check("userfaultfd", "") { berth_userfault_open() }
        descriptor = OwnedDescriptor(raw)
        var features =
            berth_UFFD_FEATURE_PAGEFAULT_FLAG_WP | berth_UFFD_FEATURE_WP_HUGETLBFS_SHMEM
        if mode == .asynchronous { features |= berth_UFFD_FEATURE_WP_ASYNC }
        var available: UInt64 = 0
        try SystemCall.check("userfaultfd", "write protection") {
            unsafe berth_userfault_enable(raw, features, &available)
        }
    }

    /// The descriptor: readable while a fault waits.
    public var raw: CInt { descriptor.raw }

    /// Registers memory; nothing is protected yet.
    ///
    /// - Parameter memory: whole host pages.
    /// - Throws: `SystemCallError` with `EINVAL` for memory that can't be protected, `EBUSY` for
    ///   memory that another userfaultfd has.
    public func register(_ memory: UnsafeRawBufferPointer) throws(SystemCallError) {
        try SystemCall.check("userfaultfd", "register memory") {
            unsafe berth_userfault_register(raw, memory.address, memory.count)
        }
    }

    /// Forgets memory: all protection is lifted, all who wait go on.
    public func unregister(_ memory: UnsafeRawBufferPointer) {
        // Fails only for memory that isn't registered.
        _ = unsafe berth_userfault_unregister(raw, memory.address, memory.count)
    }

    /// Protects pages that are there.
    ///
    /// Anonymous memory that was never touched stays unprotected.
    /// - Throws: `SystemCallError` for `ioctl`.
    public func protect(_ memory: UnsafeRawBufferPointer) throws(SystemCallError) {
        unsafe try change(memory, protects: true)
    }

    /// Lifts the protection; those who wait for these pages go on.
    /// - Throws: `SystemCallError` for `ioctl`.
    public func release(_ memory: UnsafeRawBufferPointer) throws(SystemCallError) {
        unsafe try change(memory, protects: false)
    }

    private func change(
        _ memory: UnsafeRawBufferPointer,
        protects: Bool
    ) throws(SystemCallError) {
        while true {
            let (value, code) = SystemCall.uninterrupted {
                unsafe berth_userfault_protect(raw, memory.address, memory.count, protects ? 1 : 0)
            }
            if value == 0 { return }
            // The address space is changing under the call; the kernel asks to try again.
            guard code == EAGAIN else {
                throw SystemCall.failure("userfaultfd", "write-protect memory", code)
            }
        }
    }

    /// Takes addresses of faults that wait, without blocking.
    ///
    /// - Returns: how many there were; 0 if there is none.
    public func readFaults(into addresses: inout [UInt]) -> Int {
        let (count, _) = unsafe addresses.withUnsafeMutableBufferPointer { buffer in
            SystemCall.uninterrupted {
                unsafe berth_userfault_read(raw, buffer.baseAddress, buffer.count)
            }
        }
        return max(0, count)
    }
}

extension UnsafeRawBufferPointer {
    /// The address of the first byte as the kernel takes it.
    fileprivate var address: UInt { UInt(bitPattern: baseAddress) }
}
