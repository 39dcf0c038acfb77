import Glibc

/// Reads the schema and writes all that is made of it.
func run(_ arguments: [String]) throws {
    guard arguments.count == 5 else {
        throw SchemaUsageError()
    }
    let (source, target) = (arguments[1], arguments[2])
    let (reference, reportReference) = (arguments[3], arguments[4])
    var builder = SchemaBuilder { try TextFile.read("\(source)/\($0)") }
    try builder.include("berth.json")
    let schema = builder.schema
    let (_, generated) = try SchemaChecker(schema: schema).check()

    // Reports of the program are no part of the monitor: a schema of their own.
    var reportBuilder = SchemaBuilder { try TextFile.read("\(source)/\($0)") }
    try reportBuilder.include("images.json")
    let reports = reportBuilder.schema
    let (_, reported) = try SchemaChecker(schema: reports).check()

    var introspection = IntrospectionEmitter(schema)
    let files =
        SwiftEmitter(schema: schema, generated: generated).files()
        + SwiftEmitter(schema: reports, generated: reported).typeFiles()
        + [("QMPSchema+Introspection.swift", introspection.file())]
    for (name, text) in files { try TextFile.write(text, to: "\(target)/\(name)") }
    // A module that is gone from the schema leaves no types behind.
    for name in try TextFile.names(in: target, endingWith: ".swift")
    where !files.contains(where: { $0.0 == name }) {
        try TextFile.remove("\(target)/\(name)")
    }
    var emitter = ReferenceEmitter(schema, .monitor)
    try TextFile.write(emitter.file(), to: reference)
    var reportEmitter = ReferenceEmitter(reports, .reports)
    try TextFile.write(reportEmitter.file(), to: reportReference)
}

/// A wrong number of arguments.
struct SchemaUsageError: Error, CustomStringConvertible {
    let description =
        "usage: berth-qapi SCHEMA-DIRECTORY SWIFT-DIRECTORY REFERENCE-FILE REPORT-REFERENCE-FILE"
}

do {
    try run(CommandLine.arguments)
} catch {
    let message = Array("berth-qapi: \(error)\n".utf8)
    _ = write(STDERR_FILENO, message, message.count)
    exit(1)
}
