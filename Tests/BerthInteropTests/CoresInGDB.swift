import BerthTestSupport
import Foundation
import Testing

extension Interop {
    /// Memory and registers of real QEMU's guests, taken out of their images.
    @Suite(.requiresQEMU10, .requiresBerth, .requiresGuest)
    struct CoresInGDB {
        /// A guest on both sides of the hole below 4 GiB, and how it is saved.
        struct Case: CustomTestStringConvertible, Sendable {
            var program = PeerProgram.qemu
            var machine: PeerMachineType
            var isMapped = false
            var options: [String] = []
            /// Where low memory ends.
            var lowEnd: UInt64

            var testDescription: String {
                "\(program), \(machine) \(options.joined(separator: " "))"
            }
        }

        private static let cases = [
            Case(machine: .pc, lowEnd: 3 << 30),
            Case(machine: .q35, isMapped: true, lowEnd: 2 << 30),
            Case(
                machine: .q35,
                isMapped: true,
                options: ["-machine", "max-ram-below-4g=1G"],
                lowEnd: 1 << 30
            ),
            Case(program: .oldQEMU, machine: .pc, lowEnd: 3 << 30),
        ]

        private static let memoryByteCount: UInt64 = 6 << 30

        /// A stopped guest and its image.
        private struct Saved {
            let machine: PeersMachine
            let image: String
            /// Words that QEMU's own loader put at physical addresses before the start.
            let words: [UInt64: UInt64]
        }

        private func save(_ test: Case, in directory: PeersDirectory) throws -> Saved {
            var guest = PeerGuest(
                test.machine,
                version: test.program == .oldQEMU ? "7.2" : "10.0",
                firmware: Peers.guest
            )
            guest.memoryByteCount = Int(Self.memoryByteCount)
            guest.memory = .anonymous
            let highEnd = 4 << 30 + Self.memoryByteCount - test.lowEnd
            let addresses: [UInt64] = [
                0x1800_0000, test.lowEnd - 8, 4 << 30, 4 << 30 + 0x12_3450, highEnd - 8,
            ]
            let words = Dictionary(
                uniqueKeysWithValues: addresses.enumerated().map {
                    ($1, 0x1122_3344_5566_7700 + UInt64($0))
                }
            )
            let loaders = words.flatMap {
                ["-device", "loader,addr=\($0.key),data=\($0.value),data-len=8"]
            }
            let machine = try PeersMachine(
                test.program,
                guest,
                in: directory,
                paused: false,
                options: ["-smp", "2"] + loaders + test.options
            )
            // Some rounds of the guest: it has loaded its registers and written its state.
            try machine.waitForCounter()
            try machine.monitor.execute("stop")
            let image = directory.file("image")
            if test.program != .oldQEMU { try machine.setCapability("mapped-ram", test.isMapped) }
            try machine.migrate(to: machine.fileURI(image))
            return Saved(machine: machine, image: image, words: words)
        }

        private func extract(_ arguments: [String], in directory: PeersDirectory) throws {
            let berth = try #require(Peers.berth)
            let process = try PeersProcess([berth, "extract"] + arguments, in: directory)
            #expect(try process.waitForExit() == 0, "\(process.errorOutput)")
        }

        @Test(.requiresGDB, .requiresQEMU72, .timeLimit(.minutes(5)), arguments: cases)
        func `a core has the guest's memory at its addresses and its registers`(
            _ test: Case
        ) throws {
            let directory = try PeersDirectory()
            let saved = try save(test, in: directory)
            let core = directory.file("core")
            try extract([saved.image, "--elf", "-o", core], in: directory)
            let gdb = PeersGDB(core: core, in: directory)
            #expect(try gdb.words(at: Array(saved.words.keys)) == saved.words)
            // What the guest itself keeps in its memory, as the monitor sees it.
            let state = try saved.machine.physicalWords(at: 0x1000, count: 3)
            #expect(
                try gdb.words(at: [0x1000, 0x1008, 0x1010])
                    == [0x1000: state[0], 0x1008: state[1], 0x1010: state[2]]
            )
            let registers = try saved.machine.registers()
            #expect(registers.count == 2)
            for (name, key) in [
                ("rax", "AX"), ("rbx", "BX"), ("rcx", "CX"), ("rdx", "DX"), ("rsi", "SI"),
                ("rdi", "DI"), ("rbp", "BP"), ("rsp", "SP"), ("rip", "IP"), ("eflags", "FL"),
            ] {
                #expect(try gdb.register(name) == registers.compactMap { $0[key] }, "\(name)")
            }
        }

