/// The bounds that every decoder enforces before it allocates or loops.
///
/// QEMU itself has few of them. Each is far above what a real QEMU sends and low enough that a
/// hostile stream cannot make Berth's memory or time grow with a number that it merely claims.
public enum Limits {
    /// Bytes of a machine name: the longest real ones have about 20.
    public static let machineNameByteCount = 256

    /// Names in the configuration's capability list: QEMU 10.0 has 24 capabilities.
    public static let capabilityCount = 64

    /// RAM blocks in one list: a large guest has some hundreds (256 DIMMs, option ROMs).
    public static let ramBlockCount = 4096

    /// Bytes of all RAM blocks together, 64 TiB.
    ///
    /// That is the 46-bit guest-physical space of common x86-64 hosts. At this size one dirty
    /// bitmap reserves 2 GiB of address space.
    public static let ramByteCount: UInt64 = 1 << 46

    /// Bytes of the stream's JSON description, 16 MiB: a large q35 guest's has 125 kB.
    public static let vmDescriptionByteCount = 16 << 20

    /// Bytes of one return-path message's payload; QEMU's own receive buffer has this size.
    public static let returnPathPayloadByteCount = 512

    /// Bytes of the bitmap data in one dirty-bitmap chunk, the sender's own limit.
    public static let dirtyBitmapBufferByteCount: UInt64 = 10_240

    /// Bytes of a packaged command's blob, 1 GiB: the device state of one guest.
    ///
    /// Real ones have under a megabyte; virtio-gpu and vfio devices can add hundreds.
    public static let packageByteCount: UInt64 = 1 << 30

    /// Instances and versions in a section header that is *guessed* from bytes (see the section
    /// scanner): real ones are small indices and version numbers.
    public static let plausibleNumber: UInt32 = 65_536

    /// Whether a byte may stand in a name: printable ASCII including the space.
    @inlinable
    public static func isPrintable(_ byte: UInt8) -> Bool {
        byte >= 0x20 && byte <= 0x7e
    }

    /// Whether a string can be a section's or block's name in a stream: 1 to 255 printable bytes.
    public static func isName(_ name: String) -> Bool {
        (1...255).contains(name.utf8.count) && name.utf8.allSatisfy(isPrintable)
    }
}

/// The target page, the unit of RAM in every stream: 4096 bytes for all machines that Berth speaks.
///
/// QEMU calls it TARGET_PAGE_SIZE; it is not the host's page size.
public enum TargetPage {
    /// Bytes of one page.
    public static let byteCount = 4096

    /// Binary logarithm of `byteCount`; a stream's `configuration/target-page-bits` must equal it.
    public static let bits = 12

    /// Bits of a RAM word below the page offset, which carry its flags.
    public static let flagMask: UInt64 = 4095

    /// Whether a length or an offset is a whole number of pages.
    @inlinable
    public static func isAligned(_ value: UInt64) -> Bool {
        value & flagMask == 0
    }
}
