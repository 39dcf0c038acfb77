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
        /// Whether the machine's memory is made of it, so that it can't be deleted.
        var isInUse = false
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
    func add(_ backend: MemoryBackend, isInUse: Bool = false) throws(QMPError) -> RAMBlock {
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
            throw QMPError("cannot create object '\(backend.id)': \(error)")
        }
        entries.withLock {
            $0.append(Entry(backend: backend, block: block, isInUse: isInUse))
        }
        return block
    }

    /// Marks a backend as the machine's memory.
    func use(_ id: String) {
        entries.withLock { entries in
            for index in entries.indices where entries[index].backend.id == id {
                entries[index].isInUse = true
            }
        }
    }

    /// Deletes a backend.
    /// - Throws: `QMPError` if there is none of that id, or the machine uses it.
    func remove(_ id: String) throws(QMPError) {
        guard let entry = self[id] else {
            throw QMPError("object '\(id)' not found")
        }
        guard !entry.isInUse else {
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
        case .memfd: "memory-backend-memfd"
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
            guard !memfd.hugetlb else {
                throw QMPError(
                    "property 'hugetlb' of memory-backend-memfd is not built into this version of "
                        + "Berth",
                    hint: "leave it off: huge pages are used where the kernel has them"
                )
            }
            base = memfd.base
            kind = .memfd
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
            isShared: base.share ?? (kind == .memfd),
            isPreallocated: base.prealloc,
            isMerged: base.merge,
            isDumped: base.dump
        )
    }
}
