import BerthQAPI
import BerthStream
import BerthSystem
import BerthTestSupport
import BerthTransport
import BerthWire
import Glibc
import Testing

@testable import BerthImages

/// Images that a program packed: their checksums, and what the program says of damage.
@Suite(.timeLimit(.minutes(10)))
struct CompressedImageTests {
    private let fixture: VerifyFixture

    init() throws { fixture = try VerifyFixture(hasDevices: true) }

    /// Packs an image as somebody does by hand.
    private func packed(by arguments: [String]) throws -> String {
        let path = fixture.directory.file("packed")
        let input = try contents(of: fixture.save(.sequential, name: "bare"))
        let file = try Channel(
            OwnedDescriptor.open(path, O_RDWR | O_CREAT | O_TRUNC, mode: 0o600),
            name: path
        )
        let channel = try Channel.writing(file, through: arguments, name: path)
        try input.withUnsafeBytes { try channel.write($0) }
        try channel.close()
        return path
    }

    @Test(arguments: [
        ["gzip", "-c"], ["gzip", "-c", "-1"], ["bzip2", "-c"], ["xz", "-c"],
        ["xz", "-c", "--check=crc32"], ["xz", "-c", "--check=sha256"], ["lzop", "-c"],
        ["lzop", "-c", "-C"], ["lzop", "-c", "-9", "--crc32"], ["zstd", "-c"],
        ["zstd", "-c", "-19"],
    ])
    func `content with a checksum is checked`(_ arguments: [String]) throws {
        let path = try packed(by: arguments)
        let report = try fixture.verify(path)
        let compression = try #require(Compression(rawValue: arguments[0]))
        #expect(report.isWhole)
        #expect(report.contentCheck == .compressed(compression))
        let summary = report.summary(for: "FILE")
        #expect(summary.hasSuffix("; content checked against \(arguments[0])'s checksum"))
        #expect(report.report(for: path).content == .compression)
    }

    @Test(arguments: [
        ["xz", "-c", "--check=none"], ["lzop", "-c", "-F"], ["zstd", "-c", "--no-check"],
    ])
    func `content without a checksum isn't`(_ arguments: [String]) throws {
        let path = try packed(by: arguments)
        let report = try fixture.verify(path)
        let compression = try #require(Compression(rawValue: arguments[0]))
        #expect(report.isWhole)
        #expect(report.contentCheck == .compressedWithoutChecksum(compression))
        let summary = report.summary(for: "FILE")
        #expect(
            summary.hasSuffix("; content can't be checked, \(arguments[0]) kept no checksum")
        )
        #expect(report.report(for: path).content == ImageContentCheck.none)
        let refusal = #expect(throws: ImageError.self) { try ImageSealer(path: path).seal(.crc32c) }
        #expect(refusal?.hint?.contains("checksum") == false)
    }

    @Test func `a header that is cut off has no checksum`() {
        for compression in [Compression.zstd, .xz, .lzop] {
            for count in 0..<compression.magic.count + 1 {
                let bytes = Array((compression.magic + [0xff]).prefix(count))
                guard count < 5 || compression != .zstd else { continue }
                #expect(!compression.hasChecksum(firstBytes: bytes))
            }
        }
    }

    /// Whatever is wrong with the stream is a consequence, in whichever way it is read.
    @Test(arguments: [
        ["gzip", "-c", "-1"], ["bzip2", "-c"], ["xz", "-c"], ["lzop", "-c"], ["zstd", "-c"],
    ])
    func `damage is told in the program's words`(_ arguments: [String]) throws {
        let path = try packed(by: arguments)
        let whole = try contents(of: path)
        let isRun: (String) -> Bool = {
            $0.hasPrefix("cannot read '\(path)': \(arguments[0]): ") && !$0.contains("\n")
        }
        var damaged: [[UInt8]] = [1, 2, 3].map { part in
            var bytes = whole
            bytes[whole.count * part / 4] ^= 0x10
            return bytes
        }
        damaged += [Array(whole.prefix(whole.count / 2)), Array(whole.prefix(whole.count - 5))]
        for bytes in damaged {
            try store(bytes, at: path)
            let report = try fixture.verify(path)
            #expect(report.faults.count == 1)
            let what = report.faults.first?.what ?? ""
            #expect(what.hasPrefix("\(arguments[0]): "), "\(what)")
            let read = #expect(throws: ImageError.self) {
                try GuestImage(opening: path).read(PageCensus())
            }
            #expect(isRun(read?.description ?? ""), "\(read?.description ?? "")")
            let output = fixture.directory.file("output")
            let converted = #expect(throws: ImageError.self) {
                try ImageConverter(input: path, output: output, format: .mappedRAM).convert()
            }
            #expect(isRun(converted?.description ?? ""), "\(converted?.description ?? "")")
            let inspection = try ImageInspection(of: path)
            #expect(isRun(inspection.problem?.description ?? ""))
        }
    }

    /// Nothing is wrong with the image, and it isn't known to be whole.
    @Test func `without the program nothing is said of the image`() async throws {
        await #expect(processExitsWith: .success) {
            try CompressedImageTests().checkWithoutProgram()
        }
    }

    private func checkWithoutProgram() throws {
        let path = try packed(by: ["gzip", "-c"])
        setenv("PATH", "/nonexistent", 1)
        let report = try fixture.verify(path)
        let lines = report.lines(for: "FILE")
        guard !report.isWhole, report.faults.isEmpty,
            lines == ["FILE: not checked: gzip is missing; install it"]
        else { fatalError("\(lines)") }
        do throws(ImageError) {
            _ = try GuestImage(opening: path).read(PageCensus())
        } catch {
            guard error.description == "cannot read '\(path)': gzip is missing",
                error.hint == "install it"
            else { fatalError("\(error)") }
            return
        }
        fatalError("it was read")
    }
}
