/// A mistake in the schema, with the place where it is.
struct SchemaError: Error, CustomStringConvertible {
    let place: SourcePlace
    let message: String

    var description: String { "\(place.file):\(place.line): \(message)" }
}

/// A line of a schema file.
struct SourcePlace: Equatable {
    let file: String
    let line: Int
}
