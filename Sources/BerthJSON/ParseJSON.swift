/// Reads one complete JSON document (RFC 8259), such as the description of the device state at the
/// end of a migration stream.
///
/// Of members with the same key, the last one counts.
///
/// - Parameters:
///   - bytes: the whole text, UTF-8.
///   - depthLimit: how deeply arrays and objects may be nested. 128 is four times what QEMU's
///     deepest description of device state needs.
///   - byteLimit: the longest text to accept, in bytes. 64 MiB is what QEMU allows one message.
/// - Throws: `JSONError.tooLong`, `.tooDeep`, or `.syntax` with the offset of the first bad byte.
public func parseJSON(
    _ bytes: [UInt8],
    depthLimit: Int = 128,
    byteLimit: Int = 64 << 20
) throws(JSONError) -> JSONValue {
    guard bytes.count <= byteLimit else { throw .tooLong(limit: byteLimit) }
    // json-c takes a NUL for the end of the text.
    if let offset = bytes.firstIndex(of: 0) {
        throw .syntax(reason: "NUL in JSON text", offset: offset)
    }
    return try Tokener.document(bytes, depthLimit: depthLimit)
}
