internal import CJSON

/// json-c's tokener. No object of json-c outlives a call.
enum Tokener {
    /// Reads a text that holds exactly one value.
    ///
    /// - Parameters:
    ///   - bytes: the text; shorter than 2 GiB, without NUL.
    ///   - depthLimit: nesting to accept.
    static func document(_ bytes: [UInt8], depthLimit: Int) throws(JSONError) -> JSONValue {
        // json-c counts the scalar inside the innermost array as one more level.
        guard let tokener = unsafe json_tokener_new_ex(CInt(clamping: depthLimit + 1)) else {
            throw .syntax(reason: "out of memory", offset: 0)
        }
        defer { unsafe json_tokener_free(tokener) }
        unsafe json_tokener_set_flags(
            tokener,
            CInt(JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8)
        )
        // The NUL tells the tokener that a number at the very end is complete.
        let parsed = unsafe (bytes + [0]).withUnsafeBufferPointer { buffer in
            unsafe buffer.withMemoryRebound(to: CChar.self) { text in
                unsafe json_tokener_parse_ex(tokener, text.baseAddress, CInt(clamping: text.count))
            }
        }
        defer { unsafe json_object_put(parsed) }
        let status = unsafe json_tokener_get_error(tokener)
        let end = unsafe json_tokener_get_parse_end(tokener)
        switch status {
        case json_tokener_success:
            guard end >= bytes.count else {
                throw .syntax(reason: "text after the JSON value", offset: end)
            }
            return unsafe JSONValue(copying: parsed)
        case json_tokener_error_depth:
            throw .tooDeep(limit: depthLimit)
        case json_tokener_continue:
            throw .syntax(reason: "JSON text ends early", offset: bytes.count)
        default:
            throw .syntax(
                reason: unsafe String(cString: json_tokener_error_desc(status)),
                offset: end
            )
        }
    }
}

extension JSONValue {
    /// A copy of json-c's value, which stays with its owner.
    ///
    /// - Parameter object: `nil` stands for JSON's `null`, as everywhere in json-c.
    init(copying object: OpaquePointer?) {
        switch unsafe json_object_get_type(object) {
        case json_type_boolean:
            self = unsafe .bool(json_object_get_boolean(object) != 0)
        case json_type_int:
            // json-c answers 0 for a negative number here, and tells nothing else apart.
            let magnitude = unsafe json_object_get_uint64(object)
            self =
                unsafe Int64(exactly: magnitude) == nil
                ? .unsigned(magnitude) : .integer(json_object_get_int64(object))
        case json_type_double:
            self = unsafe .double(json_object_get_double(object))
        case json_type_string:
            self = unsafe .string(String(copyingString: object))
        case json_type_array:
            let count = unsafe json_object_array_length(object)
            self = .array(
                (0..<count).map { unsafe JSONValue(copying: json_object_array_get_idx(object, $0)) }
            )
        case json_type_object:
            self = unsafe .object(JSONObject(copying: object))
        default:
            self = .null
        }
    }
}

extension JSONObject {
    fileprivate init(copying object: OpaquePointer?) {
        self.init()
        var position = unsafe json_object_iter_begin(object)
        var end = unsafe json_object_iter_end(object)
        while unsafe json_object_iter_equal(&position, &end) == 0 {
            let key = unsafe String(cString: json_object_iter_peek_name(&position))
            self[key] = unsafe JSONValue(copying: json_object_iter_peek_value(&position))
            unsafe json_object_iter_next(&position)
        }
    }
}

extension String {
    fileprivate init(copyingString object: OpaquePointer?) {
        let count = unsafe Int(json_object_get_string_len(object))
        guard let base = unsafe json_object_get_string(object) else {
            self = ""
            return
        }
        self = unsafe UnsafeBufferPointer(start: base, count: count).withMemoryRebound(
            to: UInt8.self
        ) { unsafe String(decoding: $0, as: UTF8.self) }
    }
}
