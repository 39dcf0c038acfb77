/// The two notes of a core for each processor, in the little-endian layout of x86-64.
///
/// Origin: Linux's `struct elf_prstatus` as gdb and crash read it, and QEMU 10.0
/// `target/i386/arch_dump.c`, QEMUCPUState version 1.
extension X86Registers {
    /// Bytes of the description of a note with general registers (`NT_PRSTATUS`).
    static let statusByteCount = 336

    /// Bytes of the description of QEMU's note.
    static let stateByteCount = 440

    /// The registers as a debugger reads those of a thread.
    ///
    /// offset 32 thread number · 112 27 registers in the order of Linux's `user_regs_struct`; the rest
    /// is zero.
    ///
    /// - Parameter number: number of the thread, from 1 on, as 0 is none.
    func status(number: UInt32) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.statusByteCount)
        bytes.append(zeros: 32)
        bytes.append(littleEndian: number)
        bytes.append(zeros: 76)
        // R15 to R12, RBP, RBX, R11 to R8, RAX, RCX, RDX, RSI, RDI.
        for index in [15, 14, 13, 12, 5, 3, 11, 10, 9, 8, 0, 1, 2, 6, 7] {
            bytes.append(littleEndian: general[index])
        }
        // In place of the number of an interrupted system call.
        bytes.append(littleEndian: UInt64(0))
        let (es, cs, ss, ds) = (segments[0], segments[1], segments[2], segments[3])
        let (fs, gs) = (segments[4], segments[5])
        for word in [
            rip, UInt64(cs.selector), rflags, general[4], UInt64(ss.selector), fs.base, gs.base,
            UInt64(ds.selector), UInt64(es.selector), UInt64(fs.selector), UInt64(gs.selector),
        ] {
            bytes.append(littleEndian: word)
        }
        bytes.append(zeros: 8)
        return bytes
    }

    /// The registers as QEMU writes them, with what an operating system's memory is found by.
    ///
    /// offset 0 version 1 · 4 length · 8 RAX, RBX, RCX, RDX, RSI, RDI, RSP, RBP, R8 to R15, RIP,
    /// RFLAGS · 152 CS, DS, ES, FS, GS, SS, LDT, TR, GDT, IDT, 24 bytes each · 392 CR0 to CR4 · 432
    /// the base for SWAPGS.
    func state() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.stateByteCount)
        bytes.append(littleEndian: UInt32(1))
        bytes.append(littleEndian: UInt32(Self.stateByteCount))
        for index in [0, 3, 1, 2, 6, 7, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15] {
            bytes.append(littleEndian: general[index])
        }
        bytes.append(littleEndian: rip)
        bytes.append(littleEndian: rflags)
        for segment in [1, 3, 0, 4, 5, 2].map({ segments[$0] }) + [ldt, tr, gdt, idt] {
            bytes.append(littleEndian: segment.selector)
            bytes.append(littleEndian: segment.limit)
            bytes.append(littleEndian: segment.flags)
            bytes.append(zeros: 4)
            bytes.append(littleEndian: segment.base)
        }
        for word in control {
            bytes.append(littleEndian: word)
        }
        bytes.append(littleEndian: kernelGSBase)
        return bytes
    }
}
