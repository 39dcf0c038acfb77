import BerthSystem
import Glibc

/// Ends the process with one line on standard error.
func fail(_ message: String, hint: String?) -> Never {
    let hint = hint.map { " (\($0))" } ?? ""
    StandardError.write("berth: \(message)\(hint)\n")
    exit(1)
}