        @Test(.requiresQEMU72, .timeLimit(.minutes(5)), arguments: cases)
        func `a core agrees with QEMU's own dump of the guest`(_ test: Case) throws {
            let directory = try PeersDirectory()
            let saved = try save(test, in: directory)
            let path = directory.file("core")
            try extract([saved.image, "--elf", "-o", path], in: directory)
            let core = try CoreFile(path)
            #expect(core.segments.map(\.address) == [0, 4 << 30])
            #expect(
                core.segments.map(\.byteCount) == [test.lowEnd, Self.memoryByteCount - test.lowEnd]
            )

            for start in [0, test.lowEnd - 16 << 20, 4 << 30] as [UInt64] {
                let dumpPath = directory.file("dump-\(start)")
                try saved.machine.monitor.execute(
                    "dump-guest-memory",
                    [
                        "paging": false, "protocol": .string("file:\(dumpPath)"),
                        "begin": .integer(Int64(start)), "length": .integer(16 << 20),
                    ]
                )
                let dump = try CoreFile(dumpPath)
                #expect(try core.notes(of: "QEMU") == dump.notes(of: "QEMU"))
                #expect(try core.notes(of: "QEMU").count == 2)
                var compared = 0
                for segment in dump.segments {
                    for offset in stride(from: 0, to: segment.byteCount, by: 1 << 16) {
                        let address = segment.address + offset
                        // There a PC shows video memory and firmware in the place of RAM.
                        guard !(0xA_0000..<0x10_0000).contains(address) else { continue }
                        #expect(try core.bytes(at: address) == dump.bytes(at: address))
                        compared += 1 << 16
                    }
                }
                #expect(compared >= 14 << 20)
            }
        }

        @Test(.requiresQEMU72, .timeLimit(.minutes(5)), arguments: cases)
        func `raw memory and single pages are found by their addresses`(_ test: Case) throws {
            let directory = try PeersDirectory()
            let saved = try save(test, in: directory)
            let raw = directory.file("raw")
            try extract([saved.image, "--raw", "-o", raw], in: directory)
            let file = try FileHandle(forReadingFrom: URL(filePath: raw))
            for (address, word) in saved.words {
                try file.seek(toOffset: address)
                #expect(try littleEndian(file.read(upToCount: 8)) == word)
                // One on each side of the hole: a sequential image is read whole for each.
                guard [test.lowEnd - 8, 4 << 30].contains(address) else { continue }
                let page = directory.file("page")
                try extract([saved.image, "--page", "\(address)", "-o", page], in: directory)
                let bytes = try Data(contentsOf: URL(filePath: page))
                #expect(bytes.count == 4096)
                #expect(littleEndian(bytes.dropFirst(Int(address % 4096)).prefix(8)) == word)
            }
            var status = stat()
            try #require(stat(raw, &status) == 0)
            #expect(UInt64(status.st_size) == 4 << 30 + Self.memoryByteCount - test.lowEnd)
            // The guest has written 16 MiB of 6 GiB.
            #expect(status.st_blocks * 512 < 32 << 20)
        }
    }
}

private func littleEndian(_ bytes: Data?) -> UInt64 {
    (bytes ?? Data()).reversed().reduce(0) { $0 << 8 | UInt64($1) }
}

/// An ELF core, read with nothing of Berth's.
private struct CoreFile {
    struct Segment {
        var address: UInt64
        var offset: UInt64
        var byteCount: UInt64
    }

