import BerthSystem
import Glibc
import Testing

/// Reads from a descriptor what a monitor shows, until it shows what is expected.
struct HMPTranscript {
    private let raw: CInt
    private(set) var text = ""

    init(_ raw: CInt) {
        self.raw = raw
        _ = fcntl(raw, F_SETFL, fcntl(raw, F_GETFL) | O_NONBLOCK)
    }

    /// Waits until the text that wasn't taken yet contains something.
    ///
    /// - Returns: the text up to its end, which is taken.
    mutating func read(through expected: String) async throws -> String {
        let deadline = ContinuousClock.now + .seconds(20)
        while ContinuousClock.now < deadline {
            let isAtEnd = readAvailable()
            if let end = end(of: expected) {
                let bytes = Array(text.utf8)
                text = String(decoding: bytes[end...], as: UTF8.self)
                return String(decoding: bytes[..<end], as: UTF8.self)
            }
            if isAtEnd { break }
            try await Task.sleep(for: .milliseconds(2))
        }
        throw Missing(expected: expected, shown: text)
    }

    /// Waits until the other side has closed.
    ///
    /// - Returns: what it had still to say.
    mutating func readToEnd() async throws -> String {
        let deadline = ContinuousClock.now + .seconds(20)
        while ContinuousClock.now < deadline {
            if readAvailable() { return text }
            try await Task.sleep(for: .milliseconds(2))
        }
        throw Missing(expected: "the end", shown: text)
    }

    func write(_ text: String) {
        let bytes = Array(text.utf8)
        #expect(Glibc.write(raw, bytes, bytes.count) == bytes.count)
    }

    struct Missing: Error {
        let expected: String
        let shown: String
    }

    /// Reads what is there; true when that was the last.
    private mutating func readAvailable() -> Bool {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = Glibc.read(raw, &buffer, buffer.count)
            guard count > 0 else {
                // EIO: a terminal whose other side has gone.
                return count == 0 || errno == EIO
            }
            text += String(decoding: buffer[..<count], as: UTF8.self)
        }
    }

    /// Where the expected text ends, in bytes: "\r\n" is one character to a String.
    private func end(of expected: String) -> Int? {
        let bytes = Array(text.utf8)
        let wanted = Array(expected.utf8)
        guard bytes.count >= wanted.count else { return nil }
        for start in 0...(bytes.count - wanted.count)
        where bytes[start..<(start + wanted.count)].elementsEqual(wanted) {
            return start + wanted.count
        }
        return nil
    }
}
