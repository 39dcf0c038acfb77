import BerthMemory
public import BerthStream
import BerthTransport
public import BerthWire

/// Writes an image of a guest that a program has: from scratch, or from another image's pages.
///
/// Function: pages come in any order, each once or several times, and those that never come are
/// zero. `commit` gives the image its name; without it nothing is left. Owned by one thread.
///
///     let writer = try ImageWriter(
///         creating: "copy.img",
///         from: ["vm.img"],
///         as: .mappedRAM,
///         configuration: pages.received.configuration,
///         blocks: pages.blocks,
///         deviceState: pages.received.deviceState
///     )
public final class ImageWriter {
    /// The blocks, in the order in which the image lists them.
    public let blocks: [StreamBlock]

    private let target: ImageTarget
    private let writer: any GuestWriter
    private let configuration: ConfigurationSection
    private let deviceState: DeviceState
    private let ramSectionID: UInt32
    private let scanner = GuestScanner(detectsZeroPages: true)

    /// Creates the image and writes all that comes before the pages.
    ///
    /// - Parameters:
    ///   - path: the image's name.
    ///   - inputs: names of files that pages come from, which the image can't take the place of.
    ///   - format: its form.
    ///   - configuration: machine name, UUID and capabilities; the layout's own capability is put
    ///     right here.
    ///   - blocks: names of 1 to 255 bytes, each once; lengths in whole pages.
    ///   - deviceState: the sections beside RAM, as another image has them, or
    ///     `DeviceState.fresh(runState:machineName:)`.
    ///   - domain: for libvirt's formats.
    ///   - integrity: how pages are summed up for a seal; nil for none.
    /// - Throws: `ImageError` for blocks that no image can have, or a file that can't be written.
    @available(*, noasync)
    public init(
        creating path: String,
        from inputs: [String] = [],
        as format: ImageFormat,
        configuration: ConfigurationSection,
        blocks: [StreamBlock],
        deviceState: DeviceState,
        domain: LibvirtDomain? = nil,
        integrity: IntegrityAlgorithm? = nil
    ) throws(ImageError) {
        try Self.check(blocks)
        try format.requireSealable(integrity)
        self.blocks = blocks
        self.deviceState = deviceState
        var configuration = configuration
        configuration.capabilities.removeAll { $0 == "mapped-ram" }
        self.configuration = configuration
        ramSectionID = deviceState.unusedSectionID(preferred: 1)
        target = try ImageTarget(
            creating: path,
            from: inputs,
            as: format,
            domain: domain,
            wasRunning: nil
        )
        let output = StreamOutput(
            target.stream,
            position: target.stream.position ?? 0,
            behind: try target.writeBehind()
        )
        let plain: any GuestWriter =
            format.layout == .mappedRAM ? MappedWriter(output) : SequentialWriter(output)
        writer = integrity.map { SealingWriter(plain, $0) } ?? plain
        do throws(StreamError) {
            try writer.begin(
                StreamPlan(configuration: configuration, ramSectionID: ramSectionID),
                blocks: blocks,
                earlySections: deviceState.early.encoded(footers: true)
            )
            try writer.beginIteration()
        } catch {
            target.discard()
            throw ImageError(error, during: "writing '\(path)'")
        }
    }

    deinit {
        target.discard()
    }

    private static func check(_ blocks: [StreamBlock]) throws(ImageError) {
        var names: Set<String> = []
        for block in blocks {
            let isNamed = (1...255).contains(block.name.utf8.count)
            guard isNamed, names.insert(block.name).inserted, block.byteCount > 0,
                block.byteCount % targetPageByteCount == 0
            else {
                throw ImageError(
                    "no image can have a RAM block '\(block.name)' of \(block.byteCount) bytes",
                    hint: "names have 1 to 255 bytes and differ; lengths are whole pages of 4096"
                )
            }
        }
    }

    /// Writes whole pages; those that are all zero take no space.
    ///
    /// - Parameters:
    ///   - block: index into `blocks`.
    ///   - offset: of the first page in the block, page-aligned.
    ///   - bytes: whole pages within the block; free to change when this returns.
    /// - Throws: `ImageError` for pages that the block doesn't have, or if writing fails.
    @available(*, noasync)
    public func write(
        block: Int,
        offset: Int,
        _ bytes: UnsafeMutableRawBufferPointer
    ) throws(ImageError) {
        try blocks.requirePages(block: block, offset: offset, byteCount: bytes.count)
        guard let base = bytes.baseAddress else { return }
        do {
            _ = unsafe try scanner.send(
                base,
                byteCount: bytes.count,
                block: block,
                offset: offset,
                to: writer
            )
            try writer.settle()
        } catch {
            throw ImageError(error, during: "writing an image")
        }
    }

    /// Ends the image, makes it durable and gives it its name.
    ///
    /// Comes last, and once.
    /// - Throws: `ImageError`; there is nothing then under its name that wasn't before.
    @available(*, noasync)
    public func commit() throws(ImageError) {
        do {
            try writer.endIteration()
            try writer.beginCompletion(announced: false)
            try writer.finish(
                deviceSections: deviceState.final.encoded(footers: true),
                description: deviceState.description
            )
            try (writer as? SealingWriter)?.seal(deviceState)
        } catch {
            throw ImageError(error, during: "writing an image")
        }
        try target.commit(leavesGuestRunning: deviceState.leavesGuestRunning)
    }
}
