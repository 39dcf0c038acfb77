import BerthJSON
import BerthMemory
public import BerthQAPI

extension ImageDifference {
    /// What was found, as `berth diff --json` prints it.
    ///
    /// - Parameter listsPages: whether every range of pages is in it.
    public func report(listsPages: Bool) -> ImageDifferenceReport {
        ImageDifferenceReport(
            first: paths.first,
            second: paths.second,
            same: isSame,
            properties: properties.map {
                ImageDifferenceProperty(name: $0.name, first: $0.first, second: $0.second)
            },
            blocks: blocks.map { ImageDifferenceBlock($0, listsPages: listsPages) },
            devices: devices.map(ImageDifferenceDevice.init)
        )
    }

    /// The same as text: one JSON object, with line breaks.
    public func json(listsPages: Bool) -> String {
        jsonText(report(listsPages: listsPages).toJSON())
    }
}

extension ImageDifferenceBlock {
    fileprivate init(_ block: BlockDifference, listsPages: Bool) {
        var ranges: [ImageDifferenceRange]?
        if listsPages {
            var list: [ImageDifferenceRange] = []
            block.visitRanges { pages, change in
                list.append(
                    ImageDifferenceRange(
                        offset: UInt64(pages.lowerBound * targetPageByteCount),
                        size: UInt64(pages.count * targetPageByteCount),
                        kind: change.kind
                    )
                )
            }
            ranges = list
        }
        self.init(
            name: block.name,
            firstSize: block.byteCounts.first.map(UInt64.init),
            secondSize: block.byteCounts.second.map(UInt64.init),
            same: UInt64(block.same.count),
            changed: UInt64(block.changed.count),
            onlyFirst: UInt64(block.onlyFirst.count),
            onlySecond: UInt64(block.onlySecond.count),
            ranges: ranges
        )
    }
}

extension BlockDifference.Change {
    fileprivate var kind: ImageDifferenceKind {
        switch self {
        case .changed: .changed
        case .onlyFirst: .onlyFirst
        case .onlySecond: .onlySecond
        }
    }
}

extension ImageDifferenceDevice {
    fileprivate init(_ device: DeviceDifference) {
        self.init(
            name: device.name,
            instance: device.instance,
            firstVersion: device.first?.version,
            secondVersion: device.second?.version,
            fields: device.fields.map {
                ImageDifferenceField(path: $0.path, first: $0.first, second: $0.second)
            },
            omitted: UInt64(device.omittedFieldCount)
        )
    }
}
