import BerthMemory
import BerthQAPI
import BerthStream

/// What was done with mapped-ram images, for `x-query-mapped-ram`.
struct ImageRecords {
    var load: LoadedImage?
    var save: MappedRAMImage?

    /// The reply to the query.
    var info: MappedRAMInfo {
        MappedRAMInfo(load: load?.info, save: save)
    }
}

/// The image that the guest was loaded from.
struct LoadedImage: Sendable {
    private struct Block {
        let ram: RAMBlock
        let placement: ImagePlacement
    }

    /// The image's address.
    let name: String
    /// Keeps it locked and watched; nil if no block lies on it.
    let hold: ImageHold?
    /// Whether it was changed after the load.
    var isChanged = false
    private(set) var prefetch: ImagePrefetch?
    private let blocks: [Block]

    init(
        _ name: String,
        _ blocks: [RAMBlock],
        _ placements: [Int: ImagePlacement],
        _ hold: ImageHold?
    ) {
        self.name = name
        self.blocks = blocks.enumerated().compactMap { index, block in
            placements[index].map { Block(ram: block, placement: $0) }
        }
        self.hold = blocks.contains { $0.liesOnImage } ? hold : nil
    }

    /// Begins to bring pages in.
    mutating func beginPrefetch() {
        let parts = blocks.filter(\.ram.liesOnImage).map {
            ImagePrefetch.Part(mapping: $0.ram.mapping, present: $0.placement.present)
        }
        guard !parts.isEmpty else { return }
        // Without a thread for it pages come in when they are touched.
        prefetch = try? ImagePrefetch(parts)
    }

    /// Ends what goes on in the background.
    func end() {
        prefetch?.end()
    }

    var info: MappedRAMLoad {
        let progress = prefetch?.progress
        return MappedRAMLoad(
            image: name,
            blocks: blocks.map {
                MappedRAMBlock(
                    block: $0.ram.id,
                    size: UInt64($0.ram.byteCount),
                    present: UInt64($0.placement.present.count) * UInt64(targetPageByteCount),
                    means: $0.ram.liesOnImage ? .mapped : .copied,
                    reason: $0.placement.obstacle
                )
            },
            changed: isChanged,
            prefetch: progress?.state ?? .off,
            prefetched: progress?.byteCount ?? 0
        )
    }
}
