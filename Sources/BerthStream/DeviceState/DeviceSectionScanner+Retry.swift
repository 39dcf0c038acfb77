import BerthWire

extension DeviceSectionScanner {
    /// Goes back to the last accepted footer and looks for a later one.
    mutating func stepBack() -> Bool {
        guard let last = sections.popLast() else {
            return false
        }
        // A start that is taken back was the only way its id became known; an end made it unknown.
        ledger = sections.reduce(into: initialLedger) { $0.note($1) }
        var section = last
        section.body = last.body.lowerBound..<last.body.lowerBound
        section.end = last.body.lowerBound
        place = .body(section, from: last.body.upperBound + 1)
        return true
    }

    /// Tries other footers than those accepted, as long as the budget lasts.
    ///
    /// Needed where a body holds a footer and a header that look right, and no description tells
    /// better. Works on a copy: bytes that arrive later go on from the first choice.
    mutating func retry(_ bytes: Span<UInt8>) -> End? {
        guard hasFooters else {
            return nil
        }
        var attempt = self
        attempt.retryBudget = Self.retryByteCount
        while attempt.retryBudget > 0, attempt.stepBackOrSkip(bytes) {
            attempt.unverified = nil
            while let verdict = try? attempt.goForward(bytes) {
                switch verdict {
                case .command: continue
                case .end(let end): return end
                case .needMore, .nativeSection: break
                }
                break
            }
            if let end = attempt.unverified {
                return end
            }
        }
        for end in attempt.doubtful {
            doubt(end)
        }
        return nil
    }

    /// Leaves the present place for the next possible one: a later footer of the body that is being
    /// searched if one waits for bytes that will not come, else of the section before.
    private mutating func stepBackOrSkip(_ bytes: Span<UInt8>) -> Bool {
        if case .body(let section, let index) = place,
            index + SectionFooter.byteCount <= bytes.count
        {
            place = .body(section, from: index + 1)
            return true
        }
        return stepBack()
    }
}
