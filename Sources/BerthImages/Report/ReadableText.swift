/// A number of bytes as people read it: `512 B`, `64 KiB`, `12.5 MiB`.
func byteText(_ byteCount: UInt64) -> String {
    guard byteCount >= 1024 else { return "\(byteCount) B" }
    var unit: UInt64 = 1024
    var names = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"][...]
    while byteCount / unit >= 1024, names.count > 1 {
        unit *= 1024
        names.removeFirst()
    }
    // Without fraction where there is none, with one digit otherwise.
    let whole = byteCount / unit
    let tenths = byteCount % unit / (unit / 64) * 10 / 64
    return (tenths == 0 ? "\(whole)" : "\(whole).\(tenths)") + " \(names.first ?? "")"
}

/// A number with its thousands set apart: `1 048 576`.
func grouped(_ number: some BinaryInteger) -> String {
    let digits = String(number)
    var output = ""
    for (index, digit) in digits.enumerated() {
        if index > 0, (digits.count - index) % 3 == 0, output != "-" {
            output.append(" ")
        }
        output.append(digit)
    }
    return output
}

/// A place or a bit pattern: `0x1000`.
func hexadecimal(_ number: some BinaryInteger) -> String {
    "0x" + String(number, radix: 16)
}

/// Bytes as hexadecimal digits, without anything between them.
func hexadecimalDigits(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var output: [UInt8] = []
    for byte in bytes {
        output.append(digits[Int(byte >> 4)])
        output.append(digits[Int(byte & 15)])
    }
    return String(decoding: output, as: UTF8.self)
}

/// A stranger's text for a terminal: controls and changes of direction become `\u{fffd}`.
///
/// Also a program's own line with such texts in it: none of them can begin another line.
///
/// - Parameter keepsLines: whether line ends and tabs stay.
public func printable(_ text: String, keepsLines: Bool = false) -> String {
    var output = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
        let stays = keepsLines && (scalar == "\n" || scalar == "\t")
        output.append(scalar.isInvisible && !stays ? "\u{fffd}" : scalar)
    }
    return String(output)
}
