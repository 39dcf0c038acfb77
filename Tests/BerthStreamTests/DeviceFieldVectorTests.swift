import BerthStream
import BerthTestSupport
import BerthWire
import Testing

/// The devices of whole machines as real QEMU described them.
@Suite struct DeviceFieldVectorTests {
    private static let names = [
        "device-state/pc-qemu-10.0", "device-state/pc-qemu-7.2", "device-state/q35-qemu-10.0",
        "device-state/q35-qemu-7.2",
    ]

    private func state(_ name: String) throws -> DeviceState {
        let stream = try HexVector.load(name)
        var scanner = DeviceSectionScanner()
        var feeding = DeviceStateFeeding(stream)
        let end = try feeding.end(&scanner)
        return DeviceState(
            final: DeviceSectionRun(end.sections, copying: stream.span),
            description: end.description.map { Array(stream[$0]) }
        )
    }

    @Test(arguments: names)
    func `every byte of a PC's devices is described`(name: String) throws {
        let devices = try state(name).decoded()
        #expect(devices.count > 20)
        for device in devices {
            #expect(device.problem == nil, "\(device.name)/\(device.instance)")
            #expect(device.byteCount == length(device.fields, device.subsections))
            check(device.fields)
        }
    }

    /// An x86 processor starts at f000:fff0, with its own reset values in the registers.
    @Test(arguments: names)
    func `a processor before its first instruction has its reset values`(name: String) throws {
        let cpu = try #require(try state(name).decoded().first { $0.name == "cpu" })
        #expect(cpu["env.eip"]?.value == .unsigned(0xfff0))
        #expect(cpu["env.eflags"]?.value == .unsigned(2))
        guard case .numbers(let registers)? = cpu["env.regs"]?.value,
            case .structures(let segments)? = cpu["env.segs"]?.value
        else {
            Issue.record("no registers")
            return
        }
        #expect(registers.count == 16)
        #expect(registers.first == .unsigned(0))
        #expect(segments.count == 6)
        // The code segment, second of the six.
        #expect(segments.dropFirst().first?["base"]?.value == .unsigned(0xffff_0000))
        #expect(segments.dropFirst().first?["selector"]?.value == .unsigned(0xf000))
    }

    @Test(arguments: names)
    func `the run state is found under its name`(name: String) throws {
        let section = try #require(try state(name).decoded().first { $0.name == "globalstate" })
        guard case .bytes(let bytes)? = section["runstate"]?.value else {
            Issue.record("no run state")
            return
        }
        #expect(bytes.starts(with: "prelaunch\0".utf8))
        #expect(section["size"]?.value == .unsigned(10))
    }

    /// No field may lie outside its neighbours, at any depth.
    private func check(_ fields: [DeviceField]) {
        for (field, next) in zip(fields, fields.dropFirst()) {
            #expect(field.offset + field.byteCount == next.offset, "\(field.name)")
        }
        for field in fields {
            switch field.value {
            case .structure(let inner):
                check(inner.fields)
                #expect(field.byteCount == length(inner.fields, inner.subsections))
            case .structures(let elements) where field.type == "struct":
                for element in elements {
                    check(element.fields)
                }
            default: break
            }
        }
    }

    private func length(_ fields: [DeviceField], _ subsections: [DeviceStructure]) -> Int {
        fields.reduce(0) { $0 + $1.byteCount }
            + subsections.reduce(0) {
                $0 + 6 + $1.name.utf8.count + length($1.fields, $1.subsections)
            }
    }
}
