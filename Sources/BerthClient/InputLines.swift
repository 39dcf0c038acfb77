internal import Glibc

/// The lines of a file or pipe.
struct InputLines {
    /// Bytes of a line: more than any command has.
    static let byteLimit = 1 << 20

    private let descriptor: CInt
    private var bytes: [UInt8] = []
    private var start = 0
    private var hasEnded = false
    /// Whether reading ended at a line beyond the limit.
    private(set) var isTooLong = false

    init(_ descriptor: CInt) {
        self.descriptor = descriptor
    }

    /// The next line without its end; the last one needs none.
    mutating func next() -> String? {
        while true {
            if let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) {
                defer { start = end + 1 }
                return text(bytes[start..<end])
            }
            bytes.removeFirst(start)
            start = 0
            if hasEnded {
                defer { bytes = [] }
                return bytes.isEmpty ? nil : text(bytes[...])
            }
            guard bytes.count <= Self.byteLimit else {
                isTooLong = true
                return nil
            }
            read()
        }
    }

    private func text(_ line: ArraySlice<UInt8>) -> String {
        let line = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
        return String(decoding: line, as: UTF8.self)
    }

    private mutating func read() {
        var count = 0
        bytes += unsafe [UInt8](unsafeUninitializedCapacity: 65536) { buffer, used in
            count = unsafe Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            used = max(count, 0)
        }
        hasEnded = count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN)
    }
}
