import BerthStream
import BerthWire
import Testing

@testable import BerthImages

/// Where memory lies in the machines of QEMU, as its monitor's `info mtree` shows it.
@Suite struct PhysicalLayoutTests {
    private static let mebibyte: UInt64 = 1 << 20

    private func layout(
        _ machine: String,
        _ blocks: KeyValuePairs<String, UInt64>,
        state: DeviceState = DeviceState(final: DeviceSectionRun(), description: nil),
        options: LayoutOptions = LayoutOptions()
    ) throws -> PhysicalLayout {
        try PhysicalLayout(
            of: blocks.map {
                StreamBlock(name: $0.key, byteCount: Int($0.value * Self.mebibyte))
            },
            machineName: machine,
            deviceState: state,
            options: options
        )
    }

    /// The pieces as text: address, block, offset, length, the numbers in MiB.
    private func text(_ layout: PhysicalLayout) -> [String] {
        layout.pieces.map {
            "\($0.address >> 20) \($0.block)+\($0.offset >> 20) \($0.byteCount >> 20)"
        }
    }

    /// Machine, RAM in MiB, the end of low memory in MiB; seen in QEMU 10.0's `info mtree -f`, for
    /// `isapc` above 3.5 GiB in QEMU 7.2's.
    private static let splits: [(String, UInt64, UInt64)] = [
        ("pc-i440fx-10.0", 128, 128), ("pc-i440fx-10.0", 3072, 3072),
        ("pc-i440fx-10.0", 3583, 3583), ("pc-i440fx-10.0", 3584, 3072),
        ("pc-i440fx-jammy", 6144, 3072), ("pc", 6144, 3072),
        ("pc-q35-10.0", 2815, 2815), ("pc-q35-10.0", 2816, 2048), ("pc-q35-7.2", 6144, 2048),
        ("pc-q35-rhel9.4.0", 6144, 2048), ("q35", 1 << 20, 2048),
        ("microvm", 3072, 3072), ("microvm", 3073, 3072), ("microvm", 3584, 3072),
        ("isapc", 3584, 3584), ("isapc", 4096, 3584),
        ("none", 6144, 6144),
    ]

