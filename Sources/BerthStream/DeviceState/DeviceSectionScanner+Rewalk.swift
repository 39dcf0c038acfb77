import BerthWire

extension DeviceSectionScanner {
    /// State of the search for a description.
    struct Rewalk: Sendable, Equatable {
        /// Index of the next byte at which the end of the elements could stand.
        var next = 0
        /// Places whose description is not there as a whole yet.
        var incomplete: [Int] = []
        /// Bytes of JSON that may still be parsed; each text costs `parseOverhead` beside its own.
        var parseBudget = Rewalk.parseByteCount

        /// 64 MiB: four descriptions of the largest size, hundreds of real ones.
        ///
        /// Device memory full of imitations costs no more than that.
        static let parseByteCount = 64 << 20

        /// What a text costs beside its bytes, so that millions of tiny ones are bounded, too.
        static let parseOverhead = 4096

        /// Takes the cost of a text from the budget; false if it is not there.
        mutating func pay(for byteCount: Int) -> Bool {
            guard parseBudget >= byteCount + Self.parseOverhead else {
                return false
            }
            parseBudget -= byteCount + Self.parseOverhead
            return true
        }

        /// Places that are remembered.
        ///
        /// Real streams have one to three.
        static let incompleteCount = 1024
    }

    /// Searches the buffer for a description whose lengths lead from the first section to itself.
    ///
    /// - Returns: the end that the first such description gives, if the buffer ends there too;
    ///   others are kept as doubtful.
    mutating func searchDescription(_ bytes: Span<UInt8>) -> End? {
        let waiting = rewalk.incomplete
        rewalk.incomplete.removeAll()
        for index in waiting {
            if let end = examine(index, bytes) {
                return end
            }
        }
        // 00, 06, four bytes of length, then the brace.
        while rewalk.next + 7 <= bytes.count {
            let index = rewalk.next
            rewalk.next += 1
            guard bytes[index] == ElementKind.endOfFile.rawValue,
                bytes[index + 1] == ElementKind.vmDescription.rawValue,
                bytes[index + 6] == UInt8(ascii: "{")
            else {
                continue
            }
            if let end = examine(index, bytes) {
                return end
            }
        }
        return nil
    }

    /// Judges one place; an end that the buffer contradicts is kept as doubtful.
    private mutating func examine(_ index: Int, _ bytes: Span<UInt8>) -> End? {
        var cursor = WireCursor(offset: index + 1, base: base)
        guard let header = try? VMDescriptionHeader(decoding: &cursor, bytes),
            header.textByteCount >= 2
        else {
            return nil
        }
        let text = cursor.offset..<(cursor.offset + header.textByteCount)
        guard text.upperBound <= bytes.count else {
            if rewalk.incomplete.count < Rewalk.incompleteCount {
                rewalk.incomplete.append(index)
            }
            return nil
        }
        guard bytes[text.upperBound - 1] == UInt8(ascii: "}"), rewalk.pay(for: text.count),
            let copy = try? cursor.bytes(text.count, bytes, "description"),
            let description = try? VMDescription(parsing: copy),
            let devices = withoutEarlier(description.devices),
            let sections = walk(devices, to: index, bytes)
        else {
            return nil
        }
        let end = End(
            sections: sections,
            description: text,
            byteCount: text.upperBound,
            isVerified: true
        )
        guard end.byteCount == bytes.count else {
            doubt(end)
            return nil
        }
        // Bytes that arrive later put it in doubt; then it must be found again.
        rewalk.incomplete.append(index)
        return end
    }

    /// The description's devices without those that came before the buffer; nil if it lists others.
    func withoutEarlier(_ devices: [VMDescription.Device]) -> ArraySlice<VMDescription.Device>? {
        guard devices.count >= earlier.count,
            zip(devices, earlier).allSatisfy({ $0.name == $1.name && $0.instance == $1.instance })
        else {
            return nil
        }
        return devices.dropFirst(earlier.count)
    }

    /// Takes every body's length from the description; nil unless that leads exactly to `end`.
    private func walk(
        _ devices: ArraySlice<VMDescription.Device>,
        to end: Int,
        _ bytes: Span<UInt8>
    ) -> [DeviceSection]? {
        var cursor = WireCursor(base: base)
        var found: [DeviceSection] = []
        var rest = devices
        while cursor.offset < end {
            if bytes[cursor.offset] == ElementKind.command.rawValue {
                guard (try? StreamCommand(decoding: &cursor, bytes)) != nil else {
                    return nil
                }
                continue
            }
            let start = cursor.offset
            // Sections in several parts are in no description, so their length is not known.
            guard let header = try? SectionHeader(decoding: &cursor, bytes),
                header.kind == .full, let identity = header.identity,
                let device = rest.popFirst(),
                device.name == identity.name, device.instance == identity.instance,
                let byteCount = Int(exactly: device.bodyByteCount),
                byteCount <= end - cursor.offset
            else {
                return nil
            }
            let body = cursor.offset..<(cursor.offset + byteCount)
            cursor.offset = body.upperBound
            if hasFooters {
                guard (try? SectionFooter(decoding: &cursor, bytes, of: header.id)) != nil else {
                    return nil
                }
            }
            found.append(
                DeviceSection(
                    kind: header.kind,
                    id: header.id,
                    identity: identity,
                    start: start,
                    body: body,
                    end: cursor.offset
                )
            )
        }
        return cursor.offset == end && rest.isEmpty ? found : nil
    }
}
