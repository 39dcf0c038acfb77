/// A session with a human monitor: lines out, text in; confined to one thread.
final class HMPClient {
    /// What a monitor shows when it is ready for a line.
    static let prompt = "(qemu) "
    /// Bytes of a line that QEMU takes; it ignores what is beyond.
    static let lineByteLimit = 4095
    /// Bytes of one answer, with the echo, which grows as the square of a line.
    static let answerByteLimit = 64 << 20

    let connection: MonitorConnection
    /// What the monitor said before its first prompt.
    private(set) var banner = ""

    /// Waits for the banner and the first prompt.
    ///
    /// - Throws: `ClientError` when this is no human monitor.
    @available(*, noasync, message: "blocks its thread")
    init(_ connection: MonitorConnection) throws(ClientError) {
        self.connection = connection
        let deadline = ContinuousClock.now + MonitorConnection.greetingLimit
        guard let text = try answer(before: deadline) else {
            throw .broken(
                "'\(connection.name)' shows no prompt '\(Self.prompt)'",
                hint: "is it the socket of a monitor?"
            )
        }
        banner = text.lines.joined(separator: "\n")
    }

    /// Sends a line and waits for the next prompt.
    ///
    /// - Returns: the answer, without echo, each line ended with LF.
    /// - Throws: `ClientError` for a line that is too long, or when the session is broken.
    @available(*, noasync, message: "blocks its thread")
    func run(_ line: String) throws(ClientError) -> String {
        guard line.utf8.count <= Self.lineByteLimit else {
            throw .badLine(
                "cannot send the line: it has \(line.utf8.count) bytes, a monitor takes "
                    + "\(Self.lineByteLimit)"
            )
        }
        guard !line.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
            throw .badLine("cannot send the line: it has control characters")
        }
        try connection.send(line + "\n")
        guard let text = try answer(before: nil) else { return "" }
        var lines = text.lines[...]
        // QEMU echoes with sequences, Berth not at all.
        if text.hasSequences, lines.first == line { lines = lines.dropFirst() }
        return lines.map { $0 + "\n" }.joined()
    }

    /// What came without being asked for.
    ///
    /// - Throws: `ClientError` when the session is broken.
    @available(*, noasync, message: "blocks its thread")
    func takeInput() throws(ClientError) -> String {
        var text = ConsoleText()
        for byte in try connection.receive(before: .now) ?? [] { text.take(byte) }
        return (text.lines + [text.openLine]).joined(separator: "\n")
    }

    /// Reads up to the next prompt.
    @available(*, noasync, message: "blocks its thread")
    private func answer(
        before deadline: ContinuousClock.Instant?
    ) throws(ClientError) -> ConsoleText? {
        var text = ConsoleText()
        var byteCount = 0
        repeat {
            guard let bytes = try connection.receive(before: deadline) else { return nil }
            byteCount += bytes.count
            guard byteCount <= Self.answerByteLimit else {
                throw .broken(
                    "'\(connection.name)' sent \(byteCount) bytes without a prompt, at most "
                        + "\(Self.answerByteLimit) make an answer"
                )
            }
            for byte in bytes { text.take(byte) }
        } while text.openLine != Self.prompt
        return text
    }
}
