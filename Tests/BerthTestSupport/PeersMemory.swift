import Foundation

/// What lies in a guest's memory, seen through the file behind it.
public enum PeersMemory {
    private static let pageByteCount = 4096

    /// Writes a file of pages whose kinds and contents all differ: pages of zeros, of noise, of one
    /// repeated byte, of zeros but for the first or the last byte, singly and in runs of many.
    ///
    /// - Parameter seed: Two seeds give two memories that have no page of noise in common.
    public static func writePattern(to path: String, byteCount: Int, seed: UInt64) throws {
        let bytes = pattern(byteCount: byteCount, seed: seed)
        guard FileManager.default.createFile(atPath: path, contents: Data(bytes)) else {
            throw PeerFailure("cannot write '\(path)'")
        }
    }

    /// Writes such pages into a running guest's memory, behind those that `Tests/guest` counts in.
    public static func writePatternBehindCounter(in path: String, seed: UInt64) throws {
        guard let file = FileHandle(forUpdatingAtPath: path) else {
            throw PeerFailure("cannot write '\(path)'")
        }
        try file.seek(toOffset: UInt64(CounterState.last))
        try file.write(contentsOf: pattern(byteCount: 4 << 20, seed: seed))
        try file.close()
    }

    private static func pattern(byteCount: Int, seed: UInt64) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: byteCount)
        var state = seed
        for page in 0..<(byteCount / pageByteCount) {
            let start = page * pageByteCount
            // Runs of 1 MiB: noise, then nothing, then every kind in turn, page by page.
            let kind =
                switch (page / 256) % 4 {
                case 0: 1
                case 1: 0
                default: page % 5
                }
            switch kind {
            case 1:
                for word in stride(from: start, to: start + pageByteCount, by: 8) {
                    let noise = next(&state)
                    for byte in 0..<8 {
                        bytes[word + byte] = UInt8(truncatingIfNeeded: noise >> (8 * byte))
                    }
                }
            case 2:
                let fill = UInt8(truncatingIfNeeded: next(&state)) | 1
                for index in start..<(start + pageByteCount) { bytes[index] = fill }
            case 3: bytes[start] = UInt8(truncatingIfNeeded: next(&state)) | 1
            case 4: bytes[start + pageByteCount - 1] = UInt8(truncatingIfNeeded: next(&state)) | 1
            default: break
            }
        }
        return bytes
    }

    /// The splitmix64 generator.
    private static func next(_ state: inout UInt64) -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }

    /// Compares two memories page by page.
    ///
    /// - Returns: What differs, in words; `nil` if nothing does.
    public static func difference(between one: String, and other: String) throws -> String? {
        let one = try read(one)
        let other = try read(other)
        guard one.count == other.count else {
            return "\(one.count) bytes here and \(other.count) there"
        }
        // As data, which one call compares: comparing arrays costs a debug build a second.
        guard Data(one) != Data(other) else { return nil }
        var pages: [Int] = []
        for start in stride(from: 0, to: one.count, by: pageByteCount) {
            let range = start..<min(start + pageByteCount, one.count)
            if one[range] != other[range] { pages.append(start / pageByteCount) }
        }
        let first = pages.prefix(5).map { "0x" + String($0 * pageByteCount, radix: 16) }
        return "\(pages.count) of \(one.count / pageByteCount) pages differ, the first at "
            + first.joined(separator: ", ")
    }

    /// How many pages of a memory have any byte but zero.
    public static func filledPageCount(of path: String) throws -> Int {
        let memory = Data(try read(path))
        let zeros = Data(count: pageByteCount)
        return stride(from: 0, to: memory.count, by: pageByteCount)
            .count { memory[$0...].prefix(pageByteCount) != zeros }
    }

    static func read(_ path: String) throws -> [UInt8] {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw PeerFailure("cannot read '\(path)'")
        }
        return [UInt8](data)
    }
}

/// How far the guest of `Tests/guest/counter.S` is, read from its memory while it stands still.
public struct CounterState: Equatable, Sendable {
    /// Rounds complete.
    public let rounds: UInt32
    /// Address of the next page.
    public let nextPage: UInt32
    /// Errors that the guest itself found.
    public let errors: UInt32
    /// How often it began at its first instruction.
    public let starts: UInt32

