internal import CJSON

/// The only place that talks to json-c: text that `JSONGrammar` has written becomes a value.
enum JSONBuilder {
    /// - Parameters:
    ///   - text: one complete value.
    ///   - deepest: objects and arrays inside one another.
    /// - Returns: nil if json-c is out of memory.
    static func build(_ text: [UInt8], deepest: Int) -> JSONValue? {
        // The innermost scalar counts as a level, and json-c wants one to spare.
        guard let tokener = unsafe json_tokener_new_ex(CInt(clamping: deepest + 2)) else {
            return nil
        }
        defer { unsafe json_tokener_free(tokener) }
        unsafe json_tokener_set_flags(tokener, CInt(JSON_TOKENER_STRICT))
        let root = unsafe text.withUnsafeBytes { bytes in
            unsafe json_tokener_parse_ex(
                tokener,
                bytes.bindMemory(to: CChar.self).baseAddress,
                CInt(clamping: bytes.count)
            )
        }
        guard unsafe json_tokener_get_error(tokener) == json_tokener_success else { return nil }
        defer { unsafe json_object_put(root) }
        return unsafe convert(root)
    }

    private static func convert(_ object: OpaquePointer?) -> JSONValue {
        switch unsafe json_object_get_type(object) {
        case json_type_boolean: return .bool(unsafe json_object_get_boolean(object) != 0)
        case json_type_double: return .double(unsafe json_object_get_double(object))
        case json_type_int:
            let signed = unsafe json_object_get_int64(object)
            return signed < 0 ? .integer(signed) : JSONValue(unsafe json_object_get_uint64(object))
        case json_type_string: return .string(unsafe string(object))
        case json_type_array:
            let count = unsafe json_object_array_length(object)
            var elements: [JSONValue] = []
            elements.reserveCapacity(count)
            for index in 0..<count {
                elements.append(unsafe convert(unsafe json_object_array_get_idx(object, index)))
            }
            return .array(elements)
        case json_type_object:
            var members = JSONObject()
            var next = unsafe json_object_iter_begin(object)
            var end = unsafe json_object_iter_end(object)
            while unsafe json_object_iter_equal(&next, &end) == 0 {
                let name = unsafe key(json_object_iter_peek_name(&next))
                members[name] = unsafe convert(json_object_iter_peek_value(&next))
                unsafe json_object_iter_next(&next)
            }
            return .object(members)
        default: return .null
        }
    }

    private static func string(_ object: OpaquePointer?) -> String {
        let bytes = unsafe UnsafeRawBufferPointer(
            start: json_object_get_string(object),
            count: Int(json_object_get_string_len(object))
        )
        return unsafe String(decoding: bytes, as: UTF8.self)
    }

    /// A key without the escapes that `JSONGrammar` gave it.
    private static func key(_ name: UnsafePointer<CChar>?) -> String {
        guard let name = unsafe name else { return "" }
        let text = unsafe String(cString: name)
        guard text.utf8.contains(JSONGrammar.keyEscape) else { return text }
        var bytes: [UInt8] = []
        var isEscaped = false
        for byte in text.utf8 {
            if isEscaped {
                bytes.append(byte == JSONGrammar.keyEscapedNUL ? 0 : JSONGrammar.keyEscape)
                isEscaped = false
            } else if byte == JSONGrammar.keyEscape {
                isEscaped = true
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
