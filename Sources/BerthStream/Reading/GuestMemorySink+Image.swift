public import BerthMemory

/// What was made of a block of a mapped-ram image.
public struct ImagePlacement: Sendable {
    /// Pages with content.
    public let present: PageBitmap
    /// Why they were copied; nil if the block lies on the image.
    public let obstacle: String?
    /// Whether it was tried to have the block lie on the image.
    public let wasAsked: Bool
}

extension GuestMemorySink {
    /// Has the block lie on the image, if there is one.
    public func place(
        block: Int,
        from offset: UInt64,
        present: PageBitmap
    ) throws(StreamError) -> Bool {
        guard let image else {
            placements[block] = ImagePlacement(present: present, obstacle: nil, wasAsked: false)
            return false
        }
        var obstacle: String?
        do throws(ImageObstacle) {
            try blocks[block].lie(on: image, from: offset, present: present)
        } catch {
            obstacle = error.reason
        }
        placements[block] = ImagePlacement(present: present, obstacle: obstacle, wasAsked: true)
        return obstacle == nil
    }
}
