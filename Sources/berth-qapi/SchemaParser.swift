/// A value of the schema language.
indirect enum Literal: Equatable {
    case string(String)
    case boolean(Bool)
    case integer(Int64)
    case array([Literal])
    case object([LiteralMember])
}

/// A member of an object of the schema language.
struct LiteralMember: Equatable {
    let name: String
    let value: Literal
}

/// An expression at top level, with the doc comment before it.
struct SchemaExpression {
    let members: [LiteralMember]
    let documentation: [String]?
    let place: SourcePlace
}

/// Reads the expressions of one file.
struct SchemaParser {
    private var lexer: SchemaLexer
    private var token: SchemaLexer.Token = .end
    private var place: SourcePlace

    init(_ bytes: [UInt8], file: String) throws(SchemaError) {
        lexer = SchemaLexer(bytes, file: file)
        place = lexer.place
        try advance()
    }

    mutating func expressions() throws(SchemaError) -> [SchemaExpression] {
        var expressions: [SchemaExpression] = []
        var documentation: [String]?
        while token != .end {
            if case .documentation(let lines) = token {
                guard documentation == nil else { throw error("two doc comments in a row") }
                documentation = lines
                try advance()
                continue
            }
            let start = place
            guard case .object(let members) = try value() else {
                throw SchemaError(place: start, message: "expected an expression in braces")
            }
            expressions.append(
                SchemaExpression(members: members, documentation: documentation, place: start)
            )
            documentation = nil
        }
        guard documentation == nil else { throw error("doc comment that belongs to nothing") }
        return expressions
    }

    private func error(_ message: String) -> SchemaError {
        SchemaError(place: place, message: message)
    }

    private mutating func advance() throws(SchemaError) {
        (token, place) = try lexer.next()
    }

    private mutating func take(_ character: Character) throws(SchemaError) -> Bool {
        guard token == .punctuation(character) else { return false }
        try advance()
        return true
    }

    private mutating func expect(_ character: Character) throws(SchemaError) {
        guard try take(character) else { throw error("expected '\(character)'") }
    }

    private mutating func value() throws(SchemaError) -> Literal {
        switch token {
        case .string(let text):
            try advance()
            return .string(text)
        case .boolean(let flag):
            try advance()
            return .boolean(flag)
        case .integer(let number):
            try advance()
            return .integer(number)
        case .punctuation("["):
            return try array()
        case .punctuation("{"):
            return try object()
        default:
            throw error("expected a value")
        }
    }

    private mutating func array() throws(SchemaError) -> Literal {
        try expect("[")
        var elements: [Literal] = []
        if try take("]") { return .array(elements) }
        repeat {
            elements.append(try value())
        } while try take(",")
        try expect("]")
        return .array(elements)
    }

    private mutating func object() throws(SchemaError) -> Literal {
        try expect("{")
        var members: [LiteralMember] = []
        if try take("}") { return .object(members) }
        repeat {
            guard case .string(let name) = token else { throw error("expected a name") }
            guard !members.contains(where: { $0.name == name }) else {
                throw error("'\(name)' occurs twice")
            }
            try advance()
            try expect(":")
            members.append(LiteralMember(name: name, value: try value()))
        } while try take(",")
        try expect("}")
        return .object(members)
    }
}