    @Test(arguments: splits)
    func `memory is divided as the machine type does`(
        _ machine: String,
        _ total: UInt64,
        _ low: UInt64
    ) throws {
        let layout = try layout(machine, ["ram": total])
        let high = total - low
        #expect(
            text(layout) == ["0 0+0 \(low)"] + (high > 0 ? ["4096 0+\(low) \(high)"] : [])
        )
        #expect(layout.end == (high > 0 ? 4096 + high : low) * Self.mebibyte)
    }

    @Test func `an address is found in its block`() throws {
        let layout = try layout("pc-q35-10.0", ["vga.vram": 16, "pc.ram": 6144])
        #expect(layout.place(of: 0).map { [$0.block, $0.offset] } == [1, 0])
        #expect(layout.place(of: 0x7FFF_FFFF).map { [$0.block, $0.offset] } == [1, 0x7FFF_FFFF])
        #expect(layout.place(of: 0x8000_0000) == nil)
        #expect(layout.place(of: 0xFFFF_FFFF) == nil)
        #expect(layout.place(of: 1 << 32).map { [$0.block, $0.offset] } == [1, 0x8000_0000])
        #expect(
            layout.place(of: 0x1_FFFF_FFFF).map { [$0.block, $0.offset] } == [1, 0x17FFF_FFFF]
        )
        #expect(layout.place(of: 0x2_0000_0000) == nil)
        #expect(layout.place(of: .max) == nil)
        #expect(layout.unplaced == [0])
    }

    /// Blocks of a stream in its order, by size, and those that are RAM in the machine's order.
    private static let names: [([String], [Int])] = [
        (["pc.ram", "vga.vram", "pc.bios", "mem0"], [0]),
        (["vga.vram", "microvm.ram"], [1]),
        (["ram"], [0]),
        (["ram-node1", "ram-node0", "vga.vram"], [1, 0]),
        (["/objects/ram-node0", "/objects/ram-node1", "/objects/ram-node10"], [0, 1]),
        (["mem1", "mem0", "0000:00:02.0/vga.vram"], [1, 0]),
        (["dimm1", "mem0"], [1]),
        (["/rom@etc/acpi/tables", "system.flash0", "pc.rom", "my memory"], [3]),
        (["/objects/only"], [0]),
    ]

    @Test(arguments: names)
    func `the blocks that are RAM are known by their names`(
        _ names: [String],
        _ found: [Int]
    ) throws {
        let blocks = names.map { StreamBlock(name: $0, byteCount: 4096) }
        #expect(try MainMemory.blocks(of: blocks, named: []) == found)
    }

    @Test(arguments: [["one", "other"], ["vga.vram"], ["ram-node1", "ram-node2"], []])
    func `what could be RAM or not is not guessed`(_ names: [String]) throws {
        let blocks = names.map { StreamBlock(name: $0, byteCount: 4096) }
        let error = #expect(throws: ImageError.self) {
            try MainMemory.blocks(of: blocks, named: [])
        }
        #expect(error?.description.hasPrefix("cannot tell which of the blocks") == true)
        #expect(error?.hint?.contains("--ram") == true)
    }

    @Test func `nodes follow each other across the hole`() throws {
        let layout = try layout(
            "pc-i440fx-9.2",
            ["ram-node2": 3000, "ram-node0": 2000, "ram-node1": 2000]
        )
        #expect(
            text(layout) == ["0 1+0 2000", "2000 2+0 1072", "4096 2+1072 928", "5024 0+0 3000"]
        )
        #expect(layout.unplaced.isEmpty)
    }

    @Test func `the user knows better`() throws {
        var options = LayoutOptions()
        options.ram = ["b", "/objects/a"]
        options.lowMemory = 1 << 30
        options.placed = [("dimm", 0x1_4000_0000)]
        let layout = try layout(
            "pc-q35-10.0",
            ["a": 1024, "b": 512, "dimm": 256, "c": 8],
            options: options
        )
        #expect(text(layout) == ["0 1+0 512", "512 0+0 512", "4096 0+512 512", "5120 2+0 256"])
        #expect(layout.unplaced == [3])
    }

    @Test func `a machine of another kind can be laid out by hand`() throws {
        let error = #expect(throws: ImageError.self) { try self.layout("virt-10.0", ["ram": 64]) }
        #expect(error?.description.contains("'virt-10.0'") == true)
        #expect(error?.hint?.contains("--place") == true)
        var options = LayoutOptions()
        options.placed = [("ram", 0x4000_0000)]
        #expect(try text(layout("virt-10.0", ["ram": 64], options: options)) == ["1024 0+0 64"])
    }

    @Test func `wishes that fit nothing are refused`() throws {
        func message(_ change: (inout LayoutOptions) -> Void) throws -> String {
            var options = LayoutOptions()
            change(&options)
            let error = #expect(throws: ImageError.self) {
                try self.layout("pc-q35-10.0", ["pc.ram": 64, "dimm": 64], options: options)
            }
            return try #require(error).description
        }
        #expect(try message { $0.ram = ["nothing"] } == "there is no block 'nothing'")
        #expect(try message { $0.ram = ["dimm", "dimm"] }.hasSuffix("named twice"))
        #expect(try message { $0.lowMemory = 4097 }.contains("4 GiB at most"))
        #expect(try message { $0.lowMemory = 0 }.contains("4 GiB at most"))
        #expect(try message { $0.lowMemory = 1 << 33 }.contains("4 GiB at most"))
        #expect(try message { $0.placed = [("nothing", 0)] }.contains("'nothing'"))
        #expect(try message { $0.placed = [("dimm", 100)] }.contains("0x64"))
        #expect(try message { $0.placed = [("dimm", .max - 4095)] }.contains("0xfffffffffffff000"))
        #expect(
            try message { $0.placed = [("dimm", 63 << 20)] }
                == "the blocks 'pc.ram' and 'dimm' would overlap at address 0x3f00000"
        )
        #expect(
            try message { $0.placed = [("pc.ram", 1 << 33)] }
                == "the block 'pc.ram' would be at two addresses"
        )
    }

    /// A clock whose CMOS tells of so much memory, in MiB.
    private func clock(low: UInt64, high: UInt64) -> DeviceState {
        var body = [UInt8](repeating: 0, count: 200)
        let lowUnits = (low - 16) * 16
        let highUnits = high * 16
        (body[0x34], body[0x35]) = (UInt8(lowUnits & 255), UInt8(lowUnits >> 8))
        for index in 0..<3 {
            body[0x5B + index] = UInt8(truncatingIfNeeded: highUnits >> UInt64(8 * index))
        }
        var run = DeviceSectionRun()
        run.append(
            id: 7,
            identity: .init(name: "mc146818rtc", instance: 0, version: 3),
            body: body,
            footer: true
        )
        return DeviceState(final: run, description: nil)
    }

    @Test func `what the machine told its firmware counts if it can be`() throws {
        // A q35 with max-ram-below-4g=1G.
        let told = try layout("pc-q35-10.0", ["pc.ram": 6144], state: clock(low: 1024, high: 5120))
        #expect(text(told) == ["0 0+0 1024", "4096 0+1024 5120"])
        // A pc with max-ram-below-4g=3840M that needs no high memory.
        let low = try layout("pc-i440fx-10.0", ["pc.ram": 3800], state: clock(low: 3800, high: 0))
        #expect(text(low) == ["0 0+0 3800"])
        // Something that the guest wrote there.
        let wrong = try layout("pc-q35-10.0", ["pc.ram": 6144], state: clock(low: 1024, high: 1))
        #expect(text(wrong) == ["0 0+0 2048", "4096 0+2048 4096"])
        var options = LayoutOptions()
        options.lowMemory = 512 << 20
        let wish = try layout(
            "pc-q35-10.0",
            ["pc.ram": 6144],
            state: clock(low: 1024, high: 5120),
            options: options
        )
        #expect(text(wish) == ["0 0+0 512", "4096 0+512 5632"])
    }

    @Test(
        arguments: [
            ("0x1234000", PagePlace.address(0x123_4000)), ("4096", .address(4096)),
            ("pc.ram:0x1000", .block("pc.ram", offset: 4096)),
            ("0000:00:02.0/vga.vram:8192", .block("0000:00:02.0/vga.vram", offset: 8192)),
            ("pc.ram", nil), ("pc.ram:", nil), (":0", nil), ("", nil), ("0x", nil), ("-1", nil),
            ("a:-1", nil), ("99999999999999999999999", nil),
        ]
    )
    func `a page is named by its block or address`(_ text: String, _ place: PagePlace?) {
        #expect(PagePlace(text) == place)
    }
}
