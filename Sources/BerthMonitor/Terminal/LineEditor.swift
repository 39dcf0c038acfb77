public import BerthSystem
internal import CEdit
internal import Glibc

/// What a line editor shows, knows and keeps an eye on.
public struct LineEditing {
    /// What comes of something else that happened while a line is edited.
    public enum Interruption: Sendable {
        /// Nothing that is to be seen.
        case nothing
        /// Show this above the line; it may have several lines, each with its end.
        case notice(String)
        /// End the line and the session.
        case end
    }

    /// What precedes a line.
    public var prompt: String
    /// Finds what could stand where a line ends; its argument is the line up to the cursor.
    public var completion: (String) -> HMPCompletion
    /// The lines that were typed, if they are kept.
    public var history: HMPHistory?
    /// Whether ^D on an empty line ends the session; QEMU's own monitor ignores it.
    public var endsAtEndOfFile = false
    /// Whether ^C clears the line instead of sending a signal.
    public var clearsLineAtInterrupt = false
    /// A descriptor that may have something to read while a line is edited, and what to do then.
    public var watched: (descriptor: CInt, handle: () -> Interruption)?

    /// Chooses what every editor needs.
    public init(
        prompt: String,
        history: HMPHistory?,
        completion: @escaping (String) -> HMPCompletion
    ) {
        self.prompt = prompt
        self.history = history
        self.completion = completion
    }
}

/// libedit on a terminal, confined to one thread: prompt, editing, history and completion.
///
/// There can be one in a process at a time, see `HMPTerminal`.
@safe
public final class LineEditor {
    private let input: CInt
    private let console: TerminalConsole
    private let editing: LineEditing
    private let stopping: WakeEvent
    private let files: (input: UnsafeMutablePointer<FILE>, output: UnsafeMutablePointer<FILE>)
    private let edit: OpaquePointer
    private let lines: OpaquePointer
    private let prompt: UnsafeMutablePointer<CChar>
    /// What is to be shown above the line.
    private var notice: String?
    /// Bytes that were typed before this line's prompt and haven't been read.
    private var typedAhead: CInt = 0

    /// The key that has a notice shown: libedit draws the line again only after a key.
    private static let noticeKey: wchar_t = 0x1C
    /// ^D.
    private static let endOfFileKey: UInt8 = 0x04

