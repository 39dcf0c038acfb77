import BerthMonitor
import BerthQAPI

/// What the options of a character device come to.
enum CharacterDeviceOptions {
    /// Types that QEMU has and that carry no monitor here.
    private static let otherTypes: Set<String> = [
        "file", "pipe", "pty", "vc", "ringbuf", "memory", "udp", "mux", "hub", "serial", "tty",
        "parallel", "parport", "spicevmc", "spiceport", "dbus", "qemu-vdagent", "msmouse",
        "wctablet", "braille", "testdev",
    ]

    /// Types whose device is made in the file system by opening it, so that a path must be there.
    private static let typesWithPath = [
        "file": "chardev: file: no filename given",
        "pipe": "chardev: pipe: no device path given",
        "serial": "chardev: serial/tty: no device path given",
        "tty": "chardev: serial/tty: no device path given",
        "parallel": "chardev: parallel: no device path given",
        "parport": "chardev: parallel: no device path given",
    ]

    /// The device that the options describe.
    static func kind(
        _ label: String,
        _ options: QemuOptions
    ) throws(CommandLineError) -> DeviceRequest.Kind {
        guard let type = options["backend"] else {
            throw CommandLineError("chardev: \"\(label)\" missing backend")
        }
        switch type {
        case "null": return .device(CharacterDevice(label: label, backend: .null))
        case "stdio": return .device(CharacterDevice(label: label, backend: .standardStreams))
        case "socket":
            let socket = try socket(options)
            return .device(CharacterDevice(label: label, backend: .socket(socket)))
        default:
            guard otherTypes.contains(type) else {
                throw CommandLineError("'\(type)' is not a valid char driver name")
            }
            if let text = typesWithPath[type], options["path"] == nil {
                throw CommandLineError(text)
            }
            return .other(type: type)
        }
    }

    private static func socket(
        _ options: QemuOptions
    ) throws(CommandLineError) -> CharacterDevice.Socket {
        let isServer = options.flag("server") ?? false
        let address = try address(options)
        for flag in ["telnet", "tn3270", "websocket"] where options.flag(flag) == true {
            throw CommandLineError("'\(flag)' is not built into this version of Berth")
        }
        guard options["tls-creds"] == nil else {
            throw CommandLineError("'tls-creds' is not built into this version of Berth")
        }
        guard options["reconnect"] == nil || options["reconnect-ms"] == nil else {
            throw CommandLineError("'reconnect' and 'reconnect-ms' are mutually exclusive")
        }
        if isServer, options["reconnect"] != nil {
            throw CommandLineError(
                "'reconnect' option is incompatible with socket in server listen mode"
            )
        }
        if !isServer, options["wait"] != nil {
            throw CommandLineError(
                "'wait' option is incompatible with socket in client connect mode"
            )
        }
        return CharacterDevice.Socket(
            address: address,
            isServer: isServer,
            waitsForClient: isServer && (options.flag("wait") ?? true),
            reconnectDelay: isServer ? nil : delay(options),
            disablesDelay: options.flag("nodelay") ?? options.flag("delay").map { !$0 } ?? false
        )
    }

    private static func delay(_ options: QemuOptions) -> Duration? {
        if let seconds = options.number("reconnect"), seconds > 0 { return .seconds(seconds) }
        if let count = options.number("reconnect-ms"), count > 0 { return .milliseconds(count) }
        return nil
    }

    private static func address(
        _ options: QemuOptions
    ) throws(CommandLineError) -> CharacterDevice.Socket.Address {
        let path = options["path"]
        let host = options["host"]
        let number = options["fd"]
        guard [path, host, number].compactMap({ $0 }).count <= 1 else {
            throw CommandLineError("None or one of 'path', 'fd' or 'host' option required.")
        }
        if let path { return try unix(path, options) }
        if let host {
            guard let port = options["port"] else {
                throw CommandLineError("chardev: socket: no port given")
            }
            return .tcp(
                host: host,
                port: port,
                wantsIPv4: options.flag("ipv4") ?? (options.flag("ipv6") != true),
                wantsIPv6: options.flag("ipv6") ?? (options.flag("ipv4") != true)
            )
        }
        guard let number else { throw CommandLineError("Unable to parse FD number") }
        guard let descriptor = Int32(number), descriptor >= 0 else {
            throw CommandLineError("Unable to parse FD number \(number)")
        }
        return .descriptor(descriptor)
    }

    private static func unix(
        _ path: String,
        _ options: QemuOptions
    ) throws(CommandLineError) -> CharacterDevice.Socket.Address {
        let isAbstract = options.flag("abstract") ?? false
        // The kernel's field has 108 bytes; an abstract name begins with one that is zero.
        guard path.utf8.count < 108 else {
            throw CommandLineError(
                "UNIX socket path '\(path)' is too long",
                hints: ["Path must be less than 108 bytes"]
            )
        }
        return .unix(path: path, isAbstract: isAbstract, isTight: options.flag("tight") ?? true)
    }
}
