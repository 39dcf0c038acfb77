import BerthJSON

/// A report as JSON for a program that reads lines: indented, and with the line ends of files.
///
/// `serialized` ends lines as a monitor does, with CR LF; within strings both are escaped.
func jsonText(_ value: JSONValue) -> String {
    var bytes: [UInt8] = []
    value.write(into: &bytes, pretty: true)
    bytes.removeAll { $0 == 0x0d }
    return String(decoding: bytes, as: UTF8.self)
}
