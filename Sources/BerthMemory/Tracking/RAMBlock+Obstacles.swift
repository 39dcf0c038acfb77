import BerthSystem
import Glibc

extension RAMBlock {
    /// Why the kernel can't find writes to the block; nil if it can.
    ///
    /// Found by trying, which leaves nothing behind.
    public var obstacleToKernelTracking: DirtyTrackingError? {
        // Trying would find that it is in use: by itself.
        if tracking.isActive, tracking.mechanisms.contains(.kernel) { return nil }
        do {
            try KernelDirtySource(mapping).probe()
            return nil
        } catch {
            return error
        }
    }

    /// Why writers to the block can't be held back for a background snapshot; nil if they can.
    ///
    /// Found by trying, which leaves nothing behind.
    public var obstacleToSnapshot: DirtyTrackingError? {
        if let overlay = mapping.overlay { return DirtyTrackingError(snapshotOf: overlay) }
        do {
            try Userfaultfd(.synchronous).probe(mapping)
            try PageMap().scan(.populated, in: mapping, bytes: mapping.probeRange) { _ in }
            return nil
        } catch {
            return DirtyTrackingError(snapshot: error, of: mapping)
        }
    }

    /// Why writes to shared memory may come from where nobody can see them; nil for private memory
    /// and for shared memory that nobody else has open.
    ///
    /// A process that was given the block's own descriptor isn't found: who gives it away has to
    /// know how to track that process. The kernel tells who else has the file open by granting a
    /// lease, or not; it is given back at once.
    public var untrackedWriterObstacle: DirtyTrackingError? {
        guard let raw = shareableDescriptor?.raw else { return nil }
        let name = mapping.path.map { "the file '\($0)'" } ?? "its memfd"
        do {
            if mapping.path == nil {
                // The memfd's own open file doesn't count for the kernel, one through /proc does.
                try OwnedDescriptor.open("/proc/self/fd/\(raw)", O_RDWR).probeLease()
            } else {
                try OwnedDescriptor.duplicate(of: raw).probeLease()
            }
            return nil
        } catch {
            if error.has(EAGAIN) {
                return DirtyTrackingError(
                    "another process may write this memory unseen: \(name) is open elsewhere",
                    hint: "stop the guest and its writers, then migrate; or have that process "
                        + "connect to an external-writer object"
                )
            }
            return DirtyTrackingError(
                "cannot tell whether another process writes this memory: no lease on \(name): "
                    + error.reason,
                hint: "stop the guest and its writers, then migrate; or use a file that this "
                    + "user owns, on a file system with leases"
            )
        }
    }
}

extension KernelDirtySource {
    /// Checks that `start` would work.
    func probe() throws(DirtyTrackingError) {
        do {
            let userfaultfd = try Userfaultfd(.asynchronous)
            let pageMap = try PageMap()
            try userfaultfd.probe(mapping)
            try pageMap.scan(.populated, in: mapping, bytes: mapping.probeRange) { _ in }
        } catch {
            throw DirtyTrackingError(kernelTracking: error, of: mapping)
        }
    }
}

extension Userfaultfd {
    /// Checks that memory like `mapping` can be registered.
    fileprivate func probe(_ mapping: MemoryMapping) throws(SystemCallError) {
        let part = unsafe UnsafeRawBufferPointer(rebasing: mapping.pages[mapping.probeRange])
        try unsafe register(part)
        unsafe unregister(part)
    }
}

extension MemoryMapping {
    /// As much as is worth trying things on: whole huge pages, which trying would otherwise split.
    fileprivate var probeRange: Range<Int> {
        unsafe 0..<min(max(Self.hugePageByteCount, pageByteCount), pages.count)
    }
}
