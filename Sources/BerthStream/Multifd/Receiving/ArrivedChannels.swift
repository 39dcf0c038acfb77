import BerthTransport
import BerthWire

/// The connections of one incoming migration so far, each with its first bytes.
struct ArrivedChannels {
    /// A connection, up to the bytes that say what it is.
    struct Connection {
        let channel: Channel
        var bytes: [UInt8] = []
    }

    /// The main channel and what was read from it.
    private(set) var main: Connection?
    /// Connections that haven't said what they are.
    private(set) var unidentified: [Connection] = []
    /// Connections that were made, whatever became of them.
    private(set) var connectionCount = 0

    let gathering: ChannelGathering
    private var multifd: [Int: Channel] = [:]
    private var uuid: GuestUUID?

    init(_ gathering: ChannelGathering) {
        self.gathering = gathering
        uuid = gathering.uuid
    }

    /// Whether nothing else has to come before the stream is read.
    var isComplete: Bool {
        guard main != nil else { return false }
        return switch gathering.expectation {
        case .none, .any: true
        case .exactly(let count): multifd.count == count && unidentified.isEmpty
        }
    }

    /// Whether more came than belong to the migration.
    var hasTooMany: Bool {
        if case .exactly(let count) = gathering.expectation { return connectionCount > count + 1 }
        return false
    }

    /// Takes another connection.
    mutating func add(_ channel: Channel) throws(StreamError) {
        connectionCount += 1
        unidentified.append(Connection(channel: channel))
        guard connectionCount <= ChannelGathering.connectionLimit else {
            throw StreamError(
                .limitExceeded,
                "more than \(ChannelGathering.connectionLimit) connections were made for one "
                    + "migration"
            )
        }
    }

    /// Reads what has come over an unidentified connection.
    mutating func read(_ index: Int) throws(StreamError) {
        let wanted = MultifdInitialPacket.byteCount - unidentified[index].bytes.count
        let isEnd = try unidentified[index].read(atMost: wanted)
        let bytes = unidentified[index].bytes
        if unidentified[index].isMultifd {
            if let packet = try initialPacket(bytes) {
                try identify(index, packet)
                return
            }
        } else if gathering.expectation == .none, main != nil {
            // Whatever it is, it isn't this migration's.
            if bytes.count >= 4 || isEnd { unidentified.remove(at: index) }
            return
        } else if unidentified[index].isMain {
            try identifyMain(index)
            return
        } else if isLenient, bytes.count >= 4 || isEnd {
            // Who reads the stream says what is wrong with it.
            try identifyMain(index)
            return
        } else if bytes.count >= 4 {
            var cursor = WireCursor()
            do {
                _ = try StreamHeader(decoding: &cursor, bytes.span)
            } catch {
                throw StreamError(error)
            }
        }
        guard isEnd else { return }
        throw StreamError(
            .truncated,
            "a connection was closed before it said which channel it is",
            at: UInt64(bytes.count)
        )
    }

    /// Whether whatever comes over a connection is the stream.
    private var isLenient: Bool {
        if case .exactly = gathering.expectation { return false }
        return connectionCount == 1
    }

    private func initialPacket(_ bytes: [UInt8]) throws(StreamError) -> MultifdInitialPacket? {
        var cursor = WireCursor()
        do {
            return try MultifdInitialPacket(decoding: &cursor, bytes.span)
        } catch {
            if case .truncated = error { return nil }
            throw StreamError(error)
        }
    }

    private mutating func identifyMain(_ index: Int) throws(StreamError) {
        guard main == nil else {
            throw StreamError(
                .mismatch,
                "two main channels came: somebody else began a migration to the same address",
                hint: "give each source an address of its own"
            )
        }
        main = unidentified.remove(at: index)
    }

    private mutating func identify(
        _ index: Int,
        _ packet: MultifdInitialPacket
    ) throws(StreamError) {
        let id = Int(packet.channelID)
        switch gathering.expectation {
        case .none:
            throw Self.unexpectedMultifd
        case .exactly(let count) where id >= count:
            throw StreamError(
                .mismatch,
                "a multifd channel has the id \(id), \(count) are expected here, with ids from 0",
                hint: "set multifd-channels here to what it is on the source"
            )
        case .exactly, .any:
            break
        }
        if let uuid, uuid != packet.uuid {
            throw StreamError(
                .mismatch,
                "multifd channel \(id) is of the guest with UUID \(packet.uuid), "
                    + (gathering.uuid == nil
                        ? "others are of \(uuid)" : "this endpoint has \(uuid)"),
                hint: gathering.uuid == nil ? nil : "start the endpoint with -uuid \(packet.uuid)"
            )
        }
        uuid = packet.uuid
        guard multifd[id] == nil else {
            throw StreamError(.malformed, "two multifd channels have the id \(id)")
        }
        multifd[id] = unidentified.remove(at: index).channel
    }

    /// The error where the source has multifd on and this end doesn't.
    private static var unexpectedMultifd: StreamError {
        StreamError(
            .mismatch,
            "the source sends over multifd channels, capability multifd is off here",
            hint: "turn capability multifd on here, with the source's multifd-channels, or off on "
                + "the source"
        )
    }

    /// The multifd channels by id.
    func channelsInOrder() throws(StreamError) -> [Channel] {
        let ordered = (0..<multifd.count).compactMap { multifd[$0] }
        guard ordered.count == multifd.count else {
            throw StreamError(
                .malformed,
                "\(multifd.count) multifd channels came, their ids are "
                    + multifd.keys.sorted().map(String.init).joined(separator: ", ")
            )
        }
        return ordered
    }
}

extension ArrivedChannels.Connection {
    /// Whether it begins as a multifd channel does.
    var isMultifd: Bool { begins(with: MultifdInitialPacket.magic) }

    /// Whether it begins as a stream does.
    var isMain: Bool { begins(with: StreamHeader.magic) }

    private func begins(with magic: UInt32) -> Bool {
        bytes.count >= 4 && bytes.prefix(4).reduce(0) { $0 << 8 | UInt32($1) } == magic
    }

    /// Reads what is there.
    ///
    /// Returns whether the other side has closed.
    mutating func read(atMost byteCount: Int) throws(StreamError) -> Bool {
        var chunk = [UInt8](repeating: 0, count: byteCount)
        do {
            let count = try unsafe chunk.withUnsafeMutableBufferPointer {
                buffer throws(TransportError) in
                try unsafe channel.read(into: UnsafeMutableRawBufferPointer(buffer))
            }
            bytes += chunk.prefix(count)
            return count == 0
        } catch {
            throw StreamError(error)
        }
    }
}
