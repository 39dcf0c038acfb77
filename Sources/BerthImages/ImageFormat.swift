/// The layouts in which Berth writes an image.
public enum ImageFormat: String, Sendable, CaseIterable {
    /// Every page at its own place: bounded, sparse, seekable.
    case mappedRAM = "mapped-ram"
    /// Pages in the order in which they came, as QEMU saves to pipes and by default to files.
    case sequential
}
