extension ImageFile {
    /// Writes a file of few bytes, under its name only when it is whole.
    ///
    /// - Parameter inputs: files that the bytes are from, or about; see `init(creating:from:)`.
    /// - Throws: `ImageError`; what was there before then is still there.
    @available(*, noasync)
    public static func write(
        _ bytes: [UInt8],
        to path: String,
        from inputs: [String]
    ) throws(ImageError) {
        let file = try ImageFile(creating: path, from: inputs)
        defer { file.discard() }
        try file.channel.writeBytes(bytes, at: 0)
        try file.commit()
    }
}
