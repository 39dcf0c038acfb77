extension QemuOptionList {
    static let name = QemuOptionList(
        name: "name",
        impliedKey: "guest",
        keys: [("guest", .string), ("process", .string), ("debug-threads", .boolean)]
    )
    static let memory = QemuOptionList(
        name: "memory",
        impliedKey: "size",
        keys: [("size", .size), ("slots", .number), ("maxmem", .size)]
    )
    static let object = QemuOptionList(name: "object", impliedKey: "qom-type")
    static let numa = QemuOptionList(name: "numa", impliedKey: "type")
    static let accelerator = QemuOptionList(name: "accel", impliedKey: "accel")
    static let messages = QemuOptionList(
        name: "msg",
        keys: [("timestamp", .boolean), ("guest-name", .boolean)]
    )
    static let monitor = QemuOptionList(
        name: "mon",
        impliedKey: "chardev",
        keys: [("mode", .string), ("chardev", .string), ("pretty", .boolean)]
    )
    static let sandbox = QemuOptionList(
        name: "sandbox",
        impliedKey: "enable",
        keys: [
            ("enable", .boolean), ("obsolete", .string), ("elevateprivileges", .string),
            ("spawn", .string), ("resourcecontrol", .string),
        ]
    )
    static let addedDescriptor = QemuOptionList(
        name: "add-fd",
        keys: [("fd", .number), ("set", .number), ("opaque", .string)]
    )
    static let action = QemuOptionList(
        name: "action",
        keys: [
            ("reboot", .string), ("shutdown", .string), ("panic", .string), ("watchdog", .string),
        ]
    )
    static let global = QemuOptionList(
        name: "global",
        keys: [("driver", .string), ("property", .string), ("value", .string)]
    )
    static let overcommit = QemuOptionList(
        name: "overcommit",
        keys: [("mem-lock", .string), ("cpu-pm", .boolean)]
    )
    static let runWith = QemuOptionList(
        name: "run-with",
        keys: [("async-teardown", .boolean), ("chroot", .string), ("user", .string)]
    )
    static let characterDevice = QemuOptionList(
        name: "chardev",
        impliedKey: "backend",
        keys: [
            ("backend", .string), ("path", .string), ("input-path", .string), ("host", .string),
            ("port", .string), ("fd", .string), ("localaddr", .string), ("localport", .string),
            ("to", .number), ("ipv4", .boolean), ("ipv6", .boolean), ("wait", .boolean),
            ("server", .boolean), ("delay", .boolean), ("nodelay", .boolean),
            ("reconnect", .number), ("reconnect-ms", .number), ("telnet", .boolean),
            ("tn3270", .boolean), ("tls-creds", .string), ("tls-authz", .string),
            ("websocket", .boolean), ("width", .number), ("height", .number), ("cols", .number),
            ("rows", .number), ("mux", .boolean), ("signal", .boolean), ("name", .string),
            ("debug", .number), ("size", .size), ("chardev", .string), ("append", .boolean),
            ("logfile", .string), ("logappend", .boolean), ("mouse", .boolean),
            ("clipboard", .boolean), ("tight", .boolean), ("abstract", .boolean),
        ]
    )
}
