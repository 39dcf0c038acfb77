import BerthJSON
import BerthQAPI

/// The properties of `-machine`.
///
/// All but a few change only devices that an endpoint doesn't have; they are checked and dropped,
/// so that a misspelt one doesn't pass.
enum MachineProperties {
    private enum Kind {
        case flag, choice, any
    }

    private static let common: [String: Kind] = [
        "type": .any, "accel": .any, "append": .any, "aux-ram-share": .flag, "boot": .any,
        "confidential-guest-support": .any, "dt-compatible": .any, "dtb": .any,
        "dump-guest-core": .flag, "dumpdtb": .any, "firmware": .any, "graphics": .flag,
        "initrd": .any, "kernel": .any, "mem-merge": .flag, "memory-backend": .any,
        "memory-encryption": .any, "memory": .any, "phandle-start": .any, "shim": .any,
        "smp-cache": .any, "smp": .any, "suppress-vmdesc": .flag, "usb": .flag,
        // These three belong to the accelerator, and may stand here for it.
        "kernel-irqchip": .any, "kvm-shadow-mem": .any, "igd-passthru": .any,
    ]

    private static let x86: [String: Kind] = [
        "acpi": .choice, "bus-lock-ratelimit": .any, "pic": .choice, "pit": .choice,
        "sgx-epc": .any, "smm": .choice, "x-oem-id": .any, "x-oem-table-id": .any,
    ]

    private static let pc: [String: Kind] = [
        "default-bus-bypass-iommu": .flag, "fd-bootchk": .flag, "hpet": .flag, "i8042": .flag,
        "max-fw-size": .any, "max-ram-below-4g": .any, "sata": .flag,
        "smbios-entry-point-type": .any, "smbus": .flag, "vmport": .choice, "pflash0": .any,
        "pflash1": .any, "nvdimm": .flag, "nvdimm-persistence": .any, "hmat": .flag, "cxl": .flag,
        "cxl-fmw": .any, "pcspk-audiodev": .any, "x-south-bridge": .any,
    ]

    private static let microvm: [String: Kind] = [
        "auto-kernel-cmdline": .flag, "ioapic2": .choice, "isa-serial": .flag, "pcie": .choice,
        "rtc": .choice, "x-option-roms": .flag,
    ]

    private static let virt: [String: Kind] = [
        "acpi": .choice, "compact-highmem": .flag, "default-bus-bypass-iommu": .flag,
        "dtb-randomness": .flag, "dtb-kaslr-seed": .flag, "gic-version": .any, "highmem": .flag,
        "highmem-ecam": .flag, "highmem-mmio": .flag, "highmem-redists": .flag, "hmat": .flag,
        "iommu": .any, "its": .flag, "mte": .flag, "nvdimm": .flag, "pflash0": .any,
        "pflash1": .any, "ras": .flag, "secure": .flag, "virtualization": .flag, "x-oem-id": .any,
        "x-oem-table-id": .any,
    ]

    /// Refuses properties that the machine doesn't have, and switches that are neither on nor off.
    static func check(_ properties: JSONObject, of machine: MachineType) throws(CommandLineError) {
        for (name, value) in properties {
            guard let kind = kind(name, machine.family) else {
                throw CommandLineError("Property '\(machine.name)-machine.\(name)' not found")
            }
            guard case .string(let text) = value else { continue }
            switch kind {
            case .any: break
            case .flag:
                guard Bool(switchText: text) != nil else {
                    throw CommandLineError("Parameter '\(name)' expects 'on' or 'off'")
                }
            case .choice:
                guard OnOffAuto(name: text) != nil else {
                    throw CommandLineError("Parameter '\(name)' does not accept value '\(text)'")
                }
            }
        }
    }

    private static func kind(_ name: String, _ family: MachineType.Family) -> Kind? {
        if let kind = common[name] { return kind }
        switch family {
        case .none: return nil
        case .pc: return x86[name] ?? pc[name]
        case .microvm: return x86[name] ?? microvm[name]
        case .virt: return virt[name]
        }
    }

    /// Names of the properties of a machine, sorted.
    static func names(of machine: MachineType) -> [String] {
        let own: [[String: Kind]] =
            switch machine.family {
            case .none: []
            case .pc: [x86, pc]
            case .microvm: [x86, microvm]
            case .virt: [virt]
            }
        return ([common] + own).flatMap(\.keys).filter { $0 != "type" && $0 != "accel" }.sorted()
    }
}