    private let file: FileHandle
    private(set) var segments: [Segment] = []
    private var noteBytes = Data()

    init(_ path: String) throws {
        file = try FileHandle(forReadingFrom: URL(filePath: path))
        let head = try file.read(upToCount: 64) ?? Data()
        try #require(head.prefix(5) == Data([0x7F, 0x45, 0x4C, 0x46, 2]))
        let table = littleEndian(head[32..<40])
        for index in 0..<littleEndian(head[56..<58]) {
            try file.seek(toOffset: table + 56 * index)
            let entry = try file.read(upToCount: 56) ?? Data()
            let segment = Segment(
                address: littleEndian(entry[24..<32]),
                offset: littleEndian(entry[8..<16]),
                byteCount: littleEndian(entry[32..<40])
            )
            if littleEndian(entry[0..<4]) == 4 {
                try file.seek(toOffset: segment.offset)
                noteBytes = try file.read(upToCount: Int(segment.byteCount)) ?? Data()
            } else {
                segments.append(segment)
            }
        }
    }

    /// The descriptions of all notes of one owner.
    func notes(of owner: String) throws -> [Data] {
        var rest = noteBytes
        var found: [Data] = []
        while rest.count >= 12 {
            let nameCount = Int(littleEndian(rest.prefix(4)))
            let count = Int(littleEndian(rest.dropFirst(4).prefix(4)))
            let name = rest.dropFirst(12).prefix(nameCount)
            rest = rest.dropFirst(12 + (nameCount + 3) / 4 * 4)
            if name == Data(owner.utf8) + [0] { found.append(Data(rest.prefix(count))) }
            rest = rest.dropFirst((count + 3) / 4 * 4)
        }
        return found
    }

    /// 64 KiB of memory.
    func bytes(at address: UInt64) throws -> Data? {
        let segment = try #require(
            segments.first { $0.address <= address && address < $0.address + $0.byteCount },
            "nothing is at \(address)"
        )
        try file.seek(toOffset: segment.offset + address - segment.address)
        return try file.read(upToCount: 1 << 16)
    }
}

extension PeersMachine {
    /// The answer of the human monitor.
    fileprivate func human(_ line: String) throws -> String {
        try monitor.execute(
            "human-monitor-command",
            ["command-line": .string(line)]
        ).string ?? ""
    }

    /// 64-bit words of physical memory, as the monitor shows them.
    fileprivate func physicalWords(at address: UInt64, count: Int) throws -> [UInt64] {
        try human("xp /\(count)xg \(address)").split(whereSeparator: \.isNewline).flatMap { line in
            line.split(separator: " ").dropFirst().compactMap {
                UInt64($0.dropFirst(2), radix: 16)
            }
        }
    }

    /// Waits until the guest that counts has begun to.
    fileprivate func waitForCounter() throws {
        let deadline = ContinuousClock.now + .seconds(30)
        while try physicalWords(at: 0x1000, count: 1).first ?? 0 < 3 << 32 {
            guard ContinuousClock.now < deadline else {
                throw PeerFailure("the guest doesn't count: \(try human("xp /4xg 4096"))")
            }
            usleep(2000)
        }
    }

    /// The registers of all processors, as the monitor shows them, without the first letter that says
    /// how wide they are.
    fileprivate func registers() throws -> [[String: UInt64]] {
        var processors: [[String: UInt64]] = []
        for line in try human("info registers -a").split(whereSeparator: \.isNewline) {
            if line.hasPrefix("CPU#") { processors.append([:]) }
            for word in line.split(separator: " ") {
                let sides = word.split(separator: "=")
                guard sides.count == 2, sides[0].first == "E" || sides[0].first == "R",
                    let number = UInt64(sides[1], radix: 16), !processors.isEmpty
                else { continue }
                processors[processors.count - 1][String(sides[0].dropFirst())] = number
            }
        }
        return processors
    }
}
