import BerthMemory
import BerthSystem
import Glibc
import Testing

@testable import BerthWorkload

/// With peers in this process, which do what no good one does.
@Suite(.timeLimit(.minutes(2)))
struct ExternalPeerTests {
    @Test
    func `offers the memory`() throws {
        let guest = try ExternalGuest()
        let peer = try FakePeer(guest)
        let hello: [UInt8] =
            [1, 0, 0, 0, 32, 0, 0, 0] + Array("BERTHMEM".utf8) + [1, 0, 0, 0, 0, 0, 0, 0]
            + [0, 0, 0x20, 0, 0, 0, 0, 0] + [0, 0, 0, 0, 0, 0, 0, 0]
        #expect(peer.hello == hello)
        peer.mapping.base.storeBytes(of: 42, toByteOffset: 4096, as: UInt64.self)
        #expect(guest.block.base.load(fromByteOffset: 4096, as: UInt64.self) == 42)
    }

    @Test(.tracksPeers)
    func `takes a message that comes byte by byte`() throws {
        let guest = try ExternalGuest()
        let peer = try FakePeer(guest)
        let userfaultfd = try peer.register()
        for (index, byte) in peer.attachMessage(flags: 1).enumerated() {
            peer.send([byte], index == 0 ? [userfaultfd.raw] : [])
        }
        guest.wait(for: .paused)
        #expect(guest.port.status.isTracked)
    }

    @Test(arguments: [
        ([9, 0, 0, 0, 0, 0, 0, 0], "message of the unknown type 9"),
        ([5, 0, 0, 0, 0, 0, 0, 0], "PAUSED without a PAUSE"),
        ([5, 0, 0, 0, 1, 0, 0, 0], "message of type 5 with 1 bytes"),
        ([2, 0, 0, 0, 255, 255, 255, 255], "message of type 2 with 4294967295 bytes"),
        ([2, 0, 0, 0, 16, 0, 0, 0, 2, 0, 0, 0] + [UInt8](repeating: 0, count: 12), "version 2"),
        (
            [2, 0, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 2] + [UInt8](repeating: 0, count: 11),
            "unknown flag"
        ),
        (
            [2, 0, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 1] + [UInt8](repeating: 0, count: 11),
            "it announced"
        ),
        ([UInt8](repeating: 0xff, count: 65536), "message of the unknown type"),
    ])
    func `sends away who says something else`(bytes: [UInt8], text: String) throws {
        let guest = try ExternalGuest()
        let peer = try FakePeer(guest)
        peer.send(bytes)
        #expect(try peer.error().hasPrefix(text))
        guest.wait(for: .absent)
        #expect(try #require(guest.port.status.lastRefusal).hasPrefix(text))
        let next = try FakePeer(guest)
        next.send(next.attachMessage(flags: 0))
        guest.wait(for: .paused)
    }

    @Test
    func `sends away who attaches twice`() throws {
        let guest = try ExternalGuest()
        let peer = try FakePeer(guest)
        peer.send(peer.attachMessage(flags: 0) + peer.attachMessage(flags: 0))
        #expect(try peer.error() == "it attached already")
    }

    @Test
    func `takes no other descriptor for a userfaultfd`() throws {
        let guest = try ExternalGuest()
        let peer = try FakePeer(guest)
        let event = try WakeEvent()
        peer.send(peer.attachMessage(flags: 1), [event.raw])
        #expect(try peer.error().hasPrefix("the descriptor that it sent is no userfaultfd"))
        let other = try FakePeer(guest)
        other.send(other.attachMessage(flags: 0), [event.raw])
        #expect(try other.error() == "it sent a descriptor that it did not announce")
        let third = try FakePeer(guest)
        third.send(third.attachMessage(flags: 1), [event.raw, event.raw])
        #expect(try third.error() == "it sent several descriptors")
    }

    @Test
    func `sends away who says nothing`() throws {
        let guest = try ExternalGuest(attachLimit: .milliseconds(20))
        let peer = try FakePeer(guest)
        #expect(try peer.error().hasPrefix("it did not attach within"))
        let halfway = try FakePeer(guest)
        halfway.send(Array(halfway.attachMessage(flags: 0).dropLast()))
        #expect(try halfway.error().hasPrefix("it did not attach within"))
    }

    @Test(.tracksPeers, arguments: WrongMapping.allCases)
    func `refuses a mapping that isn't all of the memory, shared`(wrong: WrongMapping) throws {
        let guest = try ExternalGuest()
        let peer = try FakePeer(guest)
        let userfaultfd = try peer.register()
        let half = guest.block.byteCount / 2
        let private_ = try peer.map(.private)
        let moved = try peer.map(.shared, offset: UInt64(targetPageByteCount), count: half)
        let anonymous = try MemoryMapping.anonymous(byteCount: guest.block.byteCount)
        let good = UInt64(UInt(bitPattern: peer.mapping.base))
        let address =
            switch wrong {
            case .nothing: UInt64(0)
            case .endOfAddresses: UInt64.max - 4095
            case .unaligned: good + 1
            case .tooShort: good + UInt64(half)
            case .private: UInt64(UInt(bitPattern: private_.base))
            case .moved: UInt64(UInt(bitPattern: moved.base))
            case .other: UInt64(UInt(bitPattern: anonymous.base))
            }
        peer.send(peer.attachMessage(flags: 1, address), [userfaultfd.raw])
        let process = "process \(getpid())"
        #expect(try peer.error().hasPrefix("\(process) does not map the memory"))
        #expect(!guest.block.tracking.mechanisms.contains(.peer))
    }

