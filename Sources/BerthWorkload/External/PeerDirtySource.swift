import BerthMemory
import BerthSystem
import Glibc
import Synchronization

/// Finds the writes of another process to memory that it shares with this one.
///
/// The other process has registered its mapping with an asynchronous userfaultfd of its own. This
/// side reads its page map, which was opened once and so can't become another process's.
///
/// When the process ends, its page map goes, and with it the knowledge of its last writes: every
/// page then counts as written, once. The same holds if it takes its mapping away.
final class PeerDirtySource: DirtySource {
    /// Whether the other process can still write where it is watched.
    enum Presence: Equatable {
        /// Its mapping is in place.
        case mapped
        /// It lives without its mapping; what it writes elsewhere isn't seen.
        case unmapped
        /// It has ended, or runs another program.
        case gone
    }

    let mechanism = DirtyTrackingMechanism.peer
    /// The other process.
    let processID: Int32

    private let memory: SharedMemory
    private let address: UInt64
    private let pageMap: PageMap
    private let mappings: ProcessMappings
    /// Not used, but the registration ends with the last descriptor of the userfaultfd.
    private let userfaultfd: OwnedDescriptorBox
    private let state: Mutex<(presence: Presence, isWatching: Bool)>

    /// Opens what is needed to watch a process, and tries it.
    ///
    /// - Parameters:
    ///   - processID: the process, which has a userfaultfd in place.
    ///   - address: where it has mapped all of `memory`.
    ///   - userfaultfd: its userfaultfd.
    /// - Throws: `.refused` if the process doesn't keep to the protocol; `.untrackable` if it may
    ///   well, but the kernel won't let us look.
    init(
        processID: Int32,
        address: UInt64,
        memory: SharedMemory,
        userfaultfd: consuming OwnedDescriptor
    ) throws(PeerFault) {
        guard processID > 0 else {
            throw .untrackable("it lives in another pid namespace")
        }
        self.processID = processID
        self.memory = memory
        self.address = address
        do {
            mappings = try ProcessMappings(process: processID)
            pageMap = try PageMap(process: processID)
        } catch {
            throw .untrackable("this endpoint may not look into it: \(error)")
        }
        self.userfaultfd = OwnedDescriptorBox(userfaultfd)
        state = Mutex((.mapped, false))
        guard address.isMultiple(of: UInt64(MemoryMapping.hostPageByteCount)),
            (try? look()) == .mapped
        else {
            throw .refused(
                PeerRefusal(
                    "process \(processID) does not map the memory, all of it and shared, at "
                        + "0x\(String(address, radix: 16))"
                )
            )
        }
        do {
            try scan { _ in }
        } catch  where error == SystemCall.failure("scan", error.operand, ENOTTY) {
            throw .untrackable("the kernel has no PAGEMAP_SCAN (Linux 6.7)")
        } catch {
            throw .refused(
                PeerRefusal(
                    "the mapping at 0x\(String(address, radix: 16)) is not registered with an "
                        + "asynchronous write-protecting userfaultfd: \(error.reason)"
                )
            )
        }
    }

    /// Whether the process could write when that was looked at last.
    var presence: Presence { state.withLock { $0.presence } }

    func start() throws(DirtyTrackingError) {
        // If it has gone, what it wrote was before now and is not of interest.
        try scanAndLook { _ in }
    }

    func collect(into bitmap: inout PageBitmap) throws(DirtyTrackingError) -> Int {
        guard state.withLock({ $0.isWatching }) else { return 0 }
        var fresh = 0
        let presence = try scanAndLook { region in
            fresh += bitmap.insert(pageRange(of: region))
        }
        guard presence != .mapped else { return fresh }
        return fresh + bitmap.insert(0..<bitmap.pageCount)
    }

    func stop() {
        // The pages stay protected, and the next write to each takes a microsecond, once. Lifting
        // that would take the peer's userfaultfd, and a peer can make such a call wait for ever.
        state.withLock { $0.isWatching = false }
    }

    /// Visits what was written, and then watches on as long as the mapping is in place.
    ///
    /// - Throws: `DirtyTrackingError` if the mapping is there but the kernel doesn't watch it.
    @discardableResult
    private func scanAndLook(
        _ visit: (PageMap.Region) -> Void
    ) throws(DirtyTrackingError) -> Presence {
        do {
            var scanFailure: SystemCallError?
            do {
                try scan(visit)
            } catch {
                scanFailure = error
            }
            // After the scan, which finds nothing where there is no mapping, and so misses what was
            // written before that went.
            let presence = try look()
            if let scanFailure, presence == .mapped { throw scanFailure }
            state.withLock { $0 = (presence, presence == .mapped) }
            return presence
        } catch {
            throw DirtyTrackingError(
                "cannot find what process \(processID) writes: \(error)",
                hint: "have it keep its mapping registered with its userfaultfd, or end it"
            )
        }
    }

    private func look() throws(SystemCallError) -> Presence {
        switch try mappings.find(from: address, byteCount: memory.byteCount) {
        case .file(memory.file): .mapped
        case .file, .somethingElse: .unmapped
        case .processGone: .gone
        }
    }

    private func scan(_ visit: (PageMap.Region) -> Void) throws(SystemCallError) {
        try pageMap.scan(
            .writtenSinceLast,
            from: UInt(address),
            byteCount: memory.byteCount,
            visit
        )
    }

    /// The target pages in a region, which may stick out of the memory where pages are huge.
    private func pageRange(of region: PageMap.Region) -> Range<Int> {
        let start = max(region.start, address) - address
        let end = max(region.end, address) - address
        let first = Int(clamping: start) / targetPageByteCount
        return first..<max(first, Int(clamping: end).pageCountRoundedUp)
    }
}

/// Memory of an endpoint that other processes can map.
struct SharedMemory: Equatable {
    /// Bytes, rounded up to host pages.
    let byteCount: Int
    /// The file behind it, and where in the file it begins.
    let file: ProcessMappings.FileRange
}

/// Why a process that wants to write isn't tracked.
enum PeerFault: Error, Equatable {
    /// It is at fault, and isn't let in.
    case refused(PeerRefusal)
    /// It may write, but nobody can tell what; in words for the operator.
    case untrackable(String)
}
