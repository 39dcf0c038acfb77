import BerthMemory
import BerthStream
import BerthSystem
import BerthTransport
import Glibc
import Testing

/// Loads whose pages stay in the image.
@Suite struct ImagePlacementTests {
    /// An image with three blocks, whose guest changed and cleared pages in a second round: old content
    /// lies where the cleared ones were.
    private struct Image {
        let guest: StreamGuest
        let raw: OwnedDescriptorBox

        init() throws {
            guest = try StreamGuest(pageCounts: [300, 70, 3])
            for page in stride(from: 0, to: 300, by: 4) {
                guest.fill(0, page: page, version: 1)
                guest.fill(0, page: page + 1, version: 1)
            }
            for page in 0..<70 { guest.fill(1, page: page, version: 1) }
            var template = Array("/tmp/berth-image-XXXXXX".utf8CString)
            raw = OwnedDescriptorBox(OwnedDescriptor(mkstemp(&template)))
            unlink(&template)
            let channel = try Channel(raw.duplicate(), name: "image")
            let guest = guest
            let writer = MappedWriter(StreamOutput(channel))
            try guest.save(writer) {
                for page in stride(from: 0, to: 300, by: 12) {
                    guest.fill(0, page: page, version: 0)
                    guest.fill(0, page: page + 3, version: 2)
                }
                for page in 20..<40 { guest.fill(1, page: page, version: 0) }
                try guest.iterate(writer)
            }
        }

        /// Loads it; the sink decides what becomes of the pages.
        func load(
            into target: StreamGuest,
            _ sink: any PageSink
        ) throws -> StreamProgress {
            let channel = try Channel(raw.duplicate(), name: "image")
            try channel.seek(to: 0)
            let receiver = StreamTestReceiver(target)
            receiver.sink = sink
            return try StreamReader(StreamInput(channel), receiver: receiver).read().progress
        }

        func open(gapLimit: Int = MemoryImage.gapLimit) throws -> MemoryImage {
            try MemoryImage(raw.duplicate(), name: "image", gapLimit: gapLimit)
        }
    }

    /// How many pages of each block have content.
    private func presentCounts(_ guest: StreamGuest) -> [Int] {
        guest.blocks.indices.map { block in
            (0..<guest.blocks[block].pageCount).count { page in
                guest.page(block, page).contains { $0 != 0 }
            }
        }
    }

    @Test func `memory that lies on an image equals what was saved last`() throws {
        let image = try Image()
        let target = try StreamGuest(like: image.guest)
        let sink = GuestMemorySink(target.blocks, image: try image.open())
        let progress = try image.load(into: target, sink)
        #expect(target.blocks.allSatisfy { $0.liesOnImage })
        #expect(target.digests == image.guest.digests)
        let counts = presentCounts(image.guest)
        #expect((0..<3).map { sink.placements[$0]?.present.count } == counts)
        #expect((0..<3).allSatisfy { sink.placements[$0]?.obstacle == nil })
        #expect(progress.dataPageCount == UInt64(counts.reduce(0, +)))
        #expect(progress.dataPageCount + progress.zeroPageCount == 373)
    }

    @Test(arguments: [0, 1, 25, 26])
    func `a block with too many gaps is copied, and the others aren't`(_ limit: Int) throws {
        let image = try Image()
        let target = try StreamGuest(like: image.guest)
        let sink = GuestMemorySink(target.blocks, image: try image.open(gapLimit: limit))
        _ = try image.load(into: target, sink)
        #expect(target.digests == image.guest.digests)
        // 25 gaps in the first block, one in the second, none in the third.
        #expect(target.blocks.map(\.liesOnImage) == [limit >= 25, limit == 26, true])
        for (index, block) in target.blocks.enumerated() {
            #expect((sink.placements[index]?.obstacle == nil) == block.liesOnImage)
        }
    }

    @Test func `a load that is given up leaves zeros`() throws {
        let image = try Image()
        let target = try StreamGuest(like: image.guest)
        let sink = GuestMemorySink(target.blocks, image: try image.open())
        _ = try image.load(into: target, sink)
        sink.giveUp()
        #expect(target.blocks.allSatisfy { !$0.liesOnImage })
        let fresh = try StreamGuest(like: image.guest)
        #expect(target.digests == fresh.digests)
        _ = try image.load(into: target, GuestMemorySink(target.blocks))
        #expect(target.digests == image.guest.digests)
    }
}
