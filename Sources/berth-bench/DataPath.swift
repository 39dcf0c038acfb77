import BerthMemory
import BerthStream
import BerthSystem
import BerthTransport
import BerthWire
import Glibc

/// Saves and loads a guest within this process, again and again with the same memory and the same
/// file: what Berth's own work costs, where no fresh page of memory or page cache is part of it.
///
/// Of four pages three have content, in runs of 64 pages.
func measureDataPath(byteCount: Int, path: String) throws -> [Row] {
    let block = try RAMBlock(id: "ram", byteCount: byteCount)
    for page in 0..<block.pageCount where page / 64 % 4 != 3 { write(block, page, 1) }
    let target = try RAMBlock(id: "ram", byteCount: byteCount)
    for page in 0..<target.pageCount { write(target, page, 0) }
    var rows: [Row] = []
    for path in ["/dev/null", path] {
        for kind in SaveKind.allCases where kind == .sequential || path != "/dev/null" {
            rows.append(try measureSave(block, kind, to: path))
            guard path != "/dev/null" else { continue }
            rows.append(try measureLoad(target, kind, from: path))
        }
    }
    return rows
}

private enum SaveKind: String, CaseIterable {
    case sequential, mapped
    case threaded = "mapped, writer thread"
    case direct = "mapped, direct-io"
    case direct2 = "mapped, direct-io 2"
}

private func measureSave(_ block: RAMBlock, _ kind: SaveKind, to path: String) throws -> Row {
    try measure("save", kind, path, block) {
        let descriptor = try OwnedDescriptor.open(path, O_WRONLY | O_CREAT, mode: 0o600)
        let channel = try Channel(descriptor, name: path)
        let output = StreamOutput(channel)
        let writer: any GuestWriter
        switch kind {
        case .sequential: writer = SequentialWriter(output)
        case .mapped: writer = MappedWriter(output)
        case .threaded: writer = try MappedWriter(output, pageChannels: [channel])
        case .direct, .direct2:
            let descriptor = try OwnedDescriptor.open(path, O_WRONLY, isDirect: true)
            let direct = try Channel(descriptor, name: path)
            writer = try MappedWriter(
                output,
                pageChannels: Array(repeating: direct, count: kind == .direct ? 1 : 2)
            )
        }
        try writer.begin(
            StreamPlan(configuration: ConfigurationSection(machineName: "none")),
            blocks: [StreamBlock(name: block.id, byteCount: block.byteCount)],
            earlySections: []
        )
        var dirty = PageBitmap(pageCount: block.pageCount, repeating: true)
        var next = 0
        try writer.beginIteration()
        while next < block.pageCount {
            _ = try GuestScanner(detectsZeroPages: true)
                .send(block, index: 0, dirty: &dirty, from: &next, limit: 1024, to: writer)
        }
        try writer.endIteration()
        try writer.beginCompletion(announced: true)
        try writer.finish(deviceSections: [], description: [])
        writer.end()
    }
}

private func measureLoad(_ block: RAMBlock, _ kind: SaveKind, from path: String) throws -> Row {
    try measure("load", kind, path, block) {
        let descriptor = try OwnedDescriptor.open(path, O_RDONLY)
        let channel = try Channel(descriptor, name: path)
        let receiver = LoadingReceiver(block)
        _ = try StreamReader(StreamInput(channel), receiver: receiver).read()
    }
}

private func measure(
    _ operation: String,
    _ kind: SaveKind,
    _ path: String,
    _ block: RAMBlock,
    _ body: () throws -> Void
) throws -> Row {
    try body()
    var processor = Double.infinity
    let elapsed = try best {
        let before = clock()
        let elapsed = try milliseconds(body)
        processor = min(processor, Double(clock() - before) / Double(CLOCKS_PER_SEC))
        return elapsed
    }
    let data = Double(block.byteCount) / Double(1 << 30) * 0.75
    return Row(
        names: [
            ("operation", operation), ("layout", kind.rawValue),
            ("file", path == "/dev/null" ? path : "page cache"),
        ],
        values: [("GiB/s of data", data / elapsed * 1000), ("CPU s/GiB of data", processor / data)]
    )
}

private final class LoadingReceiver: StreamReceiver {
    private let block: RAMBlock

    init(_ block: RAMBlock) { self.block = block }

    func accept(_ configuration: ConfigurationSection) {}

    func accept(_ blocks: [StreamBlock], ramSectionID: UInt32) -> any PageSink {
        GuestMemorySink([block])
    }

    func accept(section: SectionHeader.Identity) {}
    func kept(earlySections: [UInt8]) {}
    func answer(_ message: ReturnPathMessage) {}
    func progressed(_ progress: StreamProgress) {}
}
