import BerthJSON
import BerthMemory
public import BerthQAPI
import BerthStream
import BerthWire

extension ImageInspection {
    /// What was found, as `berth inspect --json` prints it.
    ///
    /// - Parameter hasFields: whether the devices' fields are in it.
    public func report(hasFields: Bool) -> ImageReport {
        let configuration = census.configuration
        let received = reading?.received
        let trailing = trailingByteCount
        return ImageReport(
            file: image.path,
            size: image.fileByteCount,
            diskSize: image.allocatedByteCount,
            content: contentKind,
            description: foreignName,
            compression: image.compression.flatMap { ImageCompression(rawValue: $0.rawValue) },
            libvirt: image.libvirt.map(ImageLibvirt.init),
            streamOffset: image.streamOffset,
            streamEnd: received?.places.end,
            layout: configuration.map {
                $0.capabilities.contains("mapped-ram") ? .mappedRAM : .sequential
            },
            machine: configuration?.machineName,
            uuid: configuration?.uuid?.description,
            pageBits: configuration?.targetPageBits,
            capabilities: configuration?.capabilities,
            runState: received?.deviceState.globalState?.runState,
            pages: census.blocks.isEmpty ? nil : totalPages,
            blocks: census.blocks.map(ImageBlock.init),
            devices: received == nil ? nil : reportedDevices(hasFields),
            seal: seal.map {
                ImageSeal(
                    algorithm: $0.algorithm.rawValue,
                    offset: $0.place.lowerBound,
                    size: UInt64($0.place.count)
                )
            },
            cutOffSeal: cutOffSeal,
            trailing: trailing == 0 ? nil : trailing,
            problem: problem.map {
                ImageProblem(message: $0.description, hint: $0.hint, offset: $0.offset)
            }
        )
    }

    /// The same as text: one JSON object, with line breaks.
    public func json(hasFields: Bool) -> String {
        jsonText(report(hasFields: hasFields).toJSON())
    }

    private var contentKind: ImageContentKind {
        switch image.content {
        case .stream: .stream
        case .compressedStream: .compressedStream
        case .libvirt: .libvirt
        case .cutOff: .cutOff
        case .foreign: .foreign
        case .unknown: .unknown
        case .empty: .empty
        }
    }

    private var foreignName: String? {
        if case .foreign(let name) = image.content { name } else { nil }
    }

    private var totalPages: ImagePageCounts {
        var total = ImagePageCounts(total: 0, data: 0, zero: 0, absent: 0, repeated: 0)
        for counts in census.blocks.map(ImagePageCounts.init) {
            total.total += counts.total
            total.data += counts.data
            total.zero += counts.zero
            total.absent += counts.absent
            total.repeated += counts.repeated
        }
        return total
    }

    private func reportedDevices(_ hasFields: Bool) -> [ImageDevice] {
        let places = reading?.received.places
        let offsets = (places?.early ?? []) + (places?.final ?? [])
        return devices.enumerated().map { index, device in
            ImageDevice(
                name: device.name,
                instance: device.instance,
                version: device.version,
                part: device.part,
                offset: index < offsets.count ? offsets[index] : 0,
                size: UInt64(device.byteCount),
                problem: device.problem,
                fields: hasFields ? device.fields.map(ImageField.init) : nil,
                subsections: hasFields ? device.subsections.map(ImageStructure.init) : nil
            )
        }
    }
}

extension DecodedDevice {
    fileprivate var part: ImageDevicePart {
        switch kind {
        case .start: .start
        case .part: .part
        case .end: .end
        default: .full
        }
    }
}

extension ImageLibvirt {
    fileprivate init(_ save: LibvirtSave) {
        self.init(
            complete: !save.header.isPartial,
            version: save.header.version,
            byteSwapped: save.header.isByteSwapped,
            format: save.header.format,
            formatName: save.format.map { "\($0)" },
            wasRunning: save.header.wasRunning,
            dataSize: save.header.dataByteCount,
            cookieOffset: save.header.cookieOffset,
            xml: String(decoding: save.xml, as: UTF8.self),
            cookie: save.cookie.map { String(decoding: $0, as: UTF8.self) }
        )
    }
}

extension ImageBlock {
    fileprivate init(_ census: BlockCensus) {
        self.init(
            name: census.block.name,
            size: UInt64(census.block.byteCount),
            guestAddress: census.block.guestAddress,
            pagesOffset: census.pagesOffset,
            pages: ImagePageCounts(census)
        )
    }
}

extension ImagePageCounts {
    init(_ census: BlockCensus) {
        let total = census.data.pageCount
        let data = census.data.count
        let absent = census.absentPageCount
        self.init(
            total: UInt64(total),
            data: UInt64(data),
            zero: UInt64(total - data - absent),
            absent: UInt64(absent),
            repeated: census.repeatedPageCount
        )
    }
}

extension ImageStructure {
    init(_ structure: DeviceStructure) {
        self.init(
            name: structure.name,
            version: structure.version,
            fields: structure.fields.map(ImageField.init),
            subsections: structure.subsections.map(ImageStructure.init)
        )
    }
}

extension ImageField {
    init(_ field: DeviceField) {
        self.init(
            name: field.name,
            type: field.type,
            index: field.index.flatMap { UInt64(exactly: $0) },
            offset: UInt64(field.offset),
            size: UInt64(field.byteCount)
        )
        switch field.value {
        case .unsigned, .signed, .bool: value = field.value.jsonScalar
        case .numbers(let numbers): value = .array(numbers.map(\.jsonScalar))
        case .bytes(let content): bytes = hexadecimalDigits(content)
        case .structure(let inner): structures = [ImageStructure(inner)]
        case .structures(let elements): structures = elements.map(ImageStructure.init)
        }
    }
}

extension DeviceField.Value {
    /// The number or truth value; null for all else.
    fileprivate var jsonScalar: JSONValue {
        switch self {
        case .unsigned(let number): JSONValue(number)
        case .signed(let number): JSONValue(number)
        case .bool(let truth): .bool(truth)
        default: .null
        }
    }
}
