import BerthMemory
import BerthWire

extension SealedPart {
    /// The digest of one part.
    init(
        _ kind: Kind,
        name: String,
        instance: UInt32 = 0,
        _ bytes: UnsafeRawBufferPointer,
        _ algorithm: IntegrityAlgorithm
    ) {
        self.init(
            kind: kind,
            name: name,
            instance: instance,
            byteCount: UInt64(bytes.count),
            digest: unsafe PageDigester.digest(of: bytes, algorithm)
        )
    }

    /// The digests of a configuration and of device state, in the stream's order.
    static func parts(
        of configuration: ConfigurationSection,
        _ deviceState: DeviceState,
        _ algorithm: IntegrityAlgorithm
    ) -> [SealedPart] {
        var bytes: [UInt8] = []
        configuration.encode(into: &bytes)
        var parts = [
            unsafe bytes.withUnsafeBytes {
                unsafe SealedPart(.configuration, name: "configuration", $0, algorithm)
            }
        ]
        for run in [deviceState.early, deviceState.final] {
            unsafe run.bytes.withUnsafeBytes { bytes in
                for section in run.sections {
                    // Without the footer: who sends the state on may leave it out or put it in.
                    let range = section.start..<section.body.upperBound
                    parts.append(
                        unsafe SealedPart(
                            .section,
                            name: section.identity.name,
                            instance: section.identity.instance,
                            UnsafeRawBufferPointer(rebasing: bytes[range]),
                            algorithm
                        )
                    )
                }
            }
        }
        if let description = deviceState.description {
            parts.append(
                unsafe description.withUnsafeBytes {
                    unsafe SealedPart(.description, name: "description", $0, algorithm)
                }
            )
        }
        return parts
    }

    /// The digest of where a mapped-ram image has a block's pages, and which.
    static func map(
        of block: String,
        pagesOffset: UInt64,
        present: PageBitmap,
        _ algorithm: IntegrityAlgorithm
    ) -> SealedPart {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(8 + present.words.count * 8)
        bytes.appendBigEndian(pagesOffset)
        bytes.append(contentsOf: present.littleEndianBytes)
        return unsafe bytes.withUnsafeBytes {
            unsafe SealedPart(.map, name: block, $0, algorithm)
        }
    }
}
