import BerthImages
import BerthMemory
import BerthStream
import BerthSystem
import BerthTestSupport
import BerthTransport
import BerthWire
import Glibc

/// A guest of any machine type, blocks and devices, saved as an image.
struct SavedGuest {
    var machineName = "pc-q35-10.0"
    var uuid: GuestUUID?
    var blocks: [RAMBlock]
    var state: DeviceState

    /// Makes a guest with empty memory.
    ///
    /// - Parameter blocks: names and numbers of pages.
    init(_ blocks: KeyValuePairs<String, Int>, state: DeviceState? = nil) throws {
        self.blocks = try blocks.map {
            try RAMBlock(id: $0.key, byteCount: $0.value * targetPageByteCount)
        }
        self.state = state ?? .fresh(runState: "running", machineName: machineName)
    }

    /// Fills a page with words that tell it from all others.
    func fill(_ block: Int, _ page: Int, version: UInt64 = 1) {
        let base = blocks[block].base + page * targetPageByteCount
        for offset in stride(from: 0, to: targetPageByteCount, by: 8) {
            let word = version << 48 | UInt64(block) << 40 | UInt64(page << 12 + offset)
            base.storeBytes(of: word, toByteOffset: offset, as: UInt64.self)
        }
    }

    /// A page's bytes now.
    func page(_ block: Int, _ page: Int) -> [UInt8] {
        let base = blocks[block].base + page * targetPageByteCount
        return Array(UnsafeRawBufferPointer(start: base, count: targetPageByteCount))
    }

    /// The blocks as a stream lists them.
    var listed: [StreamBlock] {
        blocks.map { StreamBlock(name: $0.id, byteCount: $0.byteCount) }
    }

    /// Writes the image.
    ///
    /// - Parameter detectsZeroPages: whether empty pages are left out; some sources send them like others.
    func save(
        to path: String,
        as layout: StreamLayout,
        detectsZeroPages: Bool = true
    ) throws {
        let file = try OwnedDescriptor.open(path, O_RDWR | O_CREAT | O_TRUNC, mode: 0o600)
        let channel = try Channel(file, name: path)
        let output = StreamOutput(channel, position: 0)
        let writer: any GuestWriter =
            layout == .sequential ? SequentialWriter(output) : MappedWriter(output)
        try writer.begin(
            StreamPlan(
                configuration: ConfigurationSection(machineName: machineName, uuid: uuid),
                ramSectionID: 2,
                opensReturnPath: false
            ),
            blocks: listed,
            earlySections: []
        )
        try writer.beginIteration()
        let scanner = GuestScanner(detectsZeroPages: detectsZeroPages)
        for (index, block) in blocks.enumerated() {
            var dirty = PageBitmap(pageCount: block.pageCount, repeating: true)
            var page = 0
            while page < block.pageCount {
                _ = try scanner.send(
                    block,
                    index: index,
                    dirty: &dirty,
                    from: &page,
                    limit: 1 << 20,
                    to: writer
                )
            }
        }
        try writer.endIteration()
        try writer.beginCompletion(announced: true)
        try writer.finish(
            deviceSections: state.final.encoded(footers: true),
            description: state.description
        )
        try channel.close()
    }
}
