import BerthWire

/// A RAM block as a stream lists it.
public struct StreamBlock: Sendable, Equatable {
    /// Name of the block, 1 to 255 bytes.
    public let name: String
    /// Used length in bytes, a multiple of the target page size.
    public let byteCount: Int
    /// Guest-physical address; in streams with the capability `x-ignore-shared` only.
    public let guestAddress: UInt64?

    /// Describes a block.
    public init(name: String, byteCount: Int, guestAddress: UInt64? = nil) {
        self.name = name
        self.byteCount = byteCount
        self.guestAddress = guestAddress
    }
}

extension ConfigurationSection {
    /// Whether the stream has no pages of memory that both ends share.
    ///
    /// Such blocks are listed like others, and each block with its guest-physical address.
    var leavesOutSharedMemory: Bool {
        capabilities.contains("x-ignore-shared")
    }

    /// Throws if the stream leaves memory out: no mapped-ram image may.
    ///
    /// QEMU 10.0 writes the list of blocks of such an image otherwise than it reads it.
    func refuseLeavingOutSharedMemory() throws(StreamError) {
        guard leavesOutSharedMemory else { return }
        throw StreamError(
            .unsupported,
            "the capabilities mapped-ram and x-ignore-shared are on together, which QEMU itself "
                + "can't load",
            hint: "save the guest again with one of them off"
        )
    }
}
