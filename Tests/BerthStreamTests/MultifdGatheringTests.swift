import BerthSystem
import BerthTestSupport
import BerthTransport
import BerthWire
import Glibc
import Testing

@testable import BerthStream

/// The connections of a source are told apart, whatever their order, and counted.
@Suite(.timeLimit(.minutes(5)))
struct MultifdGatheringTests {
    private let directory: PeersDirectory
    private let transport: IncomingTransport
    private let address: MigrationAddress

    init() throws {
        directory = try PeersDirectory()
        address = try MigrationAddress(uri: "unix:\(directory.file("socket"))")
        transport = try IncomingTransport(address: address, resources: TransportResources())
    }

    private static let uuid = GuestUUID(high: 0x0123_4567_89ab_cdef, low: 0xfedc_ba98_7654_3210)

    private static let header: [UInt8] = {
        var bytes: [UInt8] = []
        StreamHeader().encode(into: &bytes)
        ConfigurationSection(machineName: "none").encode(into: &bytes)
        return bytes
    }()

    private static func initial(_ id: UInt8, uuid: GuestUUID = uuid) -> [UInt8] {
        var bytes: [UInt8] = []
        MultifdInitialPacket(uuid: uuid, channelID: id).encode(into: &bytes)
        return bytes
    }

    private func connect() throws -> Channel {
        try OutgoingTransport(address: address, resources: TransportResources()).connect()
    }

    /// Connects once for each element and writes it; empty ones say nothing.
    private func connect(_ first: [[UInt8]]) throws -> [Channel] {
        try first.map { bytes in
            let channel = try connect()
            if !bytes.isEmpty { try bytes.withUnsafeBytes { try channel.write($0) } }
            return channel
        }
    }

    private func gathering(_ expectation: ChannelGathering.Expectation) -> ChannelGathering {
        var gathering = ChannelGathering(expectation, uuid: Self.uuid)
        gathering.patience.lateChannels = .milliseconds(150)
        gathering.patience.mainChannel = .milliseconds(300)
        return gathering
    }