    /// Prepares a terminal, and has the calling thread read and write UTF-8.
    ///
    /// - Parameters:
    ///   - input: the terminal, open for reading and writing or only for reading.
    ///   - console: the same terminal, for lists of candidates.
    ///   - editing: knows what can be completed, and keeps the history.
    ///   - stopping: ends `readLine()` when raised.
    /// - Returns: nil when memory or descriptors are short.
    public init?(
        input: CInt,
        console: TerminalConsole,
        editing: LineEditing,
        stopping: WakeEvent
    ) {
        berth_edit_use_utf8()
        guard let reading = unsafe Self.open(input, "r") else { return nil }
        guard let writing = unsafe Self.open(console.raw, "w") else {
            unsafe fclose(reading)
            return nil
        }
        guard let edit = unsafe el_init("berth", reading, writing, writing),
            let lines = unsafe history_init(),
            let prompt = unsafe strdup(editing.prompt)
        else {
            unsafe fclose(reading)
            unsafe fclose(writing)
            return nil
        }
        self.input = input
        self.console = console
        self.editing = editing
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
            unsafe LineEditor.from(edit).prompt
        }
        unsafe berth_edit_set_reader(edit) { edit, character in
            unsafe LineEditor.from(edit).readCharacter(into: character)
        }
        unsafe berth_edit_use_emacs_keys(edit)
        unsafe berth_history_set_size(lines, CInt(HMPHistory.limit))
        unsafe berth_edit_set_history(edit, lines)
        unsafe berth_edit_add_function(edit, "berth-complete", "complete") { edit, _ in
            unsafe LineEditor.from(edit).complete()
        }
        unsafe berth_edit_bind(edit, "^I", "berth-complete")
        unsafe berth_edit_add_function(edit, "berth-notice", "show a notice") { edit, _ in
            unsafe LineEditor.from(edit).showNotice()
        }
        unsafe berth_edit_bind(edit, "^\\", "berth-notice")
        if !editing.endsAtEndOfFile {
            // On an empty line libedit would take it for the end.
            unsafe berth_edit_bind(edit, "^D", "ed-delete-next-char")
        }
        if editing.clearsLineAtInterrupt {
            unsafe berth_edit_ignore_signal_keys(edit)
            unsafe berth_edit_bind(edit, "^C", "em-kill-line")
        }
        unsafe berth_edit_bind(edit, "^W", "ed-delete-prev-word")
        unsafe berth_edit_bind(edit, "^U", "vi-kill-line-prev")
        unsafe berth_edit_bind(edit, "^R", "em-inc-search-prev")
        unsafe berth_edit_bind(edit, "\\e[3~", "ed-delete-next-char")
        unsafe berth_edit_bind(edit, "\\e[1~", "ed-move-to-beg")
        unsafe berth_edit_bind(edit, "\\e[4~", "ed-move-to-end")
    }

    private static func from(_ edit: OpaquePointer?) -> LineEditor {
        let client = unsafe berth_edit_client(edit)
        // libedit only calls back what `configure()` has set, right after the client.
        guard let client = unsafe client else { preconditionFailure("libedit lost its client") }
        return unsafe Unmanaged<LineEditor>.fromOpaque(client).takeUnretainedValue()
    }

    /// Shows the prompt and reads a line.
    ///
    /// - Returns: the line without its end; nil when the terminal has gone or the session ends.
    public func readLine() -> String? {
        unsafe berth_history_clear(lines)
        for line in editing.history?.lines ?? [] { unsafe berth_history_enter(lines, line) }
        // The window may have changed while a command ran.
        unsafe el_resize(edit)
        // Left to itself libedit takes the terminal only after it has shown the prompt. Until then
        // the kernel would act on ^C and ^D of somebody who has seen the prompt.
        unsafe berth_edit_take_terminal(edit)
        typedAhead = berth_terminal_pending(input)
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
            switch waitForKey() {
            case .key: break
            case .notice:
                unsafe character?.pointee = Self.noticeKey
                return 1
            case .end: return 0
            }
            var byte: UInt8 = 0
            let count = unsafe read(input, &byte, 1)
            if count == 0 { return 0 }
            if count < 0 {
                if errno == EINTR || errno == EAGAIN { continue }
                return 0
            }
            if typedAhead > 0 {
                typedAhead -= 1
                // What the kernel makes of a ^D that it gets before the editor has the terminal.
                if byte == 0 { byte = Self.endOfFileKey }
            }
            if let scalar = decoder.feed(byte) {
                unsafe character?.pointee = wchar_t(scalar.value)
                return 1
            }
        }
    }

    private enum Arrival {
        case key
        case notice
        case end
    }

    /// Waits until a key was pressed, or there is something to be shown.
    private func waitForKey() -> Arrival {
        while true {
            var requests = [
                pollfd(fd: input, events: Int16(POLLIN), revents: 0),
                pollfd(fd: stopping.raw, events: Int16(POLLIN), revents: 0),
                pollfd(fd: editing.watched?.descriptor ?? -1, events: Int16(POLLIN), revents: 0),
            ]
            let ready = unsafe requests.withUnsafeMutableBufferPointer {
                try? unsafe Poll.wait($0)
            }
            guard ready != nil, requests[1].revents == 0 else { return .end }
            // Keys first: a notice in the middle of a key's sequence would tear that.
            if requests[0].revents != 0 { return .key }
            guard let watched = editing.watched else { continue }
            switch watched.handle() {
            case .nothing: continue
            case .notice(let text):
                notice = text
                return .notice
            case .end: return .end
            }
        }
    }

    /// Shows a notice in the line's place; the line comes below it.
    private func showNotice() -> UInt8 {
        guard let text = notice else { return UInt8(CC_NORM) }
        notice = nil
        console.write("\r\u{1B}[K" + text.withCarriageReturns)
        return UInt8(CC_REDISPLAY)
    }

    /// Completes the word before the cursor.
    private func complete() -> UInt8 {
        guard let state = unsafe el_line(edit)?.pointee,
            let start = unsafe state.buffer,
            let cursor = unsafe state.cursor
        else { return UInt8(CC_ERROR) }
        let bytes = unsafe UnsafeBufferPointer(start: start, count: cursor - start)
        let line = unsafe String(decoding: bytes.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let completion = editing.completion(line)
        switch completion.candidates.count {
        case 0: return UInt8(CC_ERROR)
        case 1:
            let whole = completion.commonPrefix
            let goesOn = whole.hasSuffix("/") || whole.hasSuffix("=") || whole.hasSuffix(".")
            insert(whole.dropFirst(completion.word.count) + (goesOn ? "" : " "))
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
