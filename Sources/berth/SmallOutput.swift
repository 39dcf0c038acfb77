import BerthImages
import BerthSystem
import Glibc

/// Where a few bytes go: a file, or standard output.
enum SmallOutput {
    /// Writes all of it.
    ///
    /// - Parameters:
    ///   - path: the file, under its name only when it is whole; nil or `-` is standard output.
    ///   - input: the file that they are from.
    ///   - isText: whether a terminal may show it.
    static func write(
        _ bytes: [UInt8],
        to path: String?,
        from input: String,
        isText: Bool
    ) throws(ImageError) {
        if let path, path != "-" {
            return try ImageFile.write(bytes, to: path, from: [input])
        }
        let isTerminal = isatty(STDOUT_FILENO) != 0
        guard isText || !isTerminal else {
            throw ImageError(
                "standard output is a terminal, and these bytes are no text",
                hint: "redirect it to a file or to hexdump -C, or name a file with -o"
            )
        }
        let end: [UInt8] = isTerminal && bytes.last != UInt8(ascii: "\n") ? [10] : []
        try writeAll(bytes + end)
    }

    private static func writeAll(_ bytes: [UInt8]) throws(ImageError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            do {
                let count = try SystemCall.check("write to", "standard output") {
                    unsafe rest.withUnsafeBytes {
                        unsafe Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count)
                    }
                }
                rest = rest.dropFirst(count)
            } catch {
                throw ImageError("\(error)")
            }
        }
    }
}
