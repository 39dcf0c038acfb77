import BerthMonitor
import BerthQAPI

extension CommandLineReader {
    /// Takes an option that declares a character device or a monitor.
    mutating func takeDevice(_ option: GivenOption) throws(CommandLineError) {
        switch option.name {
        case "chardev":
            let options = try options(option, .characterDevice)
            guard let id = options.id else { throw CommandLineError("chardev: no id specified") }
            try addDevice(id, options, option.location)
        case "mon": try takeMonitor(option)
        case "qmp", "qmp-pretty":
            try takeShortMonitor(option, mode: .control, isPretty: option.name == "qmp-pretty")
        case "monitor":
            draft.hasDefaultMonitor = false
            // Whatever begins with this word means that there is to be none.
            if option.value.hasPrefix("none") { return }
            try takeShortMonitor(option, mode: .readline, isPretty: false)
        default: try takeSerial(option)
        }
    }

    private mutating func addDevice(
        _ label: String,
        _ options: QemuOptions,
        _ location: String
    ) throws(CommandLineError) {
        guard !draft.devices.contains(where: { $0.label == label }) else {
            throw CommandLineError("Duplicate ID '\(label)' for chardev")
        }
        draft.devices.append((label, options, location))
    }

    private mutating func takeMonitor(_ option: GivenOption) throws(CommandLineError) {
        let options = try options(option, .monitor)
        draft.hasDefaultMonitor = false
        guard let device = options["chardev"] else {
            throw CommandLineError("Parameter 'chardev' is missing")
        }
        let name = options["mode"] ?? "readline"
        guard let mode = MonitorConfiguration.Mode(rawValue: name) else {
            throw CommandLineError("Parameter 'mode' does not accept value '\(name)'")
        }
        let isPretty = options.flag("pretty") ?? false
        guard !isPretty || mode == .control else {
            throw CommandLineError("'pretty' is not compatible with HMP monitors")
        }
        try addMonitor(
            MonitorDraft(
                device: device,
                mode: mode,
                isPretty: isPretty,
                id: options.id,
                location: option.location
            )
        )
    }

    private mutating func addMonitor(_ monitor: MonitorDraft) throws(CommandLineError) {
        if let id = monitor.id, draft.monitors.contains(where: { $0.id == id }) {
            throw CommandLineError("Duplicate ID '\(id)' for mon")
        }
        draft.monitors.append(monitor)
    }

    /// `-qmp DEV` and its relatives: a device and a monitor on it, both named by us.
    private mutating func takeShortMonitor(
        _ option: GivenOption,
        mode: MonitorConfiguration.Mode,
        isPretty: Bool
    ) throws(CommandLineError) {
        draft.hasDefaultMonitor = false
        var label = "compat_monitor\(draft.compatMonitorCount)"
        draft.compatMonitorCount += 1
        if option.value.hasPrefix("chardev:") {
            label = String(option.value.dropFirst("chardev:".count))
        } else {
            do throws(CommandLineError) {
                guard let options = try DeviceText.options(option.value) else {
                    throw CommandLineError(messages: [])
                }
                try addDevice(label, options, option.location)
            } catch {
                var error = error
                error.messages.append(CommandLineMessage(text: "parse error: \(option.value)"))
                throw error
            }
        }
        try addMonitor(
            MonitorDraft(
                device: label,
                mode: mode,
                isPretty: isPretty,
                id: label,
                location: option.location
            )
        )
    }

    /// Takes `-serial`.
    ///
    /// The guest has no serial port; what counts is that the device can be had,
    /// and that `mon:` puts a human monitor on it.
    private mutating func takeSerial(_ option: GivenOption) throws(CommandLineError) {
        draft.hasDefaultSerial = false
        if option.value.hasPrefix("mon:") { draft.hasDefaultMonitor = false }
        guard option.value != "none" else { return }
        let label = "serial\(draft.serialCount)"
        draft.serialCount += 1
        if option.value.hasPrefix("chardev:") {
            let device = String(option.value.dropFirst("chardev:".count))
            draft.serials.append((device, nil, option.location, option.value))
            return
        }
        do throws(CommandLineError) {
            guard let options = try DeviceText.options(option.value) else {
                throw CommandLineError(messages: [])
            }
            draft.serials.append((label, options, option.location, option.value))
        } catch {
            throw Self.serialFailure(error, option.value)
        }
    }

