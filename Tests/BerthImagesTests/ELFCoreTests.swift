import BerthStream
import BerthWire
import Testing

@testable import BerthImages

/// The head of a core, against the numbers of the ELF and Linux headers.
@Suite struct ELFCoreTests {
    /// A processor with a different value everywhere.
    private static let processor: X86Registers = {
        var registers = X86Registers()
        registers.general = (0..<16).map { 0x1111_1111_1111_1100 + $0 }
        (registers.rip, registers.rflags) = (0xFFFF_FFFF_8123_4567, 0x246)
        func segment(_ number: UInt32) -> X86Segment {
            X86Segment(
                selector: 8 * number,
                base: 0x2222_2222_0000_0000 + UInt64(number),
                limit: 0x3333_0000 + number,
                flags: 0x4444_0000 + number
            )
        }
        registers.segments = (1...6).map(segment)
        (registers.ldt, registers.tr) = (segment(7), segment(8))
        (registers.gdt, registers.idt) = (segment(9), segment(10))
        registers.control = (0..<5).map { 0x5555_5555_5555_5500 + $0 }
        registers.kernelGSBase = 0x6666_6666_6666_6666
        return registers
    }()

    private func number(_ bytes: [UInt8], _ offset: Int, _ byteCount: Int) -> UInt64 {
        bytes[offset..<offset + byteCount].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    @Test func `general registers are where Linux has those of a thread`() {
        let bytes = Self.processor.status(number: 7)
        #expect(bytes.count == 336)
        #expect(number(bytes, 32, 4) == 7)
        // r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi.
        let order: [UInt64] = [15, 14, 13, 12, 5, 3, 11, 10, 9, 8, 0, 1, 2, 6, 7]
        for (index, register) in order.enumerated() {
            #expect(number(bytes, 112 + 8 * index, 8) == 0x1111_1111_1111_1100 + register)
        }
        // rip, cs, eflags, rsp, ss, bases of fs and gs, ds, es, fs, gs.
        let rest: [UInt64] = [
            0, 0xFFFF_FFFF_8123_4567, 16, 0x246, 0x1111_1111_1111_1104, 24, 0x2222_2222_0000_0005,
            0x2222_2222_0000_0006, 32, 8, 40, 48,
        ]
        for (index, value) in rest.enumerated() {
            #expect(number(bytes, 112 + 8 * (15 + index), 8) == value, "word \(index)")
        }
        #expect(bytes[..<32].allSatisfy { $0 == 0 })
        #expect(bytes[36..<112].allSatisfy { $0 == 0 })
        #expect(bytes[328...].allSatisfy { $0 == 0 })
    }

    @Test func `all registers are where QEMU has them`() {
        let bytes = Self.processor.state()
        #expect(bytes.count == 440)
        #expect(number(bytes, 0, 4) == 1)
        #expect(number(bytes, 4, 4) == 440)
        // rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r8 to r15.
        let order: [UInt64] = [0, 3, 1, 2, 6, 7, 4, 5] + (8..<16)
        for (index, register) in order.enumerated() {
            #expect(number(bytes, 8 + 8 * index, 8) == 0x1111_1111_1111_1100 + register)
        }
        #expect(number(bytes, 136, 8) == 0xFFFF_FFFF_8123_4567)
        #expect(number(bytes, 144, 8) == 0x246)
        // cs, ds, es, fs, gs, ss, ldt, tr, gdt, idt.
        for (index, segment) in ([2, 4, 1, 5, 6, 3, 7, 8, 9, 10] as [UInt64]).enumerated() {
            let offset = 152 + 24 * index
            #expect(number(bytes, offset, 4) == 8 * segment)
            #expect(number(bytes, offset + 4, 4) == 0x3333_0000 + segment)
            #expect(number(bytes, offset + 8, 4) == 0x4444_0000 + segment)
            #expect(number(bytes, offset + 12, 4) == 0)
            #expect(number(bytes, offset + 16, 8) == 0x2222_2222_0000_0000 + segment)
        }
        for index in 0..<5 {
            #expect(number(bytes, 392 + 8 * index, 8) == 0x5555_5555_5555_5500 + UInt64(index))
        }
        #expect(number(bytes, 432, 8) == 0x6666_6666_6666_6666)
    }

    @Test(arguments: [0, 1, 2, 300])
    func `a core says where its notes and its memory are`(_ processorCount: Int) {
        let pieces: [PhysicalLayout.Piece] = [
            .init(address: 0, block: 1, offset: 0, byteCount: 3 << 30),
            .init(address: 1 << 32, block: 1, offset: 3 << 30, byteCount: 1 << 40),
        ]
        let core = ELFCore(
            PhysicalLayout(pieces: pieces),
            processors: Array(repeating: Self.processor, count: processorCount)
        )
        let head = core.head
        #expect(head.count % 4096 == 0)
        #expect(
            Array(head[..<16]) == [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1] + Array(repeating: 0, count: 9)
        )
        #expect(number(head, 16, 2) == 4)
        #expect(number(head, 18, 2) == 62)
        #expect(number(head, 20, 4) == 1)
        #expect(number(head, 32, 8) == 64)
        #expect(number(head, 52, 2) == 64)
        #expect(number(head, 54, 2) == 56)
        #expect(number(head, 56, 2) == 3)

        // Notes: general registers of all, then QEMU's of all.
        let noteOffset = Int(number(head, 64 + 8, 8))
        #expect(number(head, 64, 4) == 4)
        #expect(noteOffset == 64 + 3 * 56)
        #expect(number(head, 64 + 32, 8) == UInt64(processorCount * (20 + 336 + 20 + 440)))
        var offset = noteOffset
        for index in 0..<2 * processorCount {
            let isStatus = index < processorCount
            let description =
                isStatus
                ? Self.processor.status(number: UInt32(index + 1)) : Self.processor.state()
            #expect(number(head, offset, 4) == 5)
            #expect(number(head, offset + 4, 4) == UInt64(description.count))
            #expect(number(head, offset + 8, 4) == (isStatus ? 1 : 0))
            let name = head[offset + 12..<offset + 20]
            #expect(Array(name) == Array((isStatus ? "CORE\0\0\0\0" : "QEMU\0\0\0\0").utf8))
            #expect(Array(head[offset + 20..<offset + 20 + description.count]) == description)
            offset += 20 + description.count
        }
        #expect(head[offset...].allSatisfy { $0 == 0 })

        var end = UInt64(head.count)
        for (index, piece) in pieces.enumerated() {
            let header = 64 + 56 * (index + 1)
            #expect(number(head, header, 4) == 1)
            #expect(number(head, header + 8, 8) == end)
            #expect(number(head, header + 16, 8) == piece.address)
            #expect(number(head, header + 24, 8) == piece.address)
            #expect(number(head, header + 32, 8) == UInt64(piece.byteCount))
            #expect(number(head, header + 40, 8) == UInt64(piece.byteCount))
            #expect(number(head, header + 48, 8) == 0)
            #expect(core.offsets[index] == end)
            end += UInt64(piece.byteCount)
        }
        #expect(core.byteCount == end)
    }
}
