import BerthJSON
import BerthQAPI

extension CommandLineReader {
    /// Takes `-global`.
    ///
    /// Only the driver `migration` is more than a device here.
    mutating func takeGlobal(_ option: GivenOption) throws(CommandLineError) {
        let driver: String
        let property: String
        let value: String
        if let short = Self.shortGlobal(option.value) {
            (driver, property, value) = short
        } else {
            let options = try options(option, .global)
            guard let given = options["driver"], let name = options["property"],
                let text = options["value"]
            else {
                throw CommandLineError("options 'driver', 'property', and 'value' are required")
            }
            (driver, property, value) = (given, name, text)
        }
        guard driver == "migration" else { return }
        draft.globals.append((property, value))
    }

    /// The form `driver.property=value`.
    private static func shortGlobal(_ text: String) -> (String, String, String)? {
        guard let point = text.firstIndex(of: "."),
            let sign = text[point...].firstIndex(of: "=")
        else { return nil }
        let driver = text[..<point]
        let property = text[text.index(after: point)..<sign]
        // QEMU's buffers for the two names hold this much.
        guard (1...63).contains(driver.utf8.count), (1...63).contains(property.utf8.count),
            !driver.contains("=")
        else { return nil }
        return (String(driver), String(property), String(text[text.index(after: sign)...]))
    }

    /// The settings that `-global` and the machine type make.
    func finishGlobals(_ machine: MachineType) throws(CommandLineError) -> MigrationGlobals {
        var globals = MigrationGlobals()
        // What older machine types have otherwise, and the command line may change back.
        if machine.isBefore(QEMURelease(10, 0)) { globals.stream.sendsSwitchoverStart = false }
        if machine.isBefore(QEMURelease(8, 1)) { globals.stream.flushesMultifdEachSection = true }
        if machine.isBefore(QEMURelease(9, 0)) {
            globals.parameters.zeroPageDetection = .legacy
        }
        var parameters = globals.parameters.toObject()
        for (property, value) in draft.globals {
            do {
                try MigrationProperty.apply(property, value, to: &globals, &parameters)
            } catch {
                throw CommandLineError(
                    messages: error.messages.map { message in
                        var message = message
                        message.text =
                            "can't apply global migration.\(property)=\(value): \(message.text)"
                        return message
                    }
                )
            }
        }
        globals.parameters = try schemaChecked { () throws(QMPError) in
            let result = try MigrateSetParameters(checking: parameters)
            try result.checkRanges()
            return result
        }
        return globals
    }
}

/// The properties of QEMU's migration object, which `-global migration.` sets.
enum MigrationProperty {
    private static let streamSwitches: [String: @Sendable (inout StreamSwitches, Bool) -> Void] = [
        "store-global-state": { $0.storesGlobalState = $1 },
        "send-configuration": { $0.sendsConfiguration = $1 },
        "send-section-footer": { $0.sendsSectionFooters = $1 },
        "send-switchover-start": { $0.sendsSwitchoverStart = $1 },
        "multifd-flush-after-each-section": { $0.flushesMultifdEachSection = $1 },
    ]

    /// Switches of channels that are not built; they say nothing about the main one.
    private static let otherSwitches: Set<String> = [
        "multifd-clean-tls-termination", "x-preempt-pre-7-2",
    ]

    /// Capabilities have the prefix `x-`, but for the one that came last.
    private static let capabilities: [String: MigrationCapability] = {
        let prefixed: [MigrationCapability] = [
            .xbzrle, .rdmaPinAll, .autoConverge, .zeroBlocks, .events, .postcopyRAM,
            .postcopyPreempt, .releaseRAM, .returnPath, .multifd, .backgroundSnapshot,
            .zeroCopySend, .switchoverAck, .dirtyLimit,
        ]
        var table = Dictionary(uniqueKeysWithValues: prefixed.map { ("x-" + $0.rawValue, $0) })
        table["x-colo"] = .xCOLO
        table["mapped-ram"] = .mappedRAM
        return table
    }()

    /// Parameters whose property has another name.
    private static let renamed = [
        "x-throttle-trigger-threshold": "throttle-trigger-threshold",
        "x-cpu-throttle-initial": "cpu-throttle-initial",
        "x-cpu-throttle-increment": "cpu-throttle-increment",
        "x-cpu-throttle-tailslow": "cpu-throttle-tailslow",
        "x-max-bandwidth": "max-bandwidth",
        "x-downtime-limit": "downtime-limit",
    ]

    /// Parameters that have no property.
    private static let withoutProperty: Set<String> = ["direct-io", "block-bitmap-mapping"]

    /// Sets one property.
    static func apply(
        _ property: String,
        _ value: String,
        to globals: inout MigrationGlobals,
        _ parameters: inout JSONObject
    ) throws(CommandLineError) {
        if let set = streamSwitches[property] {
            set(&globals.stream, try flag(property, value))
        } else if otherSwitches.contains(property) {
            _ = try flag(property, value)
        } else if property == "x-clear-bitmap-shift" {
            _ = try integer(property, value, bits: 8)
        } else if let capability = capabilities[property] {
            let state = try flag(property, value)
            globals.capabilities.append(
                MigrationCapabilityStatus(capability: capability, state: state)
            )
        } else if let setting = setting(property) {
            parameters[setting.name] = try converted(property, value, setting.kind)
        } else {
            throw CommandLineError("Property 'migration.\(property)' not found")
        }
    }

    private static func setting(_ property: String) -> SettingInfo? {
        let name = renamed[property] ?? property
        guard !withoutProperty.contains(name), !renamed.values.contains(property) else {
            return nil
        }
        return MigrationParameters.settings.first { $0.name == name }
    }

    private static func converted(
        _ property: String,
        _ value: String,
        _ kind: SettingInfo.Kind
    ) throws(CommandLineError) -> JSONValue {
        switch kind {
        case .boolean: return .bool(try flag(property, value))
        case .integer(let bits): return try integer(property, value, bits: bits).toJSON()
        case .text: return .string(value)
        case .size:
            try QemuOptions.check(value, of: property, .size)
            return (SizeText.parse(value) ?? 0).toJSON()
        case .choice(let names):
            guard names.contains(value) else {
                throw CommandLineError("Parameter '\(property)' does not accept value '\(value)'")
            }
            return .string(value)
        case .structured:
            throw CommandLineError("Property 'migration.\(property)' not found")
        }
    }

    private static func flag(_ property: String, _ value: String) throws(CommandLineError) -> Bool {
        guard let flag = Bool(switchText: value) else {
            throw CommandLineError("Parameter '\(property)' expects 'on' or 'off'")
        }
        return flag
    }

    private static func integer(
        _ property: String,
        _ value: String,
        bits: Int
    ) throws(CommandLineError) -> UInt64 {
        guard let number = UInt64(cText: value) else {
            throw CommandLineError("Parameter '\(property)' expects uint64")
        }
        guard bits == 64 || number >> UInt64(bits) == 0 else {
            throw CommandLineError("Parameter '\(property)' expects uint\(bits)_t")
        }
        return number
    }
}
