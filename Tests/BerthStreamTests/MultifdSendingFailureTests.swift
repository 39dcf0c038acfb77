import BerthMemory
import BerthSystem
import BerthTransport
import BerthWire
import Glibc
import Synchronization
import Testing

@testable import BerthStream

/// What a source does when its channels fail: everything ends, with the first error.
@Suite(.timeLimit(.minutes(1)))
struct MultifdSendingFailureTests {
    /// A main channel and multifd channels whose other ends the test has in hand.
    private struct Ends {
        let sources: [Channel]
        let destinations: [Channel]

        init(channelCount: Int) throws {
            let pairs = try (0...channelCount).map { _ in try connection("socket") }
            sources = pairs.map(\.writer)
            destinations = pairs.map(\.reader)
        }

        func writer(_ options: MultifdSendOptions = MultifdSendOptions()) -> MultifdWriter {
            MultifdWriter(
                StreamOutput(sources[0]),
                channels: Array(sources[1...]),
                options: options
            )
        }

        /// Reads what each channel has sent when the stream has begun.
        func readBeginning() throws {
            for channel in destinations[1...] {
                try channel.skip(MultifdInitialPacket.byteCount + MultifdPacketHeader.byteCount)
            }
        }
    }

    private let plan = StreamPlan(configuration: ConfigurationSection(machineName: "none"))

    /// More than all sockets hold.
    private func guest() throws -> StreamGuest {
        let guest = try StreamGuest(pageCounts: [8192])
        for page in 0..<8192 { guest.fill(0, page: page, version: 1) }
        return guest
    }

    @Test func `a channel that breaks ends the migration with its error`() throws {
        let ends = try Ends(channelCount: 3)
        let guest = try guest()
        let writer = ends.writer()
        defer { writer.end() }
        try writer.begin(plan, blocks: guest.listed, earlySections: [])
        try ends.readBeginning()
        // The others stall: their threads hang in a write until somebody ends it.
        ends.destinations[2].closeWithoutWaiting()
        let error = #expect(throws: StreamError.self) { try guest.iterate(writer) }
        #expect(error?.code == .transport)
        #expect(error?.message.hasPrefix("multifd channel 1: cannot write to 'socket': ") == true)
        #expect(error?.hint == "the other side has gone: its own messages say why")
        #expect(writer.failure == error)
        #expect(ends.sources[1...].allSatisfy { $0.hasBeenAborted })
        #expect(!ends.sources[0].hasBeenAborted, "the destination may say over it why")
        for call in [writer.settle, writer.endPass, writer.endIteration] {
            let later = #expect(throws: StreamError.self) { try call() }
            #expect(later == error)
        }
    }

    @Test func `a channel that is broken from the start is found by begin`() throws {
        let ends = try Ends(channelCount: 2)
        ends.destinations[2].closeWithoutWaiting()
        let writer = ends.writer()
        defer { writer.end() }
        let error = #expect(throws: StreamError.self) {
            try writer.begin(plan, blocks: [], earlySections: [])
        }
        #expect(error?.message.hasPrefix("multifd channel 1: ") == true)
        writer.end()
    }

    @Test func `a channel that broke while it was idle is found at the sync point`() throws {
        let ends = try Ends(channelCount: 2)
        let writer = ends.writer()
        defer { writer.end() }
        try writer.begin(plan, blocks: [], earlySections: [])
        ends.destinations[1].closeWithoutWaiting()
        try writer.beginCompletion(announced: true)
        let error = #expect(throws: StreamError.self) {
            try writer.finish(deviceSections: [], description: [])
        }
        #expect(error?.message.hasPrefix("multifd channel 0: ") == true)
    }

    @Test func `a source is not left waiting for a main channel that nobody reads`() throws {
        let ends = try Ends(channelCount: 2)
        let guest = try guest()
        let outcome = Arc(Mutex<StreamError?>(nil))
        let plan = plan
        let thread = try NamedThread.start(name: "test-save") {
            let writer = ends.writer(MultifdSendOptions(zeroPages: .onMain))
            do throws(StreamError) {
                try writer.begin(plan, blocks: guest.listed, earlySections: [])
                try writer.beginIteration()
                let base = guest.blocks[0].base
                try writer.write(block: 0, offset: 0, from: base, byteCount: 256 * 4096)
                // Both channels hang in a write now, or will; then the main one, too.
                while true { try writer.zero(block: 0, offset: 0, byteCount: 8192 * 4096) }
            } catch {
                outcome.value.withLock { $0 = error }
            }
            writer.end()
        }
        try ends.readBeginning()
        ends.destinations[2].closeWithoutWaiting()
        thread.join()
        let error = outcome.value.withLock { $0 }
        #expect(error?.message.hasPrefix("multifd channel 1: cannot write to 'socket': ") == true)
    }

    @Test func `a source that waits for a destination that stalls can be cancelled`() throws {
        let ends = try Ends(channelCount: 2)
        let guest = try guest()
        let outcome = Arc(Mutex<Result<Void, any Error>?>(nil))
        let thread = try NamedThread.start(name: "test-save") {
            let writer = ends.writer()
            let result = Result { try guest.save(writer) }
            writer.end()
            outcome.value.withLock { $0 = result }
        }
        try ends.readBeginning()
        for channel in ends.sources { channel.abort() }
        thread.join()
        let result = try #require(outcome.value.withLock { $0 })
        let error = #expect(throws: StreamError.self) { try result.get() }
        #expect(error?.code == .aborted)
    }

    @Test func `what was not finished is given up`() throws {
        let ends = try Ends(channelCount: 2)
        let guest = try guest()
        let writer = ends.writer()
        try writer.begin(plan, blocks: guest.listed, earlySections: [])
        try writer.beginIteration()
        // As much as there are packets; the channels take a part of it and stall.
        try guest.send(writer, pages: { _ in 0..<5 * 128 })
        writer.end()
        writer.end()
        for channel in ends.destinations[1...] {
            // The end comes after what the socket held.
            while try channel.readSome() > 0 {}
        }
        let error = #expect(throws: StreamError.self) {
            try guest.send(writer, pages: { _ in 0..<128 })
        }
        #expect(error?.code == .aborted)
    }

    @Test func `zero-copy over a unix socket is refused by name`() throws {
        let ends = try Ends(channelCount: 1)
        let writer = ends.writer(MultifdSendOptions(usesZeroCopy: true))
        defer { writer.end() }
        let error = #expect(throws: StreamError.self) {
            try writer.begin(plan, blocks: [], earlySections: [])
        }
        #expect(
            error?.message
                == "cannot use zero-copy-send with 'socket': Linux sends without copying over TCP"
                + " only"
        )
        #expect(error?.hint == "use tcp:, or turn the capability zero-copy-send off")
    }
}

extension Channel {
    /// Reads what is there; 0 at the end.
    fileprivate func readSome() throws -> Int {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        return try buffer.withUnsafeMutableBytes { try read(into: $0) }
    }

    fileprivate func skip(_ byteCount: Int) throws {
        var buffer = [UInt8](repeating: 0, count: byteCount)
        var left = byteCount
        while left > 0 {
            let count = try buffer.withUnsafeMutableBytes {
                try read(into: UnsafeMutableRawBufferPointer(rebasing: $0[..<left]))
            }
            try #require(count > 0)
            left -= count
        }
    }
}

/// A value that threads share.
private final class Arc<Value: ~Copyable & Sendable>: Sendable {
    let value: Value
    init(_ value: consuming Value) { self.value = value }
}
