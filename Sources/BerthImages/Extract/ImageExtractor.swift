public import BerthStream
import BerthSystem
import BerthTransport

/// `berth extract`: gives one part of an image in a form that other tools read.
///
/// Small parts come as bytes. Memory goes to a file, sparse and under its name only when it is whole.
public struct ImageExtractor {
    /// What the image doesn't say about where memory lies.
    public var options = LayoutOptions()
    /// Whether a sealed image is compared with its seal first.
    public var checksSeal = true
    /// Called now and then while memory is checked or written.
    public var progress: ((StreamProgress) -> Void)?

    private let image: GuestImage

    /// Takes parts of `image`.
    public init(_ image: GuestImage) {
        self.image = image
    }

    /// The domain's XML in a libvirt save file.
    /// - Throws: `ImageError` if there is none.
    public func xml() throws(ImageError) -> [UInt8] {
        guard let xml = image.libvirt?.xml, !xml.isEmpty else {
            throw missing("domain XML", hint: "only save files of libvirt have some")
        }
        return xml
    }

    /// libvirt's notes beside the XML in its save file.
    /// - Throws: `ImageError` if there are none.
    public func cookie() throws(ImageError) -> [UInt8] {
        guard let cookie = image.libvirt?.cookie else {
            throw missing("cookie", hint: "only save files of libvirt have one")
        }
        return cookie
    }

    /// The JSON in which QEMU describes the device state.
    /// - Throws: `ImageError` if the image can't be read, or has none.
    @available(*, noasync)
    public func description() throws(ImageError) -> [UInt8] {
        let state = try checkedState()
        guard let description = state.description, !description.isEmpty else {
            throw missing(
                "description of its devices",
                hint: "a source with suppress-vmdesc=on writes none"
            )
        }
        return description
    }

    /// The body of a device section; of one in several parts all bodies, in order.
    ///
    /// - Parameter wanted: its name, with `/INSTANCE` behind it if several have that name.
    /// - Throws: `ImageError` if the image can't be read, or no section or several are meant.
    @available(*, noasync)
    public func section(_ wanted: String) throws(ImageError) -> [UInt8] {
        let state = try checkedState()
        return try SectionChoice(wanted, in: state).bytes
    }

    /// One page.
    ///
    /// - Parameter place: `BLOCK:OFFSET`, or a guest-physical address; any byte of the page will do.
    /// - Throws: `ImageError` if the image can't be read, or has no such page.
    @available(*, noasync)
    public func page(_ place: PagePlace) throws(ImageError) -> [UInt8] {
        let pages = try checkedPages()
        let (block, offset) = try find(place, in: pages.received)
        return try pages.page(block: block, offset: offset / 4096 * 4096)
    }

    private func find(
        _ place: PagePlace,
        in received: ReceivedStream
    ) throws(ImageError) -> (block: Int, offset: Int) {
        switch place {
        case .address(let address):
            let layout = try PhysicalLayout(of: received, options: options)
            guard let place = layout.place(of: address) else {
                throw ImageError(
                    "no RAM is at address 0x\(String(address, radix: 16))",
                    hint: "RAM is at \(layout.addressText)"
                )
            }
            return place
        case .block(let name, let offset):
            let index = try block(name, in: received.blocks)
            guard let offset = Int(exactly: offset), offset < received.blocks[index].byteCount
            else {
                throw ImageError(
                    "the block '\(name)' has no offset 0x\(String(offset, radix: 16))",
                    hint: "it has \(received.blocks[index].byteCount) bytes"
                )
            }
            return (index, offset)
        }
    }

    private func block(_ name: String, in blocks: [StreamBlock]) throws(ImageError) -> Int {
        guard let index = MainMemory.index(of: name, in: blocks) else {
            throw MainMemory.noBlock(name, in: blocks)
        }
        return index
    }

    private func checkedPages() throws(ImageError) -> ImagePages {
        _ = try image.checkSeal(checksSeal, progress)
        return try image.pages()
    }

    private func checkedState() throws(ImageError) -> DeviceState {
        _ = try image.checkSeal(checksSeal, progress)
        return try image.read(PageCensus()).received.deviceState
    }