    private static func serialFailure(
        _ error: CommandLineError,
        _ text: String
    ) -> CommandLineError {
        CommandLineError(
            messages: error.messages + [
                CommandLineMessage(
                    text: "could not connect serial device to character backend '\(text)'"
                )
            ]
        )
    }

    /// The devices and the monitors on them, in the order in which they are to be opened.
    mutating func finishDevices() throws(CommandLineError) -> (
        devices: [DeviceRequest], monitors: [MonitorConfiguration]
    ) {
        try addDefaultMonitor()
        var devices: [DeviceRequest] = []
        for (label, options, location) in draft.devices {
            do {
                try append(label, options, location, to: &devices)
            } catch {
                throw error.located(location)
            }
        }
        var monitors: [MonitorConfiguration] = []
        for monitor in draft.monitors {
            do {
                monitors.append(try configuration(monitor, devices, monitors))
            } catch {
                throw error.located(monitor.location)
            }
        }
        for serial in draft.serials {
            do {
                try finishSerial(serial, &devices, &monitors)
            } catch {
                throw Self.serialFailure(error, serial.text).located(serial.location)
            }
        }
        return (devices, monitors)
    }

    /// With `-nographic` the default console is the terminal.
    private mutating func addDefaultMonitor() throws(CommandLineError) {
        guard draft.isNoGraphic, !draft.hasNoDefaults, draft.hasDefaultMonitor else { return }
        guard !draft.daemonizes else {
            throw CommandLineError("-nographic cannot be used with -daemonize")
        }
        try takeShortMonitor(
            GivenOption(name: "monitor", value: "stdio", location: "-monitor stdio"),
            mode: .readline,
            isPretty: false
        )
    }

    private func append(
        _ label: String,
        _ options: QemuOptions,
        _ location: String,
        to devices: inout [DeviceRequest]
    ) throws(CommandLineError) {
        let kind = try CharacterDeviceOptions.kind(label, options)
        if kind.isStandardStreams {
            guard !draft.daemonizes else {
                throw CommandLineError("cannot use stdio with -daemonize")
            }
            guard !devices.contains(where: \.kind.isStandardStreams) else {
                throw CommandLineError("cannot use stdio by multiple character devices")
            }
        }
        devices.append(DeviceRequest(label: label, kind: kind, location: location))
    }

    private func configuration(
        _ monitor: MonitorDraft,
        _ devices: [DeviceRequest],
        _ monitors: [MonitorConfiguration]
    ) throws(CommandLineError) -> MonitorConfiguration {
        guard let request = devices.first(where: { $0.label == monitor.device }) else {
            throw CommandLineError("chardev \"\(monitor.device)\" not found")
        }
        guard !monitors.contains(where: { $0.device.label == monitor.device }) else {
            throw CommandLineError("chardev '\(monitor.device)' is already in use")
        }
        switch request.kind {
        case .device(let device):
            return MonitorConfiguration(
                device: device,
                mode: monitor.mode,
                isPretty: monitor.isPretty,
                id: monitor.id
            )
        case .other(let type):
            throw CommandLineError(
                "a monitor on a character device of type '\(type)' is not built into this version "
                    + "of Berth",
                hints: ["Use one of type 'socket' or 'stdio'."]
            )
        }
    }

    private func finishSerial(
        _ serial: (label: String, options: QemuOptions?, location: String, text: String),
        _ devices: inout [DeviceRequest],
        _ monitors: inout [MonitorConfiguration]
    ) throws(CommandLineError) {
        guard let options = serial.options else {
            guard devices.contains(where: { $0.label == serial.label }) else {
                throw CommandLineError(messages: [])
            }
            return
        }
        try append(serial.label, options, serial.location, to: &devices)
        guard serial.text.hasPrefix("mon:"), case .device(let device)? = devices.last?.kind else {
            return
        }
        monitors.append(MonitorConfiguration(device: device, mode: .readline))
    }
}

extension DeviceRequest.Kind {
    /// Whether the device is the process's standard input and output.
    var isStandardStreams: Bool {
        switch self {
        case .device(let device): device.backend == .standardStreams
        case .other(let type): type == "stdio"
        }
    }
}
