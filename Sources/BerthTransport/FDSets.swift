public import BerthSystem
internal import Synchronization

/// What is wrong with a request that names a set of descriptors.
public enum FDSetError: Error, Sendable, Equatable, CustomStringConvertible {
    /// No set has this number.
    case unknownSet(Int64)
    /// The set exists, but not this descriptor in it.
    case unknownDescriptor(set: Int64, descriptor: Int32)
    /// Set numbers begin at 0.
    case negativeSet(Int64)
    /// What follows `/dev/fdset/` isn't a number.
    case unparsable(path: String)
    /// No descriptor of the set was opened in just this way.
    case noMatch(set: Int64, wanted: FileAccess)
    /// The system refused.
    case system(SystemCallError)

    /// One phrase.
    public var description: String {
        switch self {
        case .unknownSet(let set): "there is no fdset \(set)"
        case .unknownDescriptor(let set, let descriptor):
            "fdset \(set) has no descriptor \(descriptor)"
        case .negativeSet(let set): "fdset \(set) cannot be: numbers begin at 0"
        case .unparsable(let path): "'\(path)' isn't of the form /dev/fdset/NUMBER"
        case .noMatch(let set, let wanted):
            "fdset \(set) has no descriptor that was opened \(wanted)"
        case .system(let error): error.description
        }
    }
}

/// Numbered sets of descriptors that clients hand in with `add-fd`, to be opened as `/dev/fdset/N`.
///
/// Sets belong to the whole process and outlive the monitor's clients.
public final class FDSets: Sendable {
    /// One descriptor of a set as `query-fdsets` shows it.
    ///
    /// QAPI: `FdsetFdInfo`.
    public struct DescriptorInfo: Sendable, Equatable {
        /// The descriptor's number in this process.
        public let descriptor: Int32
        /// What the client gave along with it, to find it again.
        public let opaque: String?
    }

    /// One set as `query-fdsets` shows it.
    ///
    /// QAPI: `FdsetInfo`.
    public struct SetInfo: Sendable, Equatable {
        /// The set's number.
        public let id: Int64
        /// Its descriptors, oldest first.
        public let descriptors: [DescriptorInfo]
    }

    private struct Entry {
        let box: OwnedDescriptorBox
        let info: DescriptorInfo
    }

    private static let pathPrefix = "/dev/fdset/"
    private let sets = Mutex<[Int64: [Entry]]>([:])

    /// Makes an empty collection.
    public init() {}

    /// Adds a descriptor to a set, which appears with its first descriptor.
    ///
    /// QAPI: `add-fd`.
    ///
    /// - Parameters:
    ///   - descriptor: the set's from now on.
    ///   - set: the set's number; `nil` takes the lowest one that is free.
    ///   - opaque: anything, shown by `query()`.
    /// - Returns: the descriptor's number and the set's.
    /// - Throws: `FDSetError.negativeSet`; the descriptor is then closed.
    public func add(
        _ descriptor: consuming OwnedDescriptor,
        set: Int64?,
        opaque: String?
    ) throws(FDSetError) -> (descriptor: Int32, set: Int64) {
        if let set, set < 0 { throw .negativeSet(set) }
        let number = descriptor.raw
        let entry = Entry(
            box: OwnedDescriptorBox(descriptor),
            info: DescriptorInfo(descriptor: number, opaque: opaque)
        )
        let id = sets.withLock { sets in
            var id = set ?? 0
            if set == nil { while sets[id] != nil { id += 1 } }
            sets[id, default: []].append(entry)
            return id
        }
        return (number, id)
    }

    /// Removes one descriptor or a whole set.
    ///
    /// QAPI: `remove-fd`.
    ///
    /// What has been opened from the set stays open.
    ///
    /// - Parameters:
    ///   - set: the set's number.
    ///   - descriptor: the number that `add` returned; `nil` removes all.
    /// - Throws: `FDSetError.unknownSet` or `.unknownDescriptor`.
    public func remove(set: Int64, descriptor: Int32?) throws(FDSetError) {
        let error: FDSetError? = sets.withLock { sets in
            guard var entries = sets[set] else { return .unknownSet(set) }
            guard let descriptor else {
                sets[set] = nil
                return nil
            }
            guard let index = entries.firstIndex(where: { $0.info.descriptor == descriptor })
            else { return .unknownDescriptor(set: set, descriptor: descriptor) }
            entries.remove(at: index)
            sets[set] = entries.isEmpty ? nil : entries
            return nil
        }
        if let error { throw error }
    }

    /// All sets, highest number first.
    ///
    /// QAPI: `query-fdsets`.
    public func query() -> [SetInfo] {
        sets.withLock { sets in
            sets.sorted { $0.key > $1.key }
                .map { SetInfo(id: $0.key, descriptors: $0.value.map(\.info)) }
        }
    }

    /// The set that a path names.
    ///
    /// - Returns: `nil` if the path isn't under `/dev/fdset/`.
    /// - Throws: `FDSetError.unparsable` if what follows isn't a number.
    public static func setID(path: String) throws(FDSetError) -> Int64? {
        guard path.hasPrefix(pathPrefix) else { return nil }
        let digits = path.dropFirst(pathPrefix.count)
        guard digits.allSatisfy({ $0.isASCII && $0.isWholeNumber }), let id = Int64(digits)
        else { throw .unparsable(path: path) }
        return id
    }

    /// Duplicates the oldest descriptor of a set that was opened in just the way wanted.
    ///
    /// Access mode and `O_DIRECT` must be equal: a duplicate shares its flags with the original, so
    /// they can't be changed here, and a client that hands in descriptors for both ways tells them
    /// apart by these.
    ///
    /// - Throws: `FDSetError`.
    public func open(set: Int64, _ access: FileAccess) throws(FDSetError) -> OwnedDescriptor {
        guard let entries = sets.withLock({ $0[set] }) else { throw .unknownSet(set) }
        for entry in entries {
            do {
                // Duplicated first: another monitor's `remove-fd` may close the original meanwhile.
                let copy = try entry.box.duplicate()
                if try copy.access() == access { return copy }
            } catch {
                throw .system(error)
            }
        }
        throw .noMatch(set: set, wanted: access)
    }
}
