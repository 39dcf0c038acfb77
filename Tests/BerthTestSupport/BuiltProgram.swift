import Glibc

/// Programs that are built together with the tests.
public enum BuiltProgram {
    /// The path of a program beside the one that runs the tests; nil if it isn't there.
    public static func path(_ name: String) -> String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        let own = String(
            decoding: buffer.prefix(max(count, 0)).map(UInt8.init(bitPattern:)),
            as: UTF8.self
        )
        guard let slash = own.lastIndex(of: "/") else { return nil }
        let path = String(own[...slash] + name)
        return access(path, X_OK) == 0 ? path : nil
    }
}
