import Testing

@testable import BerthWorkload

struct ExternalMessageTests {
    private static let attach: [UInt8] = [
        2, 0, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0x10, 0x20, 0x30, 0x40, 0x50, 0, 0,
    ]

    @Test
    func `writes each message as the page says`() {
        #expect(
            EndpointMessage.hello(byteCount: 0x1122_3344_5566_7788, offset: 0x1000).bytes
                == [1, 0, 0, 0, 32, 0, 0, 0] + Array("BERTHMEM".utf8)
                + [1, 0, 0, 0, 0, 0, 0, 0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]
                + [0, 0x10, 0, 0, 0, 0, 0, 0]
        )
        #expect(EndpointMessage.run.bytes == [3, 0, 0, 0, 0, 0, 0, 0])
        #expect(EndpointMessage.pause.bytes == [4, 0, 0, 0, 0, 0, 0, 0])
        #expect(EndpointMessage.error("no").bytes == [6, 0, 0, 0, 2, 0, 0, 0, 0x6e, 0x6f])
        let long = EndpointMessage.error(String(repeating: "x", count: 10_000)).bytes
        #expect(long.count == 8 + 480)
        #expect(long.starts(with: [6, 0, 0, 0, 0xe0, 1, 0, 0]))
    }

    @Test
    func `takes one message after the other`() throws {
        var bytes = Self.attach + [5, 0, 0, 0, 0, 0, 0, 0] + [5, 0]
        let expected = PeerMessage.attach(address: 0x5040_3020_1000, isTracked: true)
        #expect(try PeerMessage.take(from: &bytes) == expected)
        #expect(try PeerMessage.take(from: &bytes) == .paused)
        #expect(try PeerMessage.take(from: &bytes) == nil)
        #expect(bytes == [5, 0])
    }

    @Test
    func `waits for the rest of a message`() throws {
        for count in Self.attach.indices {
            var bytes = Array(Self.attach.prefix(count))
            #expect(try PeerMessage.take(from: &bytes) == nil)
            #expect(bytes.count == count)
        }
    }

    @Test
    func `takes or refuses each change of a byte`() {
        for index in Self.attach.indices {
            for value in UInt8.min...UInt8.max where value != Self.attach[index] {
                var bytes = Self.attach
                bytes[index] = value
                let message = try? PeerMessage.take(from: &bytes)
                switch index {
                case 12: #expect((message != nil) == (value == 0))
                case 16...: #expect(message != nil && bytes.isEmpty)
                default: #expect(message == nil)
                }
            }
        }
    }
}
