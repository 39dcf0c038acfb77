/// A segment register of an x86 processor, with the hidden part.
struct X86Segment: Equatable {
    var selector: UInt32 = 0
    var base: UInt64 = 0
    var limit: UInt32 = 0
    /// Attributes as in the second word of a descriptor.
    var flags: UInt32 = 0
}

/// The registers of one x86 processor that a core holds.
struct X86Registers: Equatable {
    /// RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15: the processor's own order.
    var general = [UInt64](repeating: 0, count: 16)
    var rip: UInt64 = 0
    var rflags: UInt64 = 0
    /// ES, CS, SS, DS, FS, GS: the processor's own order.
    var segments = [X86Segment](repeating: X86Segment(), count: 6)
    var ldt = X86Segment()
    var tr = X86Segment()
    var gdt = X86Segment()
    var idt = X86Segment()
    /// CR0 to CR4; CR1 doesn't exist and is 0.
    var control = [UInt64](repeating: 0, count: 5)
    /// The base that SWAPGS exchanges with that of GS.
    var kernelGSBase: UInt64 = 0
}
