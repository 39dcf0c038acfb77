internal import Glibc

extension JSONValue {
    /// The value as text, in the exact form that QEMU writes.
    ///
    /// - Parameter pretty: break lines with CR LF and indent by four blanks.
    public func serialized(pretty: Bool = false) -> String {
        var bytes: [UInt8] = []
        write(into: &bytes, pretty: pretty)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Appends the value as text, in the exact form that QEMU writes: ASCII only, one blank after
    /// `:` and `,`, doubles with 17 significant digits.
    ///
    /// An infinite double becomes `inf`, which is not JSON; such a value can only come from a
    /// client's own `id`.
    ///
    /// - Parameters:
    ///   - bytes: where the text goes; nothing ends it.
    ///   - pretty: break lines with CR LF and indent by four blanks.
    public func write(into bytes: inout [UInt8], pretty: Bool = false) {
        write(into: &bytes, level: pretty ? 1 : nil)
    }

    /// - Parameter level: nesting of what is inside this value; `nil` writes one line.
    private func write(into bytes: inout [UInt8], level: Int?) {
        switch self {
        case .null: bytes.append(contentsOf: "null".utf8)
        case .bool(let value): bytes.append(contentsOf: (value ? "true" : "false").utf8)
        case .integer(let value): bytes.append(contentsOf: String(value).utf8)
        case .unsigned(let value): bytes.append(contentsOf: String(value).utf8)
        case .double(let value): JSONText.append(value, to: &bytes)
        case .string(let text): JSONText.appendQuoted(text, to: &bytes)
        case .array(let elements):
            bytes.append(UInt8(ascii: "["))
            var isFirst = true
            for element in elements {
                JSONText.separate(&isFirst, level, &bytes)
                element.write(into: &bytes, level: level.map { $0 + 1 })
            }
            JSONText.breakLine(level.map { $0 - 1 }, &bytes)
            bytes.append(UInt8(ascii: "]"))
        case .object(let members):
            bytes.append(UInt8(ascii: "{"))
            var isFirst = true
            for (key, value) in members {
                JSONText.separate(&isFirst, level, &bytes)
                JSONText.appendQuoted(key, to: &bytes)
                bytes.append(UInt8(ascii: ":"))
                bytes.append(UInt8(ascii: " "))
                value.write(into: &bytes, level: level.map { $0 + 1 })
            }
            JSONText.breakLine(level.map { $0 - 1 }, &bytes)
            bytes.append(UInt8(ascii: "}"))
        }
    }
}

/// The pieces of JSON text that several writers share.
enum JSONText {
    private static let hexDigits = Array("0123456789ABCDEF".utf8)

    static func separate(_ isFirst: inout Bool, _ level: Int?, _ bytes: inout [UInt8]) {
        if isFirst {
            isFirst = false
        } else {
            bytes.append(UInt8(ascii: ","))
            // At the end of a line there is nothing to keep apart.
            if level == nil { bytes.append(UInt8(ascii: " ")) }
        }
        breakLine(level, &bytes)
    }

    static func breakLine(_ level: Int?, _ bytes: inout [UInt8]) {
        guard let level else { return }
        bytes.append(contentsOf: [0x0D, 0x0A])
        bytes.append(contentsOf: repeatElement(UInt8(ascii: " "), count: level * 4))
    }

    /// Appends a number as C's `%.17g` does, which reads back as the same number.
    static func append(_ number: Double, to bytes: inout [UInt8]) {
        // 17 digits, sign, point and a four-character exponent: 24 characters at most.
        unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 32) { text in
            let count = unsafe withVaList([number]) {
                unsafe vsnprintf(text.baseAddress, text.count, "%.17g", $0)
            }
            for index in 0..<min(Int(count), text.count) {
                bytes.append(UInt8(bitPattern: unsafe text[index]))
            }
        }
    }

    /// Appends a string in double quotes, with everything outside printable ASCII escaped.
    ///
    /// Noncharacters become U+FFFD: QEMU's own parser would refuse them.
    static func appendQuoted(_ text: String, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": bytes.append(contentsOf: "\\\"".utf8)
            case "\\": bytes.append(contentsOf: "\\\\".utf8)
            case "\u{08}": bytes.append(contentsOf: "\\b".utf8)
            case "\u{0C}": bytes.append(contentsOf: "\\f".utf8)
            case "\n": bytes.append(contentsOf: "\\n".utf8)
            case "\r": bytes.append(contentsOf: "\\r".utf8)
            case "\t": bytes.append(contentsOf: "\\t".utf8)
            case " "..."~": bytes.append(UInt8(truncatingIfNeeded: scalar.value))
            default: appendEscaped(isNoncharacter(scalar.value) ? "\u{FFFD}" : scalar, to: &bytes)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    /// Whether a code point is one of the 66 that Unicode reserves for internal use.
    static func isNoncharacter(_ codePoint: UInt32) -> Bool {
        codePoint & 0xFFFE == 0xFFFE || (0xFDD0...0xFDEF).contains(codePoint)
    }

    /// Appends `\uXXXX`, or two of them for a character beyond U+FFFF.
    static func appendEscaped(_ scalar: Unicode.Scalar, to bytes: inout [UInt8]) {
        for unit in UTF16.encode(scalar) ?? UTF16.EncodedScalar() {
            bytes.append(contentsOf: "\\u".utf8)
            for shift in [12, 8, 4, 0] {
                bytes.append(hexDigits[Int(unit >> UInt16(shift)) & 0xF])
            }
        }
    }
}
