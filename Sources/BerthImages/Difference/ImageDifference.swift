public import BerthStream
import BerthWire

/// `berth diff`: what two images of one guest don't have in common.
///
/// What counts is what a restore would bring: memory, device state, machine. How the images are
/// stored doesn't: two forms of one guest are the same.
public struct ImageDifference: Sendable {
    /// A property of the whole guest that differs.
    public struct Property: Sendable, Equatable {
        /// What it is, in words.
        public var name: String
        /// The value in the first image; nil if it has none.
        public var first: String?
        /// The value in the second image; nil if it has none.
        public var second: String?
    }

    /// Names of the two images, as they were given.
    public let paths: (first: String, second: String)
    /// Properties that differ.
    public let properties: [Property]
    /// All blocks of either image, also those without a difference.
    public let blocks: [BlockDifference]
    /// Device sections that differ.
    public let devices: [DeviceDifference]

    /// Whether nothing differs.
    public var isSame: Bool {
        properties.isEmpty && devices.isEmpty && blocks.allSatisfy(\.isSame)
    }

    /// Pages of all blocks that differ.
    public var differingPageCount: Int {
        blocks.reduce(0) { $0 + $1.differingPageCount }
    }

    /// Compares two images.
    ///
    /// - Parameter progress: called now and then.
    /// - Throws: `ImageError` that names the image that can't be read to its end.
    @available(*, noasync)
    public init(
        between first: GuestImage,
        and second: GuestImage,
        progress: ((StreamProgress) -> Void)? = nil
    ) throws(ImageError) {
        paths = (first.path, second.path)
        let (ones, others) = (try first.pages(), try second.pages())
        properties = Self.properties(first, ones.received, second, others.received)
        devices = DeviceDifference.all(ones.received.deviceState, others.received.deviceState)
        blocks = try PageComparison(ones, others, progress: progress).compare()
    }

    private static func properties(
        _ first: GuestImage,
        _ one: ReceivedStream,
        _ second: GuestImage,
        _ other: ReceivedStream
    ) -> [Property] {
        let values: [(String, (ReceivedStream) -> String?)] = [
            ("machine", { $0.configuration.machineName }),
            ("UUID", { $0.configuration.uuid?.description }),
            ("page bits", { $0.configuration.targetPageBits.map { "\($0)" } }),
            (
                "capabilities",
                {
                    // It says how the image is laid out, and nothing of the guest.
                    $0.configuration.capabilities.filter { $0 != "mapped-ram" }.sorted()
                        .joined(separator: ", ")
                }
            ),
            ("run state", { $0.deviceState.globalState?.runState }),
        ]
        var properties = values.compactMap { name, value in
            let (one, other) = (value(one), value(other))
            return one == other ? nil : Property(name: name, first: one, second: other)
        }
        // One that only one image has says how that image is stored.
        if let one = first.libvirt?.xml, let other = second.libvirt?.xml, one != other {
            properties.append(firstDifferentLine(one, other))
        }
        return properties
    }

    /// Shows where two domains begin to differ.
    private static func firstDifferentLine(_ one: [UInt8], _ other: [UInt8]) -> Property {
        let newLine = UInt8(ascii: "\n")
        let (ones, others) = (one.split(separator: newLine), other.split(separator: newLine))
        let index =
            zip(ones, others).enumerated().first { $1.0 != $1.1 }?.offset
            ?? min(ones.count, others.count)
        func line(_ lines: [ArraySlice<UInt8>]) -> String? {
            guard index < lines.count else { return nil }
            let text = lines[index].drop { $0 == UInt8(ascii: " ") }.prefix(100)
            return String(decoding: text, as: UTF8.self)
        }
        return Property(
            name: "domain XML, line \(index + 1)",
            first: line(ones),
            second: line(others)
        )
    }
}
