import BerthWire

extension DeviceSectionScanner {
    /// Goes from element to element until something is missing or there is something to say.
    mutating func goForward(_ bytes: Span<UInt8>) throws(WireError) -> Verdict {
        while true {
            let verdict: Verdict?
            switch place {
            case .element(let index):
                verdict = try element(at: index, bytes)
            case .body(let section, let index):
                verdict = try footer(of: section, from: index, bytes)
            case .tail(let index):
                verdict = tail(at: index, bytes)
            }
            if let verdict {
                return verdict
            }
        }
    }

    /// Reads what precedes a body; nil means that `place` has moved on.
    private mutating func element(
        at index: Int,
        _ bytes: Span<UInt8>
    ) throws(WireError) -> Verdict? {
        var cursor = WireCursor(offset: index, base: base)
        do throws(WireError) {
            switch try ElementKind(peeking: cursor, bytes) {
            case .endOfFile:
                place = .tail(index)
                return nil
            case .command:
                let command = try StreamCommand(decoding: &cursor, bytes)
                place = .element(cursor.offset)
                return .command(command)
            default:
                let header = try SectionHeader(decoding: &cursor, bytes)
                if ledger.native.contains(header.id) && header.identity == nil {
                    return .nativeSection(at: index)
                }
                guard let identity = header.identity ?? ledger.opaque[header.id] else {
                    throw .unknownKind(
                        field: "section id",
                        offset: base &+ UInt64(index),
                        found: String(header.id)
                    )
                }
                if nativeNames.contains(identity.name) {
                    return .nativeSection(at: index)
                }
                let section = DeviceSection(
                    kind: header.kind,
                    id: header.id,
                    identity: identity,
                    start: index,
                    body: cursor.offset..<cursor.offset,
                    end: cursor.offset
                )
                place = .body(section, from: cursor.offset)
                return nil
            }
        } catch {
            if case .truncated(_, _, let needed) = error {
                return .needMore(needed)
            }
            // The footer before was not one, or the stream is broken.
            guard stepBack() else {
                throw error
            }
            return nil
        }
    }

    /// Searches for the footer that ends a body; nil means that `place` has moved on.
    private mutating func footer(
        of section: DeviceSection,
        from start: Int,
        _ bytes: Span<UInt8>
    ) throws(WireError) -> Verdict? {
        var index = start
        while index + SectionFooter.byteCount <= bytes.count {
            guard bytes[index] == ElementKind.footer.rawValue else {
                index += 1
                continue
            }
            var cursor = WireCursor(offset: index, base: base)
            guard let footer = try? SectionFooter(decoding: &cursor, bytes),
                footer.id == section.id
            else {
                index += 1
                continue
            }
            switch plausibility(at: cursor.offset, after: section, bytes) {
            case .needs(let count):
                spend(index - start)
                place = .body(section, from: index)
                return .needMore(count)
            case .no:
                index += 1
            case .yes:
                spend(index - start)
                place = .body(section, from: index)
                guard sections.count < Self.sectionCountLimit else {
                    throw .limitExceeded(
                        field: "section count",
                        offset: base &+ UInt64(index),
                        limit: UInt64(Self.sectionCountLimit),
                        found: UInt64(sections.count) + 1
                    )
                }
                var found = section
                found.body = section.body.lowerBound..<index
                found.end = cursor.offset
                sections.append(found)
                ledger.note(found)
                place = .element(cursor.offset)
                return nil
            }
        }
        spend(index - start)
        place = .body(section, from: index)
        return .needMore(bytes.count + 1)
    }

    private enum Plausibility {
        case yes
        case no
        /// Undecided until the buffer has so many bytes.
        case needs(Int)
    }

