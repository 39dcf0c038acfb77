import BerthStream

/// Reads a processor's registers from its section `cpu`, as the stream's own description delimits it.
///
/// Field names are QEMU's (`target/i386/machine.c`); they have been the same from 7.2 to 10.0.
extension X86Registers {
    /// Reads one section.
    ///
    /// - Returns: nil if a register isn't where it should be.
    init?(_ device: DecodedDevice) {
        guard device.problem == nil,
            let general = device["env.regs"]?.words, general.count == 8 || general.count == 16,
            let segments = device["env.segs"]?.segments, segments.count == 6,
            let rip = device["env.eip"]?.word, let rflags = device["env.eflags"]?.word,
            let ldt = device["env.ldt"]?.segments.first, let tr = device["env.tr"]?.segments.first,
            let gdt = device["env.gdt"]?.segments.first,
            let idt = device["env.idt"]?.segments.first,
            let cr0 = device["env.cr[0]"]?.word, let cr2 = device["env.cr[2]"]?.word,
            let cr3 = device["env.cr[3]"]?.word, let cr4 = device["env.cr[4]"]?.word
        else {
            return nil
        }
        // A 32-bit QEMU's processors have 8.
        self.general.replaceSubrange(0..<general.count, with: general)
        (self.rip, self.rflags) = (rip, rflags)
        self.segments = segments
        (self.ldt, self.tr, self.gdt, self.idt) = (ldt, tr, gdt, idt)
        control = [cr0, 0, cr2, cr3, cr4]
        kernelGSBase = device["env.kernelgsbase"]?.word ?? 0
    }

    /// The registers of all processors, in the machine's order.
    ///
    /// - Returns: the registers, or none and why.
    static func all(in state: DeviceState) -> (processors: [X86Registers], problem: String?) {
        let sections = state.decoded().filter { $0.name == "cpu" }
            .sorted { $0.instance < $1.instance }
        guard !sections.isEmpty else {
            return ([], "the image has no section 'cpu'")
        }
        var processors: [X86Registers] = []
        for section in sections {
            guard let registers = X86Registers(section) else {
                let reason = section.problem ?? "it has other fields than an x86 processor"
                return ([], "section 'cpu' \(section.instance) can't be read: \(reason)")
            }
            processors.append(registers)
        }
        return (processors, nil)
    }
}

extension DeviceField {
    /// The number, if it is one.
    fileprivate var word: UInt64? {
        if case .unsigned(let number) = value { number } else { nil }
    }

    /// All numbers, if they are unsigned.
    fileprivate var words: [UInt64]? {
        guard case .numbers(let numbers) = value else { return nil }
        var words: [UInt64] = []
        for number in numbers {
            guard case .unsigned(let word) = number else { return nil }
            words.append(word)
        }
        return words
    }

    /// The segment registers that the structures hold; none if one isn't a segment register.
    fileprivate var segments: [X86Segment] {
        let structures: [DeviceStructure] =
            switch value {
            case .structure(let structure): [structure]
            case .structures(let structures): structures
            default: []
            }
        let segments = structures.compactMap(X86Segment.init)
        return segments.count == structures.count ? segments : []
    }
}

extension X86Segment {
    fileprivate init?(_ structure: DeviceStructure) {
        guard let selector = structure["selector"]?.word.flatMap(UInt32.init(exactly:)),
            let base = structure["base"]?.word,
            let limit = structure["limit"]?.word.flatMap(UInt32.init(exactly:)),
            let flags = structure["flags"]?.word.flatMap(UInt32.init(exactly:))
        else {
            return nil
        }
        self.init(selector: selector, base: base, limit: limit, flags: flags)
    }
}
