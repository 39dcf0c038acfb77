import BerthSystem
import BerthTransport
import Glibc

/// The bytes of a file.
func contents(of path: String) throws -> [UInt8] {
    let file = try OwnedDescriptor.open(path, O_RDONLY)
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = read(file.raw, &buffer, buffer.count)
        guard count > 0 else { return bytes }
        bytes += buffer[..<count]
    }
}

/// Makes a file with these bytes, in the place of what was there.
func store(_ bytes: [UInt8], at path: String) throws {
    let file = try OwnedDescriptor.open(path, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
    let channel = try Channel(file, name: path)
    try bytes.withUnsafeBytes { try channel.write($0) }
    try channel.close()
}

/// Where some bytes begin among others.
func firstIndex(of part: [UInt8], in whole: [UInt8]) -> Int? {
    whole.indices.dropLast(part.count - 1).first {
        whole[$0..<$0 + part.count].elementsEqual(part)
    }
}