    enum WrongMapping: CaseIterable {
        case nothing, endOfAddresses, unaligned, tooShort, `private`, moved, other
    }

    @Test(.tracksPeers)
    func `takes a mapping that the kernel lists in several pieces`() throws {
        let guest = try ExternalGuest()
        let peer = try FakePeer(guest)
        let page = peer.mapping.base + 16 * targetPageByteCount
        try #require(mprotect(page, targetPageByteCount, PROT_READ) == 0)
        let userfaultfd = try peer.register()
        peer.send(peer.attachMessage(flags: 1), [userfaultfd.raw])
        guest.wait(for: .paused)
        #expect(guest.port.status.isTracked)
    }

    @Test(.tracksPeers)
    func `refuses a mapping that the kernel does not watch`() throws {
        let guest = try ExternalGuest()
        let peer = try FakePeer(guest)
        let idle = try Userfaultfd(.asynchronous)
        peer.send(peer.attachMessage(flags: 1), [idle.raw])
        #expect(try peer.error().contains("is not registered"))

        let waiting = try FakePeer(guest)
        let synchronous = try Userfaultfd(.synchronous)
        try synchronous.register(UnsafeRawBufferPointer(waiting.mapping.bytes))
        waiting.send(waiting.attachMessage(flags: 1), [synchronous.raw])
        #expect(try waiting.error().contains("is not registered"))
    }

    @Test
    func `can't track a process of another pid namespace`() throws {
        let guest = try ExternalGuest()
        let peer = try FakePeer(guest)
        let memory = SharedMemory(
            byteCount: guest.block.byteCount,
            file: ProcessMappings.FileRange(file: "00:01 1", offset: 0, isShared: true)
        )
        // The kernel says 0 where it has no number for the process.
        #expect(throws: PeerFault.untrackable("it lives in another pid namespace")) {
            try PeerDirtySource(
                processID: 0,
                address: UInt64(UInt(bitPattern: peer.mapping.base)),
                memory: memory,
                userfaultfd: try OwnedDescriptor.duplicate(of: STDERR_FILENO)
            )
        }
    }

    @Test
    func `says so when a peer doesn't pause, and lets it go on`() throws {
        let guest = try ExternalGuest()
        let peer = try FakePeer(guest)
        peer.send(peer.attachMessage(flags: 0))
        guest.port.resume()
        #expect(try peer.message() == [3, 0, 0, 0, 0, 0, 0, 0])
        #expect(!guest.port.pause(within: .milliseconds(20)))
        #expect(guest.port.status.state == .pausing)
        #expect(try peer.message() == [4, 0, 0, 0, 0, 0, 0, 0])
        // It answers late, and so is told to run again.
        peer.send([5, 0, 0, 0, 0, 0, 0, 0])
        #expect(try peer.message() == [3, 0, 0, 0, 0, 0, 0, 0])
        #expect(guest.port.status.state == .running)
        peer.close()
        #expect(guest.port.pause(within: .seconds(60)))
        #expect(guest.port.status.state == .absent)
    }

    @Test(.tracksPeers)
    func `counts everything as written once when a peer takes its mapping away`() throws {
        let guest = try ExternalGuest()
        let peer = try FakePeer(guest)
        let userfaultfd = try peer.register()
        peer.send(peer.attachMessage(flags: 1), [userfaultfd.raw])
        guest.wait(for: .paused)
        var copy = try FollowingCopy(guest.block)
        peer.mapping.base.storeBytes(of: 7, toByteOffset: 8192, as: UInt64.self)
        #expect(try copy.update()[2])
        peer.mapping.base.storeBytes(of: 8, toByteOffset: 12288, as: UInt64.self)
        peer.unmap()
        #expect(try copy.update().count == guest.block.pageCount)
        #expect(try copy.update().count == 0)
        #expect(copy.isCurrent)
        #expect(guest.port.obstacle?.message.contains("no longer maps") == true)
    }

    @Test(.tracksPeers)
    func `goes on tracking when the peer closes its userfaultfd`() throws {
        let guest = try ExternalGuest()
        let peer = try FakePeer(guest)
        do {
            let userfaultfd = try peer.register()
            peer.send(peer.attachMessage(flags: 1), [userfaultfd.raw])
        }
        guest.wait(for: .paused)
        var copy = try FollowingCopy(guest.block)
        peer.mapping.base.storeBytes(of: 7, toByteOffset: 8192, as: UInt64.self)
        #expect(try copy.update().nextRun(from: 0) == 2..<3)
    }

    @Test
    func `refuses memory that other processes can't have`() throws {
        let block = try RAMBlock(id: "ram0", byteCount: 1 << 20)
        let error = #expect(throws: WorkloadError.self) {
            try ExternalWriterPort(id: "ew0", block: block, path: "/tmp/berth-no-such/socket")
        }
        #expect(error?.message.hasPrefix("cannot let other processes write 'ram0'") == true)
        #expect(error?.hint?.contains("share=on") == true)
    }

    @Test
    func `refuses a path that can't be a socket`() throws {
        let guest = try ExternalGuest()
        let error = #expect(throws: WorkloadError.self) {
            try ExternalWriterPort(id: "ew1", block: guest.block, path: "/tmp/berth-no-such/socket")
        }
        #expect(error?.message.hasPrefix("cannot listen for processes that write 'ram0'") == true)
    }
}
