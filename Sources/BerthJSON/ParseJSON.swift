/// Reads one complete JSON document (RFC 8259), such as the description of the device state at the
/// end of a migration stream.
///
/// Of members with the same key the last one counts. Integers that fit no 64 bits are doubles.
///
/// - Parameters:
///   - bytes: the whole text, UTF-8.
///   - limits: of the document; bytes are counted without the blanks between tokens.
/// - Throws: `JSONError.tooLong`, `.tooDeep`, or `.syntax` with the offset of the first bad byte.
public func parseJSON(
    _ bytes: [UInt8],
    limits: JSONLimits = .document
) throws(JSONError) -> JSONValue {
    var assembler = JSONAssembler(.strict, limits)
    var index = 0
    guard let outcome = assembler.next(in: bytes, at: &index) ?? assembler.finish() else {
        throw .syntax(reason: "no JSON value", offset: bytes.count)
    }
    let value = try outcome.value(limits)
    let blanks: [UInt8] = [0x20, 0x09, 0x0A, 0x0D]
    if let offset = bytes[index...].firstIndex(where: { !blanks.contains($0) }) {
        throw .syntax(reason: "text after the JSON value", offset: offset)
    }
    return value
}

/// Reads one value in the monitor's dialect, as options of the command line have it.
///
/// - Parameter text: the whole option.
/// - Throws: `JSONError.text` with QEMU's own words.
public func parseQMPText(_ text: String) throws(JSONError) -> JSONValue {
    var parser = JSONStreamParser()
    var outputs: [JSONStreamParser.Output] = []
    parser.feed(Array(text.utf8)) { outputs.append($0) }
    if let last = parser.finish() { outputs.append(last) }
    switch outputs.first {
    case nil: throw .text("Expecting a JSON value")
    case .error(let description): throw .text(description)
    case .value(let value):
        guard outputs.count == 1 else { throw .text("Expecting at most one JSON value") }
        return value
    }
}

extension JSONAssembler.Outcome {
    fileprivate func value(_ limits: JSONLimits) throws(JSONError) -> JSONValue {
        switch self {
        case .value(let value): return value
        case .stray(_, let offset): throw .syntax(reason: "stray byte", offset: offset)
        case .violation(let violation):
            throw .syntax(reason: violation.reason, offset: violation.inputOffset)
        case .tooDeep: throw .tooDeep(limit: limits.depth)
        case .tooManyTokens: throw .tooManyTokens(limit: limits.tokenCount)
        case .tooLong: throw .tooLong(limit: limits.tokenByteCount)
        }
    }
}
