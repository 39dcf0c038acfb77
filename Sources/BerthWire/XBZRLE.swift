/// The page difference code: runs of unchanged and of changed bytes in turn.
///
/// page = (unchanged changed)* · unchanged = length · changed = length, bytes · a length is one
/// byte below 0x80, or two: the low seven bits with 0x80 set, then the rest
///
/// Format: docs/wire/sequential.md. Origin: QEMU 10.0 migration/xbzrle.c.
public enum XBZRLE {
    /// Applies a difference to a page.
    ///
    /// If it throws, the page's content is partly old and partly new.
    ///
    /// - Parameters:
    ///   - delta: the whole difference; an empty one changes nothing.
    ///   - streamOffset: where the difference was read, for messages.
    ///   - page: present content of the page, usually `TargetPage.byteCount` bytes.
    /// - Throws: `WireError.invalidValue` for a malformed length, an empty run where none may be,
    ///   or a run that leaves the page or the difference.
    public static func decode(
        _ delta: Span<UInt8>,
        at streamOffset: UInt64,
        into page: inout MutableSpan<UInt8>
    ) throws(WireError) {
        var cursor = WireCursor(base: streamOffset)
        var position = 0
        while cursor.offset < delta.count {
            let unchangedOffset = cursor.offset
            let unchanged = try length(&cursor, delta)
            guard unchanged > 0 || unchangedOffset == 0 else {
                throw malformed("a run of at least one byte", "an empty one", cursor)
            }
            let changed = try length(&cursor, delta)
            guard changed > 0 else {
                throw malformed("a run of at least one byte", "an empty one", cursor)
            }
            position += unchanged
            guard changed <= page.count - position else {
                throw malformed(
                    "a run within the page",
                    "\(changed) bytes from byte \(position)",
                    cursor
                )
            }
            guard changed <= delta.count - cursor.offset else {
                throw malformed(
                    "\(changed) bytes of a run",
                    "\(delta.count - cursor.offset)",
                    cursor
                )
            }
            for index in 0..<changed {
                page[position + index] = delta[cursor.offset + index]
            }
            position += changed
            cursor.offset += changed
        }
    }

    /// Reads a length of at most 16383.
    ///
    /// Wherever a length stands, at least one byte must follow its first one: another length, or a
    /// run's content.
    private static func length(
        _ cursor: inout WireCursor,
        _ delta: Span<UInt8>
    ) throws(WireError) -> Int {
        guard delta.count - cursor.offset >= 2 else {
            throw malformed(
                "a run's length and more",
                "\(delta.count - cursor.offset) bytes",
                cursor
            )
        }
        let low = delta[cursor.offset]
        guard low >= 0x80 else {
            cursor.offset += 1
            return Int(low)
        }
        let high = delta[cursor.offset + 1]
        guard high < 0x80 else {
            throw malformed("a length of two bytes", "a third", cursor)
        }
        cursor.offset += 2
        return Int(low & 0x7f) | Int(high) << 7
    }

    private static func malformed(
        _ expected: String,
        _ found: String,
        _ cursor: WireCursor
    ) -> WireError {
        .invalidValue(
            field: "XBZRLE data",
            offset: cursor.streamOffset,
            expected: expected,
            found: found
        )
    }
}
