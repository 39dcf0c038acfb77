internal import BerthSystem
internal import CEdit
internal import Glibc

/// libedit on a terminal, confined to one thread: prompt, editing, history and completion.
@safe
final class HMPLineEditor {
    private let input: CInt
    private let console: HMPTerminalConsole
    private let shell: HMPShell
    private let stopping: WakeEvent
    private let files: (input: UnsafeMutablePointer<FILE>, output: UnsafeMutablePointer<FILE>)
    private let edit: OpaquePointer
    private let lines: OpaquePointer
    private let prompt: UnsafeMutablePointer<CChar>

    /// Prepares a terminal.
    ///
    /// - Parameters:
    ///   - input: the terminal, open for reading and writing or only for reading.
    ///   - console: the same terminal, for lists of candidates.
    ///   - shell: knows what can be completed, and keeps the history.
    ///   - stopping: ends `readLine()` when raised.
    /// - Returns: nil when memory or descriptors are short.
    init?(
        input: CInt,
        console: HMPTerminalConsole,
        shell: HMPShell,
        stopping: WakeEvent
    ) {
        guard let reading = unsafe Self.open(input, "r") else { return nil }
        guard let writing = unsafe Self.open(console.raw, "w") else {
            unsafe fclose(reading)
            return nil
        }
        guard let edit = unsafe el_init("berth", reading, writing, writing),
            let lines = unsafe history_init(),
            let prompt = unsafe strdup(HMPShell.prompt)
        else {
            unsafe fclose(reading)
            unsafe fclose(writing)
            return nil
        }
        self.input = input
        self.console = console
        self.shell = shell
        self.stopping = stopping
        unsafe self.files = unsafe (reading, writing)
        unsafe self.edit = edit
        unsafe self.lines = lines
        unsafe self.prompt = prompt
        configure()
    }

    deinit {
        unsafe el_end(edit)
        unsafe history_end(lines)
        unsafe free(prompt)
        unsafe fclose(files.input)
        unsafe fclose(files.output)
    }

    /// A stream of its own, so that closing it leaves the descriptor to its owner.
    private static func open(_ raw: CInt, _ mode: String) -> UnsafeMutablePointer<FILE>? {
        guard let copy = try? OwnedDescriptor.duplicate(of: raw).release() else { return nil }
        if let file = unsafe fdopen(copy, mode) { return unsafe file }
        close(copy)
        return nil
    }

    private func configure() {
        // Not retained: the editor owns libedit's state, which ends with it.
        unsafe berth_edit_set_client(edit, Unmanaged.passUnretained(self).toOpaque())
        unsafe berth_edit_set_prompt(edit) { edit in
            unsafe HMPLineEditor.from(edit).prompt
        }
        unsafe berth_edit_set_reader(edit) { edit, character in
            unsafe HMPLineEditor.from(edit).readCharacter(into: character)
        }
        unsafe berth_edit_use_emacs_keys(edit)
        unsafe berth_history_set_size(lines, CInt(HMPHistory.limit))
        unsafe berth_edit_set_history(edit, lines)
        unsafe berth_edit_add_function(edit, "berth-complete", "complete") { edit, _ in
            unsafe HMPLineEditor.from(edit).complete()
        }
        unsafe berth_edit_bind(edit, "^I", "berth-complete")
        // On an empty line libedit would take it for the end: as on QEMU's monitor it isn't.
        unsafe berth_edit_bind(edit, "^D", "ed-delete-next-char")
        unsafe berth_edit_bind(edit, "^W", "ed-delete-prev-word")
        unsafe berth_edit_bind(edit, "^U", "vi-kill-line-prev")
        unsafe berth_edit_bind(edit, "^R", "em-inc-search-prev")
        unsafe berth_edit_bind(edit, "\\e[3~", "ed-delete-next-char")
        unsafe berth_edit_bind(edit, "\\e[1~", "ed-move-to-beg")
        unsafe berth_edit_bind(edit, "\\e[4~", "ed-move-to-end")
    }

