/// Reads the JSON texts of a monitor's client out of a stream of bytes.
///
/// The dialect, the limits and the messages are QEMU's: a client's byte sequence gets the same
/// values and errors from both. After an error the parser goes on with what follows.
public struct JSONStreamParser: Sendable {
    /// What comes out of the stream.
    public enum Output: Sendable, Equatable {
        /// One complete value.
        case value(JSONValue)
        /// A text that is none. The description is complete, such as
        /// `JSON parse error, expecting value`.
        case error(String)
    }

    /// QEMU cuts what its parser says to this many bytes, without the prefix.
    private static let reasonByteLimit = 1023
    private static let prefix = "JSON parse error, "

    private var assembler: JSONAssembler

    /// A parser at the start of a stream.
    ///
    /// - Parameter limits: of one value.
    public init(limits: JSONLimits = .monitor) {
        assembler = JSONAssembler(.monitor, limits)
    }

    /// Whether the bytes taken so far end in the middle of a text.
    public var isInsideText: Bool { assembler.isInsideText }

    /// Forgets an incomplete text, as a new stream demands.
    public mutating func reset() {
        assembler.reset()
    }

    /// Takes bytes until a value or an error comes out.
    ///
    /// A value is found with its last byte; only a number or keyword at top level needs the byte
    /// after it, which is not taken then.
    ///
    /// - Parameters:
    ///   - bytes: a piece of the stream, cut anywhere.
    ///   - index: of the first byte to take; moves past those that were taken.
    /// - Returns: `nil` when all bytes are taken and nothing is complete.
    public mutating func next(in bytes: [UInt8], at index: inout Int) -> Output? {
        assembler.next(in: bytes, at: &index).map(Self.output)
    }

    /// Takes all bytes.
    ///
    /// - Parameters:
    ///   - bytes: a piece of the stream, cut anywhere.
    ///   - emit: is called for each value and each error, in order.
    public mutating func feed(_ bytes: [UInt8], _ emit: (Output) -> Void) {
        var index = 0
        while let output = next(in: bytes, at: &index) { emit(output) }
    }

    static func output(_ outcome: JSONAssembler.Outcome) -> Output {
        switch outcome {
        case .value(let value): .value(value)
        default: .error(description(outcome))
        }
    }

    private static func description(_ outcome: JSONAssembler.Outcome) -> String {
        switch outcome {
        case .value: ""
        case .stray(let token, _):
            // As a C string the token ends at its first NUL.
            prefix + "stray '\(UnicodeDecoding.repair(token.prefix { $0 != 0 }))'"
        case .violation(let violation): prefix + cut(violation.reason)
        case .tooDeep: "JSON nesting depth limit exceeded"
        case .tooManyTokens: "JSON token count limit exceeded"
        case .tooLong: "JSON token size limit exceeded"
        }
    }

    private static func cut(_ reason: String) -> String {
        guard reason.utf8.count > reasonByteLimit else { return reason }
        return UnicodeDecoding.repair(Array(reason.utf8.prefix(reasonByteLimit))[...])
    }

    /// What happens to the end of a text that is not a stream; see `parseQMPText`.
    mutating func finish() -> Output? {
        assembler.finish().map(Self.output)
    }
}
