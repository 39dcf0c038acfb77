/// The short form of a character device, DEV in `-qmp DEV`: `unix:PATH,server=on`, `stdio`.
enum DeviceText {
    /// Turns it into the options of `-chardev`.
    ///
    /// - Returns: nil if an address is malformed, of which QEMU says no more than that.
    /// - Throws: if it isn't a device, or an option is wrong.
    static func options(_ text: String) throws(CommandLineError) -> QemuOptions? {
        let text = text.hasPrefix("mon:") ? String(text.dropFirst("mon:".count)) : text
        switch text {
        case "null", "pty", "msmouse", "wctablet", "braille", "testdev", "stdio", "vc":
            return try parse("backend=\(text)")
        default: break
        }
        guard let colon = text.firstIndex(of: ":") else { throw notADevice(text) }
        let rest = String(text[text.index(after: colon)...])
        switch text[..<colon] {
        case "vc": return try parse("backend=vc")
        case "file", "pipe", "pty":
            return try parse("backend=\(text[..<colon]),path=\(escaped(rest))")
        case "unix": return try parse("backend=socket,path=\(rest)")
        case "tcp", "telnet", "tn3270", "websocket":
            return try network(String(text[..<colon]), rest)
        case "udp": return try parse("backend=udp")
        default: throw notADevice(text)
        }
    }

    /// `HOST:PORT` and options; the host may be empty.
    private static func network(
        _ scheme: String,
        _ text: String
    ) throws(CommandLineError) -> QemuOptions? {
        let host: Substring
        let rest: Substring
        if text.hasPrefix("[") {
            // An IPv6 address has colons of its own.
            guard let end = text.firstIndex(of: "]") else { return nil }
            host = text[text.index(after: text.startIndex)..<end]
            rest = text[text.index(after: end)...]
        } else {
            host = text.prefix { $0 != ":" && $0 != "," }
            rest = text.dropFirst(host.count)
        }
        guard rest.first == ":" else { return nil }
        let port = rest.dropFirst().prefix { $0 != "," }
        guard !port.isEmpty, host.utf8.count <= 64, port.utf8.count <= 32 else { return nil }
        let options = rest.dropFirst(1 + port.count)
        let flag = scheme == "tcp" ? "" : ",\(scheme)=on"
        return try parse("backend=socket,host=\(host),port=\(port)\(flag)\(options)")
    }

    private static func parse(_ text: String) throws(CommandLineError) -> QemuOptions {
        // This form is older than the warnings about flags without a value, and has none of them.
        try QemuOptions(text, .characterDevice, warns: false)
    }

    private static func escaped(_ text: String) -> String {
        text.map { $0 == "," ? ",," : String($0) }.joined()
    }

    private static func notADevice(_ text: String) -> CommandLineError {
        CommandLineError("'\(text)' is not a valid char driver")
    }
}
