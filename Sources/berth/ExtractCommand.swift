public import ArgumentParser
public import BerthImages
import BerthQAPI
import BerthStream

/// `berth extract`: one part of an image, for other tools.
struct ExtractCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "extract",
        abstract: "Take one part out of a saved guest: its memory, a page, a device, the XML.",
        discussion: """
            Memory goes to a file, which is sparse: it takes the space of what isn't zero.

                berth extract vm.save --elf -o vm.core && gdb -c vm.core
                berth extract vm.save --raw -o vm.raw
                berth extract vm.save --page 0x1000 | hexdump -C
                berth extract vm.save --section cpu/0 | hexdump -C
                berth extract vm.save --xml
            """
    )

    @Argument(help: "The image: any layout, bare or saved by libvirt.")
    var image: String

    @Option(
        name: [.short, .long],
        help: "The file to write. Memory needs one; the rest goes to standard output without."
    )
    var output: String?

    @Flag(help: "RAM, each byte at the offset of its physical address.")
    var raw = false

    @Flag(help: "RAM and registers as an ELF core, for gdb, crash and Volatility.")
    var elf = false

    @Option(help: "One block, as 'berth inspect' lists them.")
    var block: String?

    @Option(help: "One page: BLOCK:OFFSET, or a physical address.")
    var page: PagePlace?

    @Option(help: "The state of one device: NAME, or NAME/INSTANCE.")
    var section: String?

    @Flag(help: "libvirt's domain XML.")
    var xml = false

    @Flag(help: "What libvirt keeps beside the XML.")
    var cookie = false

    @Flag(name: .customLong("description"), help: "QEMU's description of the device state, JSON.")
    var deviceDescription = false

    @Option(
        help: ArgumentHelp(
            "The end of RAM below the hole before 4 GiB, if the machine's own is not found.",
            valueName: "size"
        )
    )
    var lowMemory: String?

    @Option(help: "The blocks that are RAM, in order, if they are not found: NAME,NAME...")
    var ram: String?

    @Option(help: "A further block and its physical address: NAME=ADDRESS; any number of times.")
    var place: [String] = []

    @Flag(help: "Take a sealed image as it is, without comparing it with its seal.")
    var noCheck = false

    func validate() throws {
        let parts = [
            ("--raw", raw), ("--elf", elf), ("--block", block != nil), ("--page", page != nil),
            ("--section", section != nil), ("--xml", xml), ("--cookie", cookie),
            ("--description", deviceDescription),
        ]
        let given = parts.filter(\.1).map(\.0)
        guard given.count == 1 else {
            throw ValidationError(
                given.isEmpty
                    ? "say what to extract: one of "
                        + parts.map(\.0).dropLast().joined(separator: ", ")
                        + " and --description"
                    : "only one of \(given.joined(separator: " and ")) can be given"
            )
        }
        guard output ?? "-" != "-" || !(raw || elf || block != nil) else {
            throw ValidationError("memory goes to a file: name one with -o FILE")
        }
        _ = try layoutOptions()
    }

    func run() {
        Interruption.cleaningUp { UnfinishedImages.removeAll() }
        let line = ProgressLine(verb: "extracted")
        do {
            var extractor = try ImageExtractor(GuestImage(opening: image))
            extractor.options = try layoutOptions()
            extractor.checksSeal = !noCheck
            extractor.progress = { line.show($0) }
            try extract(with: extractor, line)
        } catch let error as ImageError {
            line.end()
            fail(error.description, hint: error.hint)
        } catch {
            fail("\(error)", hint: nil)
        }
    }

    private func extract(
        with extractor: ImageExtractor,
        _ line: ProgressLine
    ) throws(ImageError) {
        if let output, raw || elf {
            let report = try raw ? extractor.writeRaw(to: output) : extractor.writeELF(to: output)
            line.end()
            show(report)
        } else if let output, let block {
            try extractor.writeBlock(block, to: output)
            line.end()
        } else {
            let part = try part(of: extractor)
            line.end()
            try SmallOutput.write(
                part,
                to: output,
                from: image,
                isText: page == nil && section == nil
            )
        }
    }

    /// A part that isn't large.
    private func part(of extractor: ImageExtractor) throws(ImageError) -> [UInt8] {
        if let page { return try extractor.page(page) }
        if let section { return try extractor.section(section) }
        if xml { return try extractor.xml() }
        return try cookie ? extractor.cookie() : extractor.description()
    }

    private func show(_ report: ImageExtractor.MemoryReport) {
        print(printable("RAM at \(report.layout.addressText)"))
        if elf {
            let count = report.processorCount
            print("registers of \(count) \(count == 1 ? "processor" : "processors")")
        }
        let rest = report.layout.unplaced.map { report.blocks[$0].name }
        if !rest.isEmpty {
            print(printable("without \(rest.joined(separator: ", "))"))
        }
        if let problem = report.problem {
            complain("the core has no registers: \(problem)")
        }
    }

    private func layoutOptions() throws -> LayoutOptions {
        var options = LayoutOptions()
        if let lowMemory {
            guard let byteCount = SizeText.parse(lowMemory) else {
                throw ValidationError("'\(lowMemory)' is no size, as 2G is")
            }
            options.lowMemory = byteCount
        }
        options.ram = ram?.split(separator: ",").map(String.init) ?? []
        for text in place {
            guard let sign = text.lastIndex(of: "="),
                let address = SizeText.parse(String(text[text.index(after: sign)...]))
            else {
                throw ValidationError("'\(text)' is not NAME=ADDRESS, as mem1=0x140000000 is")
            }
            options.placed.append((String(text[..<sign]), address))
        }
        return options
    }
}

extension PagePlace: ExpressibleByArgument {
    /// Reads what stands on the command line.
    public init?(argument: String) {
        self.init(argument)
    }
}