    private func missing(_ what: String, hint: String) -> ImageError {
        ImageError("'\(image.path)' has no \(what)", hint: hint)
    }
}

// Memory, into files.

extension ImageExtractor {
    /// What was written.
    public struct MemoryReport: Sendable {
        /// Where the guest's RAM was put.
        public var layout: PhysicalLayout
        /// The image's blocks, which the layout's indices mean.
        public var blocks: [StreamBlock]
        /// Processors whose registers are in the core.
        public var processorCount = 0
        /// Why no registers are in the core.
        public var problem: String?
    }

    /// Writes RAM as the guest sees it: each byte at the offset that is its physical address.
    ///
    /// - Throws: `ImageError`; nothing is left under the file's name.
    @available(*, noasync)
    @discardableResult
    public func writeRaw(to path: String) throws(ImageError) -> MemoryReport {
        let pages = try checkedPages()
        let layout = try PhysicalLayout(of: pages.received, options: options)
        try write(
            pages,
            layout.pieces.map {
                MemoryWriter.Target(
                    block: $0.block,
                    bytes: $0.offset..<$0.offset + $0.byteCount,
                    fileOffset: $0.address
                )
            },
            to: path,
            byteCount: layout.end
        )
        return MemoryReport(layout: layout, blocks: pages.blocks)
    }

    /// Writes RAM and the processors' registers as an ELF core: for gdb, crash and Volatility.
    ///
    /// Without registers that can be read the core has memory only, and the report says why.
    /// - Throws: `ImageError`; nothing is left under the file's name.
    @available(*, noasync)
    @discardableResult
    public func writeELF(to path: String) throws(ImageError) -> MemoryReport {
        let pages = try checkedPages()
        let layout = try PhysicalLayout(of: pages.received, options: options)
        let (processors, problem) = X86Registers.all(in: pages.received.deviceState)
        let core = ELFCore(layout, processors: processors)
        try write(
            pages,
            zip(layout.pieces, core.offsets).map {
                MemoryWriter.Target(
                    block: $0.block,
                    bytes: $0.offset..<$0.offset + $0.byteCount,
                    fileOffset: $1
                )
            },
            head: core.head,
            to: path,
            byteCount: core.byteCount
        )
        return MemoryReport(
            layout: layout,
            blocks: pages.blocks,
            processorCount: processors.count,
            problem: problem
        )
    }

    /// Writes one block.
    ///
    /// - Throws: `ImageError`; nothing is left under the file's name.
    @available(*, noasync)
    public func writeBlock(_ name: String, to path: String) throws(ImageError) {
        let pages = try checkedPages()
        let index = try block(name, in: pages.blocks)
        let byteCount = pages.blocks[index].byteCount
        try write(
            pages,
            [MemoryWriter.Target(block: index, bytes: 0..<byteCount, fileOffset: 0)],
            to: path,
            byteCount: UInt64(byteCount)
        )
    }

    @available(*, noasync)
    private func write(
        _ pages: ImagePages,
        _ targets: [MemoryWriter.Target],
        head: [UInt8] = [],
        to path: String,
        byteCount: UInt64
    ) throws(ImageError) {
        let file = try ImageFile(creating: path, from: [image.path])
        defer { file.discard() }
        guard file.channel.objectKind == .regularFile else {
            throw ImageError(
                "cannot write memory to '\(path)', which can't have holes",
                hint: "name a regular file"
            )
        }
        do {
            try file.channel.resize(to: byteCount)
        } catch {
            throw ImageError(error)
        }
        try file.channel.writeBytes(head, at: 0)
        var writer = MemoryWriter(file: file.channel, targets: targets)
        writer.progress = progress
        try writer.write(pages)
        try file.commit()
    }
}

extension ImagePages {
    /// One page, copied.
    @available(*, noasync)
    fileprivate func page(block: Int, offset: Int) throws(ImageError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 4096)
        try unsafe bytes.withUnsafeMutableBufferPointer { buffer throws(ImageError) in
            try unsafe read(
                block: block,
                offset: offset,
                into: UnsafeMutableRawBufferPointer(buffer)
            )
        }
        return bytes
    }
}
