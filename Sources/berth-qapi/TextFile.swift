import Glibc

/// Reading and writing whole files, without Foundation, which this tool has no other use for.
enum TextFile {
    /// The contents of a file.
    static func read(_ path: String) throws(FileError) -> [UInt8] {
        guard let file = fopen(path, "r") else { throw FileError(path) }
        defer { fclose(file) }
        var contents: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = fread(&chunk, 1, chunk.count, file)
            contents += chunk[..<count]
            if count < chunk.count { break }
        }
        guard ferror(file) == 0 else { throw FileError(path) }
        return contents
    }

    /// Replaces a file's contents, but leaves the file alone if it has them already, so that a
    /// run without changes causes no rebuild.
    static func write(_ text: String, to path: String) throws(FileError) {
        let bytes = Array(text.utf8)
        if let present = try? read(path), present == bytes { return }
        guard let file = fopen(path, "w") else { throw FileError(path) }
        let written = fwrite(bytes, 1, bytes.count, file)
        guard fclose(file) == 0, written == bytes.count else { throw FileError(path) }
    }

    /// Names of the entries of a directory that end in `suffix`, sorted.
    static func names(in directory: String, endingWith suffix: String) throws(FileError)
        -> [String]
    {
        guard let stream = opendir(directory) else { throw FileError(directory) }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { field in
                field.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name.hasSuffix(suffix) { names.append(name) }
        }
        return names.sorted()
    }

    /// Removes a file.
    static func remove(_ path: String) throws(FileError) {
        guard unlink(path) == 0 else { throw FileError(path) }
    }
}

/// A file that can't be read or written.
struct FileError: Error, CustomStringConvertible {
    let description: String

    init(_ path: String) {
        description = "\(path): \(String(cString: strerror(errno)))"
    }
}