    /// Whether an element can begin here, with no more bytes than it takes to say so.
    private func plausibility(
        at index: Int,
        after section: DeviceSection,
        _ bytes: Span<UInt8>
    ) -> Plausibility {
        guard index < bytes.count else {
            return .needs(index + 1)
        }
        guard let kind = ElementKind(rawValue: bytes[index]), kind.isElement else {
            return .no
        }
        var cursor = WireCursor(offset: index, base: base)
        do throws(WireError) {
            switch kind {
            case .endOfFile:
                return .yes
            case .command:
                return try commandIsPlausible(&cursor, bytes) ? .yes : .no
            default:
                let header = try SectionHeader(decoding: &cursor, bytes)
                if let identity = header.identity {
                    let numbers = max(identity.instance, identity.version)
                    return numbers < Limits.plausibleNumber ? .yes : .no
                }
                var after = ledger
                after.note(section)
                return after.contains(header.id) ? .yes : .no
            }
        } catch {
            guard case .truncated = error, nameIsPrintable(from: index + 6, kind, bytes) else {
                return .no
            }
            // Each byte of a name can decide, so one is asked for, not all: a length of 255 in
            // device memory near the stream's end would ask for bytes that never come.
            return .needs(bytes.count + 1)
        }
    }

    private func commandIsPlausible(
        _ cursor: inout WireCursor,
        _ bytes: Span<UInt8>
    ) throws(WireError) -> Bool {
        cursor.offset += 1
        let code = try cursor.be16(bytes, "command code")
        let byteCount = try cursor.be16(bytes, "command payload length")
        // Only the commands that discard RAM are long, and 12 ranges and a name fit this.
        return StreamCommand.codes.contains(code) && byteCount <= 450
    }

    /// Whether what is there of a name can be one, so that an implausible name is not waited for.
    private func nameIsPrintable(
        from index: Int,
        _ kind: ElementKind,
        _ bytes: Span<UInt8>
    ) -> Bool {
        guard kind == .start || kind == .full, index <= bytes.count else {
            return true
        }
        let nameEnd = index + Int(bytes[index - 1])
        for position in index..<min(nameEnd, bytes.count)
        where !Limits.isPrintable(bytes[position]) {
            return false
        }
        return nameEnd > index
    }

    /// Reads what follows the end of the elements; nil means that `place` has moved on.
    private mutating func tail(at index: Int, _ bytes: Span<UInt8>) -> Verdict? {
        var end = End(
            sections: sections,
            description: nil,
            byteCount: index + 1,
            isVerified: false
        )
        var cursor = WireCursor(offset: end.byteCount, base: base)
        do throws(WireError) {
            let header = try VMDescriptionHeader(decoding: &cursor, bytes)
            let text = cursor.offset..<(cursor.offset + header.textByteCount)
            guard text.upperBound <= bytes.count else {
                return .needMore(text.upperBound)
            }
            end.description = text
            end.byteCount = text.upperBound
            end.isVerified = describes(bytes, text)
        } catch {
            if case .truncated(_, _, let needed) = error, end.byteCount < bytes.count {
                return .needMore(needed)
            }
        }
        guard end.byteCount < bytes.count else {
            if end.isVerified {
                return .end(end)
            }
            // A description that doesn't fit speaks against the footers, so the other way is tried;
            // the missing byte, if none comes, decides for them.
            searchesDescription = searchesDescription || end.description != nil
            unverified = end
            return .needMore(end.byteCount + 1)
        }
        doubt(end)
        searchesDescription = true
        guard stepBack() else {
            return .needMore(bytes.count + 1)
        }
        return nil
    }

    /// Whether a description fits the sections that were found, name by name and length by length.
    private mutating func describes(_ bytes: Span<UInt8>, _ text: Range<Int>) -> Bool {
        guard rewalk.pay(for: text.count) else {
            return false
        }
        var cursor = WireCursor(offset: text.lowerBound, base: base)
        guard let copy = try? cursor.bytes(text.count, bytes, "description"),
            let description = try? VMDescription(parsing: copy),
            let devices = withoutEarlier(description.devices)
        else {
            return false
        }
        let whole = sections.filter { $0.kind == .full }
        return devices.count == whole.count
            && zip(devices, whole).allSatisfy { device, section in
                device.name == section.identity.name
                    && device.instance == section.identity.instance
                    && device.bodyByteCount == UInt64(section.body.count)
            }
    }

    private mutating func spend(_ byteCount: Int) {
        retryBudget -= byteCount
    }
}
