import BerthSystem
import Glibc
import Testing

@testable import BerthTransport

/// Programs that stand between a channel and a file.
@Suite(.timeLimit(.minutes(1)))
struct FilterTests {
    private func reading(_ script: String) throws -> Channel {
        let file = try Channel(OwnedDescriptor.open("/dev/null", O_RDONLY), name: "null")
        return try Channel.reading(file, through: ["sh", "-c", script], name: "vm.save")
    }

    private func failure(_ script: String) throws -> TransportError? {
        let channel = try reading(script)
        _ = try channel.readToEnd()
        return #expect(throws: TransportError.self) { try channel.close() }
    }

    /// As the five programs that libvirt knows say it.
    @Test(arguments: [
        ("echo; echo 'sh: stdin: unexpected end of file'", "sh: unexpected end of file"),
        (
            "echo; echo 'sh: Data integrity error when decompressing.'; echo 'It is possible'",
            "sh: data integrity error when decompressing"
        ),
        (
            "echo; echo 'sh: Compressed file ends unexpectedly;'; echo 'sh: Inappropriate ioctl'",
            "sh: compressed file ends unexpectedly"
        ),
        ("echo '/bin/sh: (stdin): Compressed data is corrupt'", "sh: compressed data is corrupt"),
        ("echo 'sh: <stdin>: Checksum error'", "sh: checksum error"),
        (
            #"echo '/*stdin*\ : Decoding error (36) : No match '"#,
            "sh: decoding error (36): No match"
        ),
        (#"echo 'sh: /*stdin*\: unsupported format '"#, "sh: unsupported format"),
        ("true", "sh exited with status 3"),
        ("echo; echo ' '", "sh exited with status 3"),
    ])
    func `a program's own words are the reason`(_ says: String, _ reason: String) throws {
        let error = try failure("printf some; { \(says); } >&2; exit 3")
        #expect(error?.description == "cannot read 'vm.save': \(reason)")
        #expect(error?.isProgramFailure == true)
        #expect(error?.hint == nil)
    }

    @Test func `a program that a signal ended is told so`() throws {
        let error = try failure("echo 'sh: all is well' >&2; kill -9 $$")
        #expect(error?.reason == "sh was killed by signal 9")
    }

    /// More than any pipe holds: a program that waited for a reader would never end.
    @Test func `a program that says much ends, and a part is kept`() throws {
        let error = try failure(
            "echo 'sh: first' >&2; head -c 3000000 /dev/zero | tr '\\0' x >&2; exit 1"
        )
        #expect(error?.reason == "sh: first")
        let long = try failure("head -c 3000000 /dev/zero | tr '\\0' x >&2; exit 1")
        #expect((long?.reason.count ?? 0) < 300)
    }

    @Test func `what a program says that succeeds isn't an error`() throws {
        let channel = try reading("echo 'sh: note' >&2; echo done")
        #expect(try channel.readToEnd() == Array("done\n".utf8))
        try channel.close()
    }

    @Test func `a program that writes says what went wrong, too`() throws {
        let directory = try TestDirectory()
        let out = directory.file("out")
        let file = try Channel(OwnedDescriptor.open(out, O_RDWR | O_CREAT, mode: 0o600), name: out)
        let script = "cat > /dev/null; echo 'sh: No space left' >&2; exit 1"
        let channel = try Channel.writing(file, through: ["sh", "-c", script], name: out)
        try channel.write([1, 2, 3])
        let error = #expect(throws: TransportError.self) { try channel.close() }
        #expect(error?.description == "cannot write '\(out)': sh: no space left")
    }

    @Test func `a program that isn't there is named`() throws {
        let file = try Channel(OwnedDescriptor.open("/dev/null", O_RDONLY), name: "null")
        let error = #expect(throws: TransportError.self) {
            try Channel.reading(file, through: ["no-such-program-7"], name: "vm.save")
        }
        #expect(
            error?.description
                == "cannot read 'vm.save': there is no program 'no-such-program-7' in PATH"
        )
    }
}