    private static let state = 0x1000
    private static let first = 0x10_0000
    fileprivate static let last = 0x100_0000
    private static let pageByteCount = 0x1000
    private static let mark: UInt32 = 0x5ca1_ab1e

    /// Reads the guest's words.
    ///
    /// - Throws: If the guest has not written its marks yet.
    public init(memoryPath: String) throws {
        try self.init(try PeersMemory.read(memoryPath))
    }

    private init(_ memory: [UInt8]) throws {
        guard memory.count >= Self.last, Self.word(memory, Self.state) == 0x5254_4e43 else {
            throw PeerFailure("the guest has not begun to count")
        }
        rounds = Self.word(memory, Self.state + 4)
        nextPage = Self.word(memory, Self.state + 8)
        errors = Self.word(memory, Self.state + 12)
        starts = Self.word(memory, Self.state + 16)
    }

    private static func word(_ memory: [UInt8], _ offset: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(memory[offset + $1]) << (8 * $1) }
    }

    /// Checks every page of a guest that stands still against how far it says it is.
    ///
    /// - Returns: What is wrong, in words; empty if nothing is.
    public static func findings(memoryPath: String) throws -> [String] {
        let memory = try PeersMemory.read(memoryPath)
        let state = try CounterState(memory)
        var findings: [String] = []
        if state.errors != 0 { findings.append("the guest itself found \(state.errors) errors") }
        if state.starts != 1 { findings.append("the guest began \(state.starts) times") }

        let pages = stride(from: first, to: last, by: pageByteCount)
        for page in pages where word(memory, page + 8) != UInt32(page) ^ mark {
            findings.append("the mark of page 0x\(String(page, radix: 16)) is gone")
        }
        let counts = pages.map { memory[$0] }
        let steps = counts.indices.dropFirst().filter { counts[$0] != counts[$0 - 1] }
        switch steps.count {
        case 0:
            // Between two rounds; the guest may have stopped before or after it noted the new one.
            let round = UInt8(truncatingIfNeeded: state.rounds)
            if counts[0] != round, counts[0] != round &+ 1 {
                findings.append("all pages say \(counts[0]) in round \(state.rounds)")
            }
        case 1:
            let ahead = steps[0]
            let noted = (Int(state.nextPage) - first) / pageByteCount
            if counts[ahead - 1] != counts[ahead] &+ 1 {
                findings.append("page \(ahead) is not one behind the page before it")
            }
            if counts[ahead] != UInt8(truncatingIfNeeded: state.rounds) {
                findings.append("pages say \(counts[ahead]) in round \(state.rounds)")
            }
            // The first page of a round may be counted while the end of the last one is still noted.
            if ahead != noted, ahead != noted + 1, !(ahead == 1 && noted == counts.count) {
                findings.append("the guest is at page \(ahead) and noted \(noted)")
            }
        default:
            findings.append("pages are at \(steps.count + 1) different counts")
        }
        return findings
    }
}

extension PeersMachine {
    /// Waits until the counting guest has done `rounds` more rounds than `state` says.
    @discardableResult
    public func waitForRounds(_ rounds: UInt32, beyond state: CounterState? = nil) throws
        -> CounterState
    {
        try CounterState.wait(for: rounds, beyond: state, memoryPath: memoryPath, in: "\(program)")
    }
}

extension PeersDomain {
    /// Waits until the counting guest has done `rounds` more rounds than `state` says.
    @discardableResult
    public func waitForRounds(_ rounds: UInt32, beyond state: CounterState? = nil) throws
        -> CounterState
    {
        try CounterState.wait(for: rounds, beyond: state, memoryPath: memoryPath, in: "libvirt")
    }
}

extension CounterState {
    fileprivate static func wait(
        for rounds: UInt32,
        beyond state: CounterState?,
        memoryPath: String,
        in program: String
    ) throws -> CounterState {
        let wanted = (state?.rounds ?? 0) + rounds
        let deadline = ContinuousClock.now + .seconds(30)
        while true {
            if let now = try? CounterState(memoryPath: memoryPath), now.rounds >= wanted {
                return now
            }
            guard ContinuousClock.now < deadline else {
                throw PeerFailure("the guest did not get to round \(wanted) in \(program)")
            }
            usleep(10000)
        }
    }
}
