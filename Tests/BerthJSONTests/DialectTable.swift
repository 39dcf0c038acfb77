import BerthJSON
import BerthTestSupport
import Testing

/// What a parser makes of an input that comes in pieces.
private func outputs(_ pieces: [ArraySlice<UInt8>]) -> [JSONStreamParser.Output] {
    var parser = JSONStreamParser()
    var result: [JSONStreamParser.Output] = []
    for piece in pieces { parser.feed(Array(piece)) { result.append($0) } }
    return result
}

@Suite struct DialectTable {
    @Test func `reads every input of the table alike, however it is cut`() {
        for row in DialectRow.all {
            let input = row.input
            let whole = outputs([input[...]])
            for index in 0...input.count {
                #expect(outputs([input[..<index], input[index...]]) == whole, "\(row) at \(index)")
            }
            #expect(outputs(input.indices.map { input[$0...$0] }) == whole, "\(row)")
        }
    }

    @Test func `finds the errors that QEMU finds`() {
        for row in DialectRow.all {
            let errors = outputs([row.input[...]]).compactMap { output -> String? in
                guard case .error(let text) = output else { return nil }
                return JSONValue.string(text).serialized()
            }
            let expected = row.replies.compactMap { reply -> String? in
                guard let start = reply.firstRange(of: #""JSON parse error, "#) else { return nil }
                return String(reply[start.lowerBound...].dropLast(2))
            }
            #expect(errors == expected, "\(row)")
        }
    }

    @Test func `is ready for a value after every prefix of every input and a resynchronisation`() {
        let fresh: [UInt8] = [0xFF, 0x0A] + Array("{}".utf8)
        for row in DialectRow.all {
            for count in 0...row.input.count {
                #expect(outputs([row.input[..<count], fresh[...]]).last == .value([:]), "\(row)")
            }
        }
    }
}
