public import BerthSystem
import Synchronization

/// A file with pages of a guest that become its memory without being read: they are mapped.
///
/// The file must stay as it is while a block lies on it. So it is locked for reading as long as this
/// object is there; who saves with Berth asks for the lock.
public final class MemoryImage: Sendable {
    /// How messages name the file.
    public let name: String
    let overlay: MemoryMapping.Overlay
    private let gaps: Mutex<Int>

    /// How many gaps between pages may be covered with zeros where the file has old content there.
    ///
    /// Source: each takes 4 microseconds and two of the 65530 ranges that Linux gives a process.
    public static let gapLimit = 8192

    /// Takes the lock.
    ///
    /// - Parameters:
    ///   - descriptor: open for reading.
    ///   - name: how messages name the file.
    ///   - gapLimit: see `MemoryImage.gapLimit`; less, in tests.
    /// - Throws: `SystemCallError` for `lock`: `EAGAIN` while the file is being written.
    public init(
        _ descriptor: consuming OwnedDescriptor,
        name: String,
        gapLimit: Int = MemoryImage.gapLimit
    ) throws(SystemCallError) {
        try descriptor.lockForReading(name: name)
        self.name = name
        overlay = MemoryMapping.Overlay(OwnedDescriptorBox(descriptor), name: name)
        gaps = Mutex(gapLimit)
    }

    deinit {
        // The open file may be somebody else's, too, and stay open.
        if let raw = overlay.descriptor.raw { OwnedDescriptor.unlock(raw) }
    }

    /// Whether one more gap may be covered.
    func takeGap() -> Bool {
        gaps.withLock { left in
            guard left > 0 else { return false }
            left -= 1
            return true
        }
    }

    /// Whether a part of the file is a hole, and so reads as zeros.
    func isHole(_ range: Range<UInt64>) throws(SystemCallError) -> Bool {
        guard let raw = overlay.descriptor.raw else { return false }
        let data = try OwnedDescriptor.firstData(of: raw, from: range.lowerBound, name: name)
        return data.map { $0 >= range.upperBound } ?? true
    }
}
