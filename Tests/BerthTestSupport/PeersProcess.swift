import Foundation

/// A child process with its output in files, killed at the latest when the object goes.
public final class PeersProcess {
    /// The process number.
    public let identifier: Int32
    private let name: String
    private let outputPath: String
    private let errorPath: String
    private var status: CInt?

    /// Starts a program; standard input is /dev/null or the file named.
    ///
    /// - Parameter directory: Where the files with its output go; its life must cover this object's.
    public init(_ arguments: [String], in directory: PeersDirectory, input: String? = nil) throws {
        let label = UUID().uuidString.prefix(8)
        name = (arguments[0] as NSString).lastPathComponent
        outputPath = directory.file("out-\(label)")
        errorPath = directory.file("err-\(label)")
        let output = open(outputPath, O_CREAT | O_WRONLY | O_CLOEXEC, 0o600)
        let error = open(errorPath, O_CREAT | O_WRONLY | O_CLOEXEC, 0o600)
        let input = input.map { open($0, O_RDONLY | O_CLOEXEC) }
        defer {
            close(output)
            close(error)
            if let input { close(input) }
        }
        guard let child = spawn(arguments, input: input, output: output, error: error) else {
            throw PeerFailure("cannot start \(arguments.joined(separator: " ")): errno \(errno)")
        }
        identifier = child
        PeersReaper.add(child)
    }

    deinit {
        kill()
    }

    /// Whatever the program wrote to its standard output so far.
    public var output: String {
        text(outputPath)
    }

    /// Whatever the program wrote to its standard error so far.
    public var errorOutput: String {
        text(errorPath)
    }

    private func text(_ path: String) -> String {
        guard let bytes = FileManager.default.contents(atPath: path) else { return "" }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Whether it has not ended yet.
    public var isRunning: Bool {
        poll() == nil
    }

    private func poll() -> CInt? {
        if status == nil {
            var value: CInt = 0
            if waitpid(identifier, &value, WNOHANG) == identifier {
                status = value
                PeersReaper.remove(identifier)
            }
        }
        return status
    }

    /// Waits for the end.
    ///
    /// - Returns: The exit status, or 128 plus the signal that ended it, as a shell counts.
    /// - Throws: If it still runs after `limit`; it is killed then.
    @discardableResult
    public func waitForExit(limit: Duration = .seconds(60)) throws -> Int {
        let deadline = ContinuousClock.now + limit
        while true {
            if let status = poll() {
                let signal = status & 0x7f
                return Int(signal == 0 ? (status >> 8) & 0xff : 128 + signal)
            }
            guard ContinuousClock.now < deadline else {
                kill()
                throw PeerFailure("\(name) still ran after \(limit); it said: \(errorOutput)")
            }
            usleep(2000)
        }
    }

    /// Ends it at once, and waits until it is gone.
    public func kill() {
        guard poll() == nil else { return }
        Glibc.kill(identifier, SIGKILL)
        var value: CInt = 0
        waitpid(identifier, &value, 0)
        status = value
        PeersReaper.remove(identifier)
    }

    /// Sends it a signal.
    public func signal(_ number: CInt) {
        guard poll() == nil else { return }
        Glibc.kill(identifier, number)
    }

    /// Bytes of memory that are resident now, from /proc; `nil` once the process has ended.
    public var residentByteCount: Int? {
        line("status", "VmRSS:")
    }

    /// Bytes of resident memory, of which a page that several processes have counts for each by its
    /// share; `nil` once the process has ended.
    public var proportionalByteCount: Int? {
        line("smaps_rollup", "Pss:")
    }

    /// The most bytes that were resident at any time so far; `nil` once the process has ended.
    public var peakResidentByteCount: Int? {
        line("status", "VmHWM:")
    }

    private func line(_ file: String, _ key: String) -> Int? {
        // /proc files have no size, so they are read to their end and not by it.
        guard let stream = fopen("/proc/\(identifier)/\(file)", "r") else { return nil }
        defer { fclose(stream) }
        var line = [CChar](repeating: 0, count: 256)
        while fgets(&line, CInt(line.count), stream) != nil {
            let words = String(
                decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)),
                as: UTF8.self
            )
            .split { $0 == " " || $0 == "\t" }
            if words.first == key[...], words.count > 1 {
                return Int(words[1]).map { $0 << 10 }
            }
        }
        return nil
    }
}