    private func refusal(
        _ first: [[UInt8]],
        _ expectation: ChannelGathering.Expectation
    ) throws -> StreamError {
        let source = try connect(first)
        let error = #expect(throws: StreamError.self) {
            let gathered = try gathering(expectation).gather(from: transport)
            try gathered.takeLate()
            _ = try gathered.multifd
        }
        _ = source
        return try #require(error)
    }

    @Test(arguments: [0, 1, 2, 3], [ChannelGathering.Expectation.exactly(3), .any])
    func `the main channel may come at any place`(
        _ place: Int,
        _ expectation: ChannelGathering.Expectation
    ) throws {
        var first = [Self.initial(2), Self.initial(0), Self.initial(1)]
        first.insert(Self.header, at: place)
        let source = try connect(first)
        let gathered = try gathering(expectation).gather(from: transport)
        try gathered.takeLate()
        #expect(try gathered.main.fetch(Self.header.count))
        #expect(Array(gathered.main.unread) == Self.header && gathered.main.position == 0)
        // Each channel stands right behind its initial packet.
        let order = place == 0 ? [2, 3, 1] : [0, 1, 2].map { [1, 2, 0][$0] }
        for (id, index) in order.enumerated() {
            let writer = source.filter { $0 !== source[place] }[place == 0 ? index - 1 : index]
            var byte = UInt8(id) + 40
            try withUnsafeBytes(of: &byte) { try writer.write($0) }
            var read: UInt8 = 0
            _ = try withUnsafeMutableBytes(of: &read) { try gathered.multifd[id].read(into: $0) }
            #expect(read == byte, "channel \(id)")
        }
    }

    @Test func `first bytes may come one by one, on all channels in turn`() throws {
        let first = [Self.initial(0), Self.header, Self.initial(1)]
        let source = try connect([[], [], []])
        let thread = try NamedThread.start(name: "test-drip") {
            for index in 0..<64 {
                for (channel, bytes) in zip(source, first) where index < bytes.count {
                    try? bytes[index..<index + 1].withUnsafeBytes { try channel.write($0) }
                    usleep(100)
                }
            }
        }
        var gathering = gathering(.exactly(2))
        gathering.patience = .init()
        let gathered = try gathering.gather(from: transport)
        thread.join()
        #expect(try gathered.multifd.count == 2)
        #expect(try gathered.main.fetch(8))
    }

    @Test func `many channels are more than stand in the queue at once`() throws {
        let address = address
        let thread = try NamedThread.start(name: "test-connect") {
            let transport = try? OutgoingTransport(
                address: address,
                resources: TransportResources()
            )
            let packets = (0..<255).map { Self.initial(UInt8($0)) } + [Self.header]
            let all = packets.compactMap { bytes in
                let channel = try? transport?.connect()
                try? bytes.withUnsafeBytes { try channel?.write($0) }
                return channel
            }
            #expect(all.count == 256)
        }
        let gathered = try ChannelGathering(.exactly(255), uuid: Self.uuid).gather(from: transport)
        thread.join()
        #expect(try gathered.multifd.count == 255)
    }

    @Test func `channels may come shortly after the stream's first bytes`() throws {
        let source = try connect([Self.header])
        let address = address
        let thread = try NamedThread.start(name: "test-late") {
            usleep(20_000)
            let transport = try? OutgoingTransport(
                address: address,
                resources: TransportResources()
            )
            let channel = try? transport?.connect()
            try? Self.initial(0).withUnsafeBytes { try channel?.write($0) }
            usleep(100_000)
        }
        var gathering = gathering(.exactly(1))
        gathering.patience = .init()
        let gathered = try gathering.gather(from: transport)
        thread.join()
        #expect(try gathered.multifd.count == 1)
        _ = source
    }

    @Test func `fewer channels than expected`() throws {
        let error = try refusal([Self.header, Self.initial(0)], .exactly(4))
        #expect(error.message == "the source connected 1 multifd channel, 4 are expected here")
        #expect(error.hint?.hasPrefix("set multifd-channels to 1 here") == true)
    }

    @Test func `no channel at all`() throws {
        let error = try refusal([Self.header], .exactly(2))
        #expect(error.message == "the source connected no multifd channel, 2 are expected here")
        #expect(error.hint?.contains("turn capability multifd off here") == true)
    }

    @Test func `more channels than expected`() throws {
        let all = [Self.header] + (0..<8).map { Self.initial($0) }
        let error = try refusal(all, .exactly(2))
        #expect(error.message == "the source connected 8 multifd channels, 2 are expected here")
        #expect(error.hint?.hasPrefix("set multifd-channels to 8 here") == true)
    }

    @Test func `a channel too many that says nothing`() throws {
        let error = try refusal([Self.header, Self.initial(0), []], .exactly(1))
        #expect(error.message == "the source connected 2 multifd channels, 1 is expected here")
    }

    @Test(arguments: [ChannelGathering.Expectation.exactly(2), .any])
    func `one id twice`(_ expectation: ChannelGathering.Expectation) throws {
        let error = try refusal(
            [Self.initial(1), Self.initial(1), Self.header],
            expectation
        )
        #expect(error.message == "two multifd channels have the id 1")
    }

    @Test(arguments: [UInt8(2), 3, 255])
    func `an id that is too high`(_ id: UInt8) throws {
        let error = try refusal([Self.initial(0), Self.initial(id), Self.header], .exactly(2))
        #expect(error.message.contains("has the id \(id), 2 are expected"))
        let gap = try refusal([Self.initial(0), Self.initial(id), Self.header], .any)
        #expect(gap.message == "2 multifd channels came, their ids are 0, \(id)")
    }

    @Test func `a wrong magic`() throws {
        var packet = Self.initial(0)
        packet[3] = 0x45
        let error = try refusal([packet, Self.header], .exactly(1))
        #expect(error.message.contains("expected 0x5145564d, found 0x11223345"), "\(error)")
    }

    @Test func `a wrong version`() throws {
        var packet = Self.initial(0)
        packet[7] = 9
        let error = try refusal([packet, Self.header], .exactly(1))
        #expect(error.message.contains("version 9 is not supported"), "\(error)")
    }

    @Test func `another guest`() throws {
        let other = GuestUUID(high: 1, low: 2)
        let error = try refusal([Self.initial(0, uuid: other), Self.header], .exactly(1))
        #expect(error.message.contains("\(other)") && error.message.contains("\(Self.uuid)"))
        #expect(error.hint == "start the endpoint with -uuid \(other)")
    }

    @Test func `channels of two guests`() throws {
        let other = GuestUUID(high: 1, low: 2)
        let source = try connect([Self.initial(0, uuid: other), Self.initial(1), Self.header])
        let error = #expect(throws: StreamError.self) {
            try ChannelGathering(.any).gather(from: transport).takeLate()
        }
        #expect(error?.message.contains("others are of \(other)") == true)
        _ = source
    }

    @Test func `a connection that never says anything`() throws {
        let alone = try refusal([[]], .exactly(1))
        #expect(alone.message.hasPrefix("a connection was made, but nothing came over it"))
        let beside = try refusal([Self.header, []], .exactly(1))
        #expect(beside.message == "1 connection beside the main one never said what they are for")
    }

    @Test func `a main channel that never comes`() throws {
        let error = try refusal([Self.initial(0), Self.initial(1)], .exactly(2))
        #expect(error.message.hasPrefix("no main channel came for"), "\(error)")
        #expect(error.message.hasSuffix("only 2 connections"))
        let any = try refusal([Self.initial(0)], .any)
        #expect(any.message.hasPrefix("no main channel came for"), "\(any)")
    }

    @Test func `two main channels`() throws {
        let error = try refusal([Self.header, Self.header, Self.initial(0)], .exactly(2))
        #expect(error.message.hasPrefix("two main channels came"))
    }

    @Test func `a connection that is closed before it says what it is`() throws {
        let source = try connect([Self.header, Array(Self.initial(0)[..<20])])
        try source[1].close()
        let error = #expect(throws: StreamError.self) {
            try gathering(.exactly(1)).gather(from: transport)
        }
        #expect(error?.message == "a connection was closed before it said which channel it is")
    }

    @Test(arguments: [ChannelGathering.Expectation.none, .exactly(1), .any])
    func `an abort ends the wait`(_ expectation: ChannelGathering.Expectation) throws {
        let source = try connect([[]])
        let transport = transport
        let thread = try NamedThread.start(name: "test-abort") {
            usleep(20_000)
            transport.abort()
        }
        defer { thread.join() }
        let error = #expect(throws: StreamError.self) {
            try ChannelGathering(expectation).gather(from: transport)
        }
        #expect(error?.code == .aborted)
        _ = source
    }

    @Test func `multifd at the source only`() throws {
        let error = try refusal([Self.header, Self.initial(0), Self.initial(1)], .none)
        #expect(error.message.contains("capability multifd is off here"))
    }

    @Test func `other connections stay open where multifd is off`() throws {
        let source = try connect([Self.header, []])
        let gathered = try gathering(.none).gather(from: transport)
        let late = try connect()
        try gathered.takeLate()
        for channel in [source[1], late] {
            let isClosed = try channel.waitReadable(timeout: .milliseconds(20))
            #expect(!isClosed)
        }
        // Its first bytes may come as late as the stream's last.
        try Self.initial(0).withUnsafeBytes { try late.write($0) }
        let error = #expect(throws: StreamError.self) { try gathered.takeLate() }
        #expect(error?.message.contains("capability multifd is off here") == true)
    }

    @Test func `strangers don't end a migration without multifd`() throws {
        let source = try connect([Self.header, Array("GET /".utf8), Self.header, []])
        try source[3].close()
        let gathered = try gathering(.none).gather(from: transport)
        try gathered.takeLate()
        #expect(try gathered.main.fetch(Self.header.count))
        #expect(throws: TransportError.self) { try connect() }
    }

    @Test func `channels that are made after the stream's first bytes are found`() throws {
        let source = try connect([Self.header])
        let gathered = try gathering(.any).gather(from: transport)
        #expect(try gathered.multifd.isEmpty)
        let late = try connect([Self.initial(1), Self.initial(0)])
        try gathered.takeLate()
        #expect(try gathered.multifd.count == 2)
        withExtendedLifetime((source, late)) {}
    }

    @Test(arguments: [ChannelGathering.Expectation.none, .any])
    func `what is no stream is left to its reader`(
        _ expectation: ChannelGathering.Expectation
    ) throws {
        let bytes = Array("GET / HTTP/1.1\r\n".utf8)
        let source = try connect([bytes])
        let gathered = try gathering(expectation).gather(from: transport)
        #expect(try gathered.main.fetch(bytes.count))
        #expect(Array(gathered.main.unread) == bytes)
        let empty = try connect()
        try empty.close()
        let second = try gathering(expectation).gather(from: transport)
        #expect(try !second.main.fetch(1))
        _ = source
    }
}
