import BerthWire
import Testing

/// A decoder as a function, so that one set of checks fits every type.
typealias Decoder<Value> = (inout WireCursor, Span<UInt8>) throws(WireError) -> Value

/// Decodes from the start of an array.
func decode<Value>(_ bytes: [UInt8], _ decoder: Decoder<Value>) throws(WireError) -> Value {
    var cursor = WireCursor()
    return try decoder(&cursor, bytes.span)
}

/// Decodes one value after the other to the end of an array.
func decodeEach<Value>(_ bytes: [UInt8], _ decoder: Decoder<Value>) throws(WireError) -> [Value] {
    var cursor = WireCursor()
    var values: [Value] = []
    while cursor.offset < bytes.count {
        values.append(try decoder(&cursor, bytes.span))
    }
    return values
}

/// Plays a reader that fetches no more than a decoder asks for, from `bytes`.
///
/// Checks that no request goes beyond the bytes, that each asks for more than the one before, and
/// that a failed attempt leaves the cursor alone.
func fetchAsAsked<Value>(_ bytes: [UInt8], _ decoder: Decoder<Value>) throws -> Value {
    var available = 0
    while true {
        var cursor = WireCursor()
        do throws(WireError) {
            let value = try decoder(&cursor, bytes.span.extracting(..<available))
            #expect(cursor.offset <= available)
            return value
        } catch {
            guard case .truncated(_, _, let needed) = error else {
                throw error
            }
            #expect(cursor.offset == 0)
            try #require(needed > available && needed <= bytes.count)
            available = needed
        }
    }
}

/// Checks a decoder against one value's bytes: prefixes, changed bytes, and feeding in parts.
///
/// - Parameter lookAhead: bytes at the end of `bytes` that the decoder wants to see, but leaves.
func checkFeeding<Value: Equatable>(
    _ bytes: [UInt8],
    lookAhead: Int = 0,
    _ decoder: Decoder<Value>
) throws {
    var cursor = WireCursor()
    let whole = try decoder(&cursor, bytes.span)
    #expect(cursor.offset == bytes.count - lookAhead)

    for count in bytes.indices {
        // As at the end of a stream: nothing but a request for more may come of a prefix.
        var cursor = WireCursor()
        let error = #expect(throws: WireError.self) {
            try decoder(&cursor, bytes.span.extracting(..<count))
        }
        guard case .truncated(_, _, let needed)? = error else {
            Issue.record("prefix of \(count) bytes gave \(String(describing: error))")
            continue
        }
        #expect(needed > count && needed <= bytes.count)
        #expect(cursor.offset == 0)
    }
    #expect(try fetchAsAsked(bytes, decoder) == whole)
    checkEveryChange(bytes, decoder)
}

/// Checks that each change of one byte decodes or throws; that it does not trap is the point.
func checkEveryChange<Value>(_ bytes: [UInt8], _ decoder: Decoder<Value>) {
    var changed = bytes
    for index in bytes.indices {
        for bit in 0..<8 {
            changed[index] = bytes[index] ^ (1 << UInt8(bit))
            var cursor = WireCursor()
            let value = try? decoder(&cursor, changed.span)
            #expect(value != nil || cursor.offset == 0)
            #expect(cursor.offset <= changed.count)
        }
        changed[index] = bytes[index]
    }
}

/// The encoded form of a value.
func encoded(_ encode: (inout [UInt8]) -> Void) -> [UInt8] {
    var output: [UInt8] = []
    encode(&output)
    return output
}
