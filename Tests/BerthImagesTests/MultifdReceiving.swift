import BerthImages
import BerthMemory
import BerthStream
import BerthSystem
import BerthTestSupport
import BerthTransport
import BerthWire
import Glibc
import Testing

/// `berth receive -l` finds out by itself what a source does with its channels.
@Suite(.timeLimit(.minutes(5)))
struct MultifdReceiving {
    private static let pageCounts = [900, 64, 65, 1]
    private let directory: PeersDirectory

    init() throws { directory = try PeersDirectory() }

    private func receive(
        _ guest: RelayGuest,
        channelCount: Int,
        _ options: MultifdSendOptions,
        as format: ImageFormat
    ) throws -> String {
        let path = directory.file("image")
        let uri = "unix:\(directory.file("socket"))"
        let receiving = try RelayThread {
            try ImageReceiver(path: path, format: format).receive(from: uri)
        }
        let source = try OutgoingTransport(
            address: MigrationAddress(uri: uri),
            resources: TransportResources()
        )
        let main = connected(source)
        let channels = try (0..<channelCount).map { _ in try source.connect() }
        let output = StreamOutput(main)
        let writer = MultifdWriter(output, channels: channels, options: options)
        defer { writer.end() }
        try guest.save(with: writer, opensReturnPath: true)
        #expect(try answers(on: main).contains(.shut(0)))
        try receiving.finish()
        return path
    }

    @Test(
        arguments: [
            (1, MultifdCompression.none), (5, .none), (3, .zlib(level: 1)), (4, .zstd(level: 3)),
        ],
        [MultifdSendOptions.ZeroPages.inPackets, .onMain]
    )
    func `a guest becomes an image`(
        _ setting: (channelCount: Int, compression: MultifdCompression),
        _ zeroPages: MultifdSendOptions.ZeroPages
    ) throws {
        for format in ImageFormat.bare {
            for flushesEachSection in [false, true] {
                let guest = try RelayGuest(pageCounts: Self.pageCounts)
                let path = try receive(
                    guest,
                    channelCount: setting.channelCount,
                    MultifdSendOptions(
                        compression: setting.compression,
                        zeroPages: zeroPages,
                        flushesEachSection: flushesEachSection
                    ),
                    as: format
                )
                let loader = try RelayLoader(Self.pageCounts)
                _ = try loader.load(path: path)
                #expect(loader.guest.digests == guest.digests, "\(format)")
                unlink(path)
            }
        }
    }

    @Test func `channels that fail leave no image`() throws {
        let path = directory.file("image")
        let uri = "unix:\(directory.file("socket"))"
        let receiving = try RelayThread {
            try ImageReceiver(path: path).receive(from: uri)
        }
        let source = try OutgoingTransport(
            address: MigrationAddress(uri: uri),
            resources: TransportResources()
        )
        let main = connected(source)
        let channel = try source.connect()
        // Two ids for one channel: the second is missing.
        var initial: [UInt8] = []
        MultifdInitialPacket(uuid: .zero, channelID: 1).encode(into: &initial)
        try initial.withUnsafeBytes { try channel.write($0) }
        let guest = try RelayGuest(pageCounts: [8])
        try? guest.save(to: main, opensReturnPath: true)
        let error = #expect(throws: ImageError.self) { try receiving.finish() }
        #expect(
            error?.description.contains("1 multifd channels came, their ids are 1") == true,
            "\(error?.description ?? "none")"
        )
        #expect(try answers(on: main).contains(.shut(1)))
        #expect(access(path, F_OK) != 0)
    }

    /// Connects as soon as somebody listens.
    private func connected(_ source: OutgoingTransport) -> Channel {
        while true {
            if let channel = try? source.connect() { return channel }
            usleep(1000)
        }
    }
}
