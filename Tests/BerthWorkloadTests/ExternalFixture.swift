import BerthMemory
import BerthSystem
import BerthTestSupport
import Glibc
import Testing

@testable import BerthWorkload

/// Shared memory with a port for writers, in a directory of its own.
final class ExternalGuest {
    let block: RAMBlock
    let port: ExternalWriterPort
    let path: String
    private let directory: String

    /// - Parameter file: a file that exists, whose second MiB is the memory; nil makes a memfd.
    init(
        pages: Int = 512,
        file: String? = nil,
        attachLimit: Duration = .seconds(60)
    ) throws {
        var template = Array("/tmp/berth-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        directory = String(
            decoding: template.dropLast().map(UInt8.init(bitPattern:)),
            as: UTF8.self
        )
        path = "\(directory)/writer"
        block = try RAMBlock(
            MemoryBackend(
                id: "ram0",
                kind: file.map { .file(path: $0, offset: 1 << 20, readOnly: false) } ?? .memfd,
                byteCount: UInt64(pages * targetPageByteCount),
                isShared: true
            )
        )
        port = try ExternalWriterPort(
            id: "ew0",
            block: block,
            path: path,
            attachLimit: attachLimit
        )
    }

    deinit {
        port.end()
        rmdir(directory)
    }

    /// Starts the example program, a process of its own.
    func startWriter(_ arguments: String...) throws -> WriterProcess {
        try WriterProcess([path] + arguments)
    }

    /// The stamp in the first word of a page.
    func stamp(_ page: Int) -> PageStamp {
        let word = block.base.load(fromByteOffset: page * targetPageByteCount, as: UInt64.self)
        return PageStamp(rawValue: word)
    }

    /// Pages written since the memory was zero, as the memory says.
    var writes: UInt64 {
        (0..<block.pageCount).reduce(0) { $0 + UInt64(stamp($1).count) }
    }

    /// Whether all pages of a range are whole, in their places, and of the present.
    func isInOrder(_ pages: Range<Int>) -> Bool {
        let counts = pages.map { stamp($0).count }
        guard let first = counts.first, let last = counts.last, first - last <= 1,
            counts.sorted(by: >) == counts
        else { return false }
        return pages.allSatisfy { page in
            let stamp = stamp(page)
            return stamp.count == 0
                || stamp.page == UInt32(page)
                    && stride(from: 0, to: targetPageByteCount, by: 64).allSatisfy { line in
                        let offset = page * targetPageByteCount + line
                        return block.base.load(fromByteOffset: offset, as: UInt64.self)
                            == stamp.rawValue
                    }
        }
    }

    /// Waits until something is so; every test with it has a time limit.
    func wait(until condition: () -> Bool) {
        while !condition() { usleep(200) }
    }

    /// Waits until the port knows of a peer in this state.
    func wait(for state: ExternalWriterStatus.State) {
        wait { port.status.state == state }
    }
}

/// The example program at work.
final class WriterProcess {
    let process: ChildProcess
    private let output: OwnedDescriptor

    init(_ arguments: [String]) throws {
        let path = try #require(
            BuiltProgram.path("external-writer-example"),
            "the program external-writer-example is built with the tests"
        )
        let started = try ChildProcess.start([path] + arguments, piping: .standardOutput)
        process = started.process
        output = started.takePipe()
    }

    deinit {
        process.kill()
    }

    /// Waits for its end, and gives what it printed.
    func finish() throws -> (status: ChildProcess.ExitStatus?, output: String) {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(output.raw, &buffer, buffer.count)
            guard count > 0 else { break }
            bytes += buffer.prefix(count)
        }
        return (try process.wait(), String(decoding: bytes, as: UTF8.self))
    }
}

/// A copy of memory that is kept up to date with what the tracking finds.
struct FollowingCopy {
    private let block: RAMBlock
    private var bytes: [UInt8]
    private let client: DirtyClient

    /// Begins to track, and then copies everything.
    init(_ block: RAMBlock) throws {
        self.block = block
        client = try block.tracking.begin()
        bytes = Array(UnsafeRawBufferPointer(start: block.base, count: block.byteCount))
    }

    /// Copies what was written since the last time, and gives the pages.
    @discardableResult
    mutating func update() throws -> PageBitmap {
        var bitmap = PageBitmap(pageCount: block.pageCount)
        let found = try client.collect(into: &bitmap)
        #expect(found == bitmap.count)
        var page = 0
        while let run = bitmap.nextRun(from: page) {
            let start = run.lowerBound * targetPageByteCount
            let count = run.count * targetPageByteCount
            bytes.withUnsafeMutableBytes { copy in
                UnsafeMutableRawBufferPointer(rebasing: copy[start..<start + count])
                    .copyMemory(
                        from: UnsafeRawBufferPointer(start: block.base + start, count: count)
                    )
            }
            page = run.upperBound
        }
        return bitmap
    }

    var isCurrent: Bool {
        bytes.withUnsafeBytes { copy in
            guard let start = copy.baseAddress else { return false }
            return memcmp(start, block.base, block.byteCount) == 0
        }
    }

    func end() { client.end() }
}

extension Trait where Self == ConditionTrait {
    /// The kernel lets one process see what another writes.
    static var tracksPeers: Self {
        let obstacle = peerTrackingObstacle
        return .enabled(
            if: obstacle == nil,
            "writes of another process can't be tracked: \(obstacle ?? "")"
        )
    }
}

private let peerTrackingObstacle: String? = {
    do {
        _ = try Userfaultfd(.asynchronous)
        let child = try ChildProcess.start(["/bin/sleep", "60"], piping: .standardOutput)
        defer { child.process.kill() }
        _ = try PageMap(process: child.process.processID)
        return nil
    } catch {
        return "\(error)"
    }
}()
