import BerthImages
import BerthSystem
import Glibc

/// Ends the process with one line on standard error.
func fail(_ message: String, hint: String?) -> Never {
    complain(message, hint: hint)
    exit(1)
}

/// Writes one line to standard error.
///
/// Messages quote names out of files that anybody may have made.
func complain(_ message: String, hint: String? = nil) {
    let hint = hint.map { " (\($0))" } ?? ""
    StandardError.write(printable("berth: \(message)\(hint)") + "\n")
}
