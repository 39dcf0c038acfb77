import BerthMemory
import BerthWire
import Glibc
import Testing

@testable import BerthStream

extension MultifdRecording {
    /// Loads what came, as a destination would in the worst order that sync points allow.
    ///
    /// Nothing orders what lies between two sync points: a page must not come twice there.
    ///
    /// - Parameter flush: the event on the main channel that is a sync point.
    func replay(into guest: StreamGuest, syncAt flush: Event) throws {
        let decompressors = try packets.map { packets in
            try packets.first { $0.header.flags != .sync }?.header.flags.method?.decompressor()
        }
        var rest = packets.map { $0[...] }
        for passEvents in events.split(separator: flush, omittingEmptySubsequences: false) {
            var seen: Set<[UInt64]> = []
            func take(_ block: Int, _ offset: UInt64) {
                let isNew = seen.insert([UInt64(block), offset]).inserted
                #expect(isNew, "page \(offset) of block \(block) comes twice without a sync point")
            }
            for case .zero(let name, let offset) in passEvents {
                let block = try guest.index(of: name)
                take(block, offset)
                guest.fill(block, page: Int(offset) / targetPageByteCount, version: 0)
            }
            // Channels in reverse: the order between them has no meaning.
            for index in packets.indices.reversed() {
                while let packet = rest[index].popFirst(), packet.header.flags != .sync {
                    let block = try guest.index(of: packet.header.blockName)
                    for offset in packet.offsets.prefix(
                        packet.header.normalCount + packet.header.zeroCount
                    ) {
                        take(block, offset)
                    }
                    try load(packet, into: guest, block, decompressors[index])
                }
            }
        }
        #expect(rest.allSatisfy { $0.isEmpty }, "packets come after the last sync point")
    }

    private func load(
        _ packet: Packet,
        into guest: StreamGuest,
        _ block: Int,
        _ decompressor: (any PacketDecompressor)?
    ) throws {
        let normal = packet.header.normalCount
        for offset in packet.offsets[normal..<normal + packet.header.zeroCount] {
            guest.fill(block, page: Int(offset) / targetPageByteCount, version: 0)
        }
        guard normal > 0 else { return }
        var pieces = packet.offsets.prefix(normal).map {
            iovec(iov_base: guest.blocks[block].base + Int($0), iov_len: targetPageByteCount)
        }
        try packet.payload.withUnsafeBytes { payload in
            guard let decompressor else {
                for (index, piece) in pieces.enumerated() {
                    let start = index * targetPageByteCount
                    UnsafeMutableRawBufferPointer(start: piece.iov_base, count: piece.iov_len)
                        .copyBytes(from: payload[start..<start + targetPageByteCount])
                }
                return
            }
            try pieces.withUnsafeMutableBufferPointer {
                try decompressor.decompress(payload, into: $0)
            }
        }
    }
}

extension StreamGuest {
    func index(of name: String) throws -> Int {
        try #require(blocks.firstIndex { $0.id == name }, "there is no block '\(name)'")
    }
}
