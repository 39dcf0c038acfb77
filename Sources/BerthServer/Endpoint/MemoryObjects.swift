import BerthMemory
import BerthQAPI
import BerthSystem
import Synchronization

/// The memory backends of an endpoint: what `-object` and `object-add` made.
final class MemoryObjects: Sendable {
    /// A backend and its memory.
    struct Entry: Sendable {
        let backend: MemoryBackend
        let block: RAMBlock
        /// How many need it: the machine, whose memory it is, and writers.
        var userCount = 0
    }

    private let entries = Mutex<[Entry]>([])

    /// All backends, in the order of their creation.
    var all: [Entry] { entries.withLock { $0 } }

    /// The backend named `id`, or nil.
    subscript(id: String) -> Entry? {
        entries.withLock { $0.first { $0.backend.id == id } }
    }

    /// Allocates and adds a backend.
    /// - Throws: `QMPError` for a duplicate id or memory that can't be had.
    @discardableResult
    func add(_ backend: MemoryBackend) throws(QMPError) -> RAMBlock {
        guard self[backend.id] == nil else {
            throw QMPError("attempt to add duplicate object '\(backend.id)'")
        }
        guard backend.byteCount > 0 else {
            throw QMPError("property 'size' of \(backend.typeName) doesn't take value '0'")
        }
        let block: RAMBlock
        do {
            block = try RAMBlock(backend)
        } catch {
            throw QMPError(
                "cannot create object '\(backend.id)': \(error)",
                hint: backend.hint(for: error)
            )
        }
        entries.withLock {
            $0.append(Entry(backend: backend, block: block))
        }
        return block
    }

    /// Notes that somebody needs a backend, so that it can't be deleted.
    func use(_ id: String) {
        changeUsers(of: id, by: 1)
    }

    /// Notes that somebody doesn't need a backend any more.
    func release(_ id: String) {
        changeUsers(of: id, by: -1)
    }

    private func changeUsers(of id: String, by change: Int) {
        entries.withLock { entries in
            for index in entries.indices where entries[index].backend.id == id {
                entries[index].userCount += change
            }
        }
    }

    /// Deletes a backend.
    /// - Throws: `QMPError` if there is none of that id, or the machine uses it.
    func remove(_ id: String) throws(QMPError) {
        guard let entry = self[id] else {
            throw QMPError("object '\(id)' not found")
        }
        guard entry.userCount == 0 else {
            throw QMPError("object '\(id)' is in use, can not be deleted")
        }
        entries.withLock { entries in entries.removeAll { $0.backend.id == id } }
    }
}

extension MemoryBackend {
    /// The backend's QOM type.
    var typeName: String {
        switch kind {
        case .ram: "memory-backend-ram"
        case .file: "memory-backend-file"
        case .memfd, .hugetlb: "memory-backend-memfd"
        }
    }

    /// Reads what `object-add` says.
    /// - Throws: `QMPError` for what Berth can't do with memory.
    init(_ options: ObjectOptions) throws(QMPError) {
        let base: MemoryBackendProperties
        let kind: Kind
        switch options.variant {
        case .memoryBackendRAM(let properties):
            base = properties
            kind = .ram
        case .memoryBackendFile(let file):
            base = file.base
            kind = .file(path: file.memPath, offset: file.offset, readOnly: file.readonly)
        case .memoryBackendMemfd(let memfd):
            base = memfd.base
            kind = memfd.hugetlb ? .hugetlb(pageByteCount: try Self.pageSize(memfd)) : .memfd
        case .guestWorkload, .externalWriter:
            throw QMPError("object '\(options.id)' is no memory backend")
        }
        guard base.policy == .default, (base.hostNodes ?? []).isEmpty else {
            throw QMPError(
                "NUMA policies of memory backends are not built into this version of Berth",
                hint: "start berth under numactl instead"
            )
        }
        self.init(
            id: options.id,
            kind: kind,
            byteCount: base.size,
            isShared: base.share ?? (options.variant.tag == .memoryBackendMemfd),
            isPreallocated: base.prealloc,
            isMerged: base.merge,
            isDumped: base.dump
        )
    }

    /// The size of huge pages that was asked for; nil for the host's default.
    private static func pageSize(
        _ memfd: MemoryBackendMemfdProperties
    ) throws(QMPError) -> Int? {
        guard let size = memfd.hugetlbsize else { return nil }
        guard size.nonzeroBitCount == 1, let size = Int(exactly: size) else {
            throw QMPError(
                "property 'hugetlbsize' is \(size), a power of two is needed",
                hint: "the host's sizes are in /sys/kernel/mm/hugepages"
            )
        }
        return size
    }
}
