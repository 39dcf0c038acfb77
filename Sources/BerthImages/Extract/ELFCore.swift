/// The head of an ELF core of a whole machine: what stands before its memory.
///
/// Offset 0 file header (64 bytes) · 64 one program header for the notes and one for each piece of
/// RAM (56 each) · notes, first the general registers of every processor, then QEMU's note of each ·
/// zeros up to a page's start · the pieces, each at the start of a page.
///
/// Addresses are physical: each piece has its own as both its physical and its virtual address, like
/// QEMU's dumps without paging. The alignment is given as 0, by which crash tells such a dump from
/// those of another program. The machine is always x86-64, also for guests in an older mode, so that
/// no register is cut off; a debugger can be told otherwise.
struct ELFCore {
    /// The bytes before the memory, a whole number of pages.
    let head: [UInt8]
    /// Offsets in the file of the pieces, in the layout's order.
    let offsets: [UInt64]
    /// Bytes in the whole file.
    let byteCount: UInt64

    /// Plans a file.
    ///
    /// - Parameter processors: in the machine's order; empty if they aren't known.
    init(_ layout: PhysicalLayout, processors: [X86Registers]) {
        let notes = Self.notes(of: processors)
        let notesOffset = 64 + 56 * (layout.pieces.count + 1)
        var end = UInt64(notesOffset + notes.count + 4095) / 4096 * 4096

        var head: [UInt8] = []
        head.reserveCapacity(Int(end))
        Self.appendFileHeader(to: &head, programHeaderCount: layout.pieces.count + 1)
        // A segment of notes has neither an address nor rights.
        Self.appendProgramHeader(
            to: &head,
            (type: 4, flags: 0),
            offset: UInt64(notesOffset),
            address: 0,
            byteCount: UInt64(notes.count)
        )
        var offsets: [UInt64] = []
        for piece in layout.pieces {
            offsets.append(end)
            // Loaded; readable, writable and executable.
            Self.appendProgramHeader(
                to: &head,
                (type: 1, flags: 7),
                offset: end,
                address: piece.address,
                byteCount: UInt64(piece.byteCount)
            )
            end += UInt64(piece.byteCount)
        }
        head += notes
        head.append(zeros: (4096 - head.count % 4096) % 4096)
        self.head = head
        self.offsets = offsets
        byteCount = end
    }

    private static func appendFileHeader(to bytes: inout [UInt8], programHeaderCount: Int) {
        // 64 bits, little-endian, ELF version 1, for no system in particular.
        bytes += [0x7F, UInt8(ascii: "E"), UInt8(ascii: "L"), UInt8(ascii: "F"), 2, 1, 1, 0]
        bytes.append(zeros: 8)
        // A core (4) of an x86-64 (62), version 1.
        bytes.append(littleEndian: UInt16(4))
        bytes.append(littleEndian: UInt16(62))
        bytes.append(littleEndian: UInt32(1))
        // No entry; program headers follow; no section headers, no flags.
        bytes.append(littleEndian: UInt64(0))
        bytes.append(littleEndian: UInt64(64))
        bytes.append(littleEndian: UInt64(0))
        bytes.append(littleEndian: UInt32(0))
        // Bytes of this header and of a program header, and how many of those.
        bytes.append(littleEndian: UInt16(64))
        bytes.append(littleEndian: UInt16(56))
        bytes.append(littleEndian: UInt16(clamping: programHeaderCount))
        // Section headers: none, and where their names would be.
        bytes.append(zeros: 6)
    }

    private static func appendProgramHeader(
        to bytes: inout [UInt8],
        _ kind: (type: UInt32, flags: UInt32),
        offset: UInt64,
        address: UInt64,
        byteCount: UInt64
    ) {
        bytes.append(littleEndian: kind.type)
        bytes.append(littleEndian: kind.flags)
        bytes.append(littleEndian: offset)
        bytes.append(littleEndian: address)
        bytes.append(littleEndian: address)
        bytes.append(littleEndian: byteCount)
        bytes.append(littleEndian: byteCount)
        bytes.append(littleEndian: UInt64(0))
    }

    private static func notes(of processors: [X86Registers]) -> [UInt8] {
        var bytes: [UInt8] = []
        for (index, processor) in processors.enumerated() {
            appendNote(
                to: &bytes,
                name: "CORE",
                type: 1,
                processor.status(number: UInt32(index + 1))
            )
        }
        for processor in processors {
            appendNote(to: &bytes, name: "QEMU", type: 0, processor.state())
        }
        return bytes
    }

    /// Appends a note whose name and description are of whole words but for the name's end.
    private static func appendNote(
        to bytes: inout [UInt8],
        name: String,
        type: UInt32,
        _ description: [UInt8]
    ) {
        bytes.append(littleEndian: UInt32(name.utf8.count + 1))
        bytes.append(littleEndian: UInt32(description.count))
        bytes.append(littleEndian: type)
        bytes += Array(name.utf8)
        bytes.append(zeros: 4 - name.utf8.count % 4)
        bytes += description
    }
}
