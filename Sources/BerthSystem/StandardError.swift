internal import Glibc

/// Standard error, unbuffered.
public enum StandardError {
    /// Writes a text; what can't be written there can't be reported either.
    public static func write(_ text: String) {
        guard !text.isEmpty else { return }
        var text = text
        _ = text.withUTF8 { unsafe Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
