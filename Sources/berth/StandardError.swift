import Glibc

/// Writes a text to standard error, unbuffered.
func writeToStandardError(_ text: String) {
    var text = text
    // What can't be written to standard error can't be reported either.
    _ = text.withUTF8 { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
}

/// Ends the process with one line on standard error.
func fail(_ message: String, hint: String?) -> Never {
    let hint = hint.map { " (\($0))" } ?? ""
    writeToStandardError("berth: \(message)\(hint)\n")
    exit(1)
}
