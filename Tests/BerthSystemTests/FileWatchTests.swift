import BerthSystem
import Glibc
import Synchronization
import Testing

/// Changes of a file's content, and who may make them.
@Suite(.timeLimit(.minutes(1))) struct FileWatchTests {
    private static func makeFile() throws -> String {
        var template = Array("/tmp/berth-watch-XXXXXX".utf8CString)
        let raw = mkstemp(&template)
        let file = OwnedDescriptor(raw)
        #expect(pwrite(file.raw, [1, 2, 3, 4], 4, 0) == 4)
        return String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    enum Change: CaseIterable { case write, truncation, growth }

    @Test(arguments: Change.allCases)
    func `a change of content is noticed`(_ change: Change) throws {
        let path = try Self.makeFile()
        defer { unlink(path) }
        let watch = try FileWatch(of: try OwnedDescriptor.open(path, O_RDONLY), name: path)
        let file = try OwnedDescriptor.open(path, O_WRONLY)
        switch change {
        case .write: #expect(pwrite(file.raw, [9], 1, 0) == 1)
        case .truncation: #expect(ftruncate(file.raw, 1) == 0)
        case .growth: #expect(ftruncate(file.raw, 100) == 0)
        }
        #expect(try watch.waitForChange(stop: WakeEvent()))
    }

    @Test func `reading, renaming and removing are no changes of content`() throws {
        let path = try Self.makeFile()
        let file = try OwnedDescriptor.open(path, O_RDONLY)
        let watch = try FileWatch(of: file, name: path)
        var byte: UInt8 = 0
        #expect(pread(file.raw, &byte, 1, 0) == 1)
        #expect(chmod(path, 0o400) == 0)
        #expect(rename(path, path + "-2") == 0)
        #expect(unlink(path + "-2") == 0)
        let stop = try WakeEvent()
        stop.signal()
        #expect(try !watch.waitForChange(stop: stop))
    }

    @Test func `a wait ends when it is told to`() throws {
        let path = try Self.makeFile()
        defer { unlink(path) }
        let watch = try FileWatch(of: try OwnedDescriptor.open(path, O_RDONLY), name: path)
        let stop = try WakeEvent()
        let result = Mutex<Bool?>(nil)
        let thread = try NamedThread.start(name: "watch") {
            let changed = try? watch.waitForChange(stop: stop)
            result.withLock { $0 = changed }
        }
        stop.signal()
        thread.join()
        #expect(result.withLock { $0 } == false)
    }

    @Test func `readers share a lock that a writer doesn't get`() throws {
        let path = try Self.makeFile()
        defer { unlink(path) }
        let first = try OwnedDescriptor.open(path, O_RDONLY)
        let second = try OwnedDescriptor.open(path, O_RDONLY)
        let writer = try OwnedDescriptor.open(path, O_WRONLY)
        try first.lockForReading(name: path)
        try second.lockForReading(name: path)
        #expect(throws: SystemCallError.self) { try writer.lockForWriting(name: path) }
        OwnedDescriptor.unlock(first.raw)
        OwnedDescriptor.unlock(second.raw)
        try writer.lockForWriting(name: path)
        #expect(throws: SystemCallError.self) { try first.lockForReading(name: path) }
    }
}