    private static func from(_ edit: OpaquePointer?) -> HMPLineEditor {
        let client = unsafe berth_edit_client(edit)
        // libedit only calls back what `configure()` has set, right after the client.
        guard let client = unsafe client else { preconditionFailure("libedit lost its client") }
        return unsafe Unmanaged<HMPLineEditor>.fromOpaque(client).takeUnretainedValue()
    }

    /// Shows the prompt and reads a line.
    ///
    /// - Returns: the line without its end; nil when the terminal has gone or the session ends.
    func readLine() -> String? {
        unsafe berth_history_clear(lines)
        for line in shell.history?.lines ?? [] { unsafe berth_history_enter(lines, line) }
        // The window may have changed while a command ran.
        unsafe el_resize(edit)
        var count: CInt = 0
        guard let text = unsafe el_gets(edit, &count), count > 0, !stopping.isSignalled else {
            return nil
        }
        let bytes = unsafe UnsafeBufferPointer(start: text, count: Int(count))
        let line = unsafe String(decoding: bytes.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return line.hasSuffix("\n") ? String(line.dropLast()) : line
    }

    /// Waits for a character; libedit's own way of reading can't be interrupted.
    ///
    /// - Returns: as libedit wants it, 1 for a character, 0 for the end.
    private func readCharacter(into character: UnsafeMutablePointer<wchar_t>?) -> CInt {
        var decoder = UTF8Decoder()
        while true {
            guard let outcome = try? Poll.wait(for: input, .input, abort: stopping),
                outcome == .ready
            else { return 0 }
            var byte: UInt8 = 0
            let count = unsafe read(input, &byte, 1)
            if count == 0 { return 0 }
            if count < 0 {
                if errno == EINTR || errno == EAGAIN { continue }
                return 0
            }
            if let scalar = decoder.feed(byte) {
                unsafe character?.pointee = wchar_t(scalar.value)
                return 1
            }
        }
    }

    /// Completes the word before the cursor.
    private func complete() -> UInt8 {
        guard let state = unsafe el_line(edit)?.pointee,
            let start = unsafe state.buffer,
            let cursor = unsafe state.cursor
        else { return UInt8(CC_ERROR) }
        let bytes = unsafe UnsafeBufferPointer(start: start, count: cursor - start)
        let line = unsafe String(decoding: bytes.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let completion = shell.table.completion(of: line)
        switch completion.candidates.count {
        case 0: return UInt8(CC_ERROR)
        case 1:
            let whole = completion.commonPrefix
            insert(whole.dropFirst(completion.word.count) + (whole.hasSuffix("/") ? "" : " "))
            return UInt8(CC_REFRESH)
        default:
            console.write("\r\n" + completion.columns(width: console.columnCount, end: "\r\n"))
            insert(completion.commonPrefix.dropFirst(completion.word.count))
            return UInt8(CC_REDISPLAY)
        }
    }

    private func insert(_ text: Substring) {
        guard !text.isEmpty else { return }
        _ = unsafe el_insertstr(edit, String(text))
    }
}

/// Puts the bytes of a character together.
struct UTF8Decoder {
    private var bytes: [UInt8] = []

    /// Takes the next byte.
    ///
    /// - Returns: the character that it ends; U+FFFD for bytes that are none. Nil if more follow.
    mutating func feed(_ byte: UInt8) -> Unicode.Scalar? {
        bytes.append(byte)
        let expected =
            switch bytes[0] {
            case 0xC2...0xDF: 2
            case 0xE0...0xEF: 3
            case 0xF0...0xF4: 4
            default: 1
            }
        guard bytes.count >= expected || (bytes.count > 1 && byte & 0xC0 != 0x80) else {
            return nil
        }
        defer { bytes = [] }
        return String(decoding: bytes, as: UTF8.self).unicodeScalars.first
    }
}
