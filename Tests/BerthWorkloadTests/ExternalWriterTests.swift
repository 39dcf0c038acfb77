import BerthMemory
import BerthSystem
import Glibc
import Testing

@testable import BerthWorkload

/// With a second process, the example program.
@Suite(.timeLimit(.minutes(2)))
struct ExternalWriterTests {
    @Test(.tracksPeers)
    func `finds the pages that another process writes, and no others`() throws {
        let guest = try ExternalGuest()
        let writer = try guest.startWriter("--start", "0x10000", "--size", "1048576")
        guest.wait(for: .paused)
        #expect(guest.port.status.processID == writer.process.processID)
        #expect(guest.port.status.isTracked)
        #expect(guest.port.obstacle == nil)
        #expect(guest.block.tracking.mechanisms.contains(.peer))
        #expect(guest.block.untrackedWriterObstacle == nil)

        var copy = try FollowingCopy(guest.block)
        #expect(try copy.update().count == 0)
        guest.port.resume()
        guest.wait { guest.stamp(16 + 255).count > 0 }
        #expect(guest.port.pause(within: .seconds(60)))
        let written = try copy.update()
        #expect(written.nextRun(from: 0) == 16..<(16 + 256))
        #expect(written.count == 256)
        #expect(copy.isCurrent)
        #expect(try copy.update().count == 0)
    }

    @Test(.tracksPeers)
    func `finds writes to memory that is a part of a file`() throws {
        var path = Array("/dev/shm/berth-XXXXXX".utf8CString)
        let descriptor = mkstemp(&path)
        defer { unlink(path) }
        try #require(close(descriptor) == 0)
        let name = String(decoding: path.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        let guest = try ExternalGuest(file: name)
        let writer = try guest.startWriter("--start", "0x10000", "--size", "1048576")
        guest.wait(for: .paused)
        #expect(guest.port.obstacle == nil)
        #expect(guest.block.untrackedWriterObstacle == nil)
        var copy = try FollowingCopy(guest.block)
        guest.port.resume()
        guest.wait { guest.stamp(16 + 255).count > 0 }
        #expect(guest.port.pause(within: .seconds(60)))
        #expect(try copy.update().nextRun(from: 0) == 16..<(16 + 256))
        #expect(copy.isCurrent)
        writer.process.terminate()
        #expect(try writer.finish().status == .exited(code: 0))
    }

    @Test(.tracksPeers)
    func `keeps a copy up to date while another process writes`() throws {
        let guest = try ExternalGuest(pages: 2048)
        let writer = try guest.startWriter()
        guest.port.resume()
        guest.wait { guest.stamp(2047).count > 0 }
        for _ in 0..<20 {
            var copy = try FollowingCopy(guest.block)
            for _ in 0..<20 {
                try copy.update()
            }
            #expect(guest.port.pause(within: .seconds(60)))
            try copy.update()
            #expect(copy.isCurrent)
            #expect(guest.isInOrder(0..<2048))
            copy.end()
            guest.port.resume()
        }
        writer.process.terminate()
        #expect(try writer.finish().status == .exited(code: 0))
    }

    @Test
    func `no byte changes once the process has paused`() throws {
        let guest = try ExternalGuest()
        let writer = try guest.startWriter()
        guest.wait(for: .paused)
        for _ in 0..<20 {
            let before = guest.writes
            guest.port.resume()
            guest.wait { guest.writes > before }
            #expect(guest.port.pause(within: .seconds(60)))
            #expect(guest.port.status.state == .paused)
            let digest = guest.block.digest
            for _ in 0..<5 {
                #expect(guest.block.digest == digest)
            }
        }
        writer.process.terminate()
        let writes = guest.writes
        let line = "process \(writer.process.processID) wrote \(writes) pages\n"
        #expect(try writer.finish() == (.exited(code: 0), line))
    }

    @Test(.tracksPeers)
    func `loses nothing of a process that is killed while it writes`() throws {
        for _ in 0..<20 {
            let guest = try ExternalGuest()
            let writer = try guest.startWriter()
            guest.wait(for: .paused)
            var copy = try FollowingCopy(guest.block)
            guest.port.resume()
            guest.wait { guest.stamp(400).count > 0 }
            try copy.update()
            writer.process.kill()
            #expect(try writer.finish().status == .signalled(9))
            #expect(guest.port.pause(within: .seconds(60)))
            try copy.update()
            #expect(copy.isCurrent)
            guest.wait(for: .absent)
            try copy.update()
            #expect(copy.isCurrent)
            #expect(try copy.update().count == 0)
        }
    }

    @Test(.tracksPeers)
    func `another process goes on where a killed one stopped`() throws {
        let guest = try ExternalGuest()
        guest.port.resume()
        var writes: UInt64 = 0
        for _ in 0..<5 {
            let writer = try guest.startWriter()
            guest.wait { guest.writes > writes + 1000 }
            writer.process.terminate()
            #expect(try writer.finish().status == .exited(code: 0))
            guest.wait(for: .absent)
            #expect(!guest.block.tracking.mechanisms.contains(.peer))
            writes = guest.writes
            #expect(guest.isInOrder(0..<512))
        }
    }

    @Test
    func `says why a process that hands over nothing can't be tracked`() throws {
        let guest = try ExternalGuest()
        let writer = try guest.startWriter("--untracked")
        guest.port.resume()
        guest.wait { guest.writes > 0 }
        let obstacle = try #require(guest.port.obstacle)
        let process = writer.process.processID
        #expect(obstacle.message.hasPrefix("cannot track what process \(process) writes through"))
        #expect(obstacle.hint != nil)
        #expect(!guest.port.status.isTracked)
        #expect(!guest.block.tracking.mechanisms.contains(.peer))
        #expect(guest.port.pause(within: .seconds(60)))
        writer.process.terminate()
        #expect(try writer.finish().status == .exited(code: 0))
        guest.wait(for: .absent)
        #expect(guest.port.obstacle == nil)
    }

    @Test(arguments: [[], ["--untracked"]])
    func `lets nobody in while writes are tracked`(arguments: [String]) throws {
        let guest = try ExternalGuest()
        let client = try guest.block.tracking.begin()
        let writer = try WriterProcess([guest.path] + arguments)
        #expect(try writer.finish().status == .exited(code: 1))
        guest.wait(for: .absent)
        #expect(guest.port.status.lastRefusal != nil)
        #expect(guest.port.obstacle == nil)
        client.end()
        let another = try WriterProcess([guest.path] + arguments)
        guest.wait(for: .paused)
        another.process.terminate()
        #expect(try another.finish().status == .exited(code: 0))
    }

    @Test
    func `serves one process at a time`() throws {
        let guest = try ExternalGuest()
        let first = try guest.startWriter()
        guest.wait(for: .paused)
        let second = try guest.startWriter()
        #expect(try second.finish().status == .exited(code: 1))
        #expect(guest.port.status.processID == first.process.processID)
        #expect(guest.port.status.lastRefusal == "another process writes this memory")
        guest.port.resume()
        guest.wait { guest.writes > 0 }
        first.process.terminate()
        #expect(try first.finish().status == .exited(code: 0))
        guest.wait(for: .absent)
        let third = try guest.startWriter()
        guest.wait(for: .running)
        guest.port.end()
        #expect(try third.finish().status == .exited(code: 0))
    }
}
