import BerthMemory
import BerthSystem
import Glibc
import Testing

@testable import BerthWorkload

/// A peer in this process, connected, with the memory mapped once more.
final class FakePeer {
    /// What the port said first.
    let hello: [UInt8]
    private(set) var mapping: MemoryMapping
    private let memory: OwnedDescriptor
    private let box: OwnedDescriptorBox
    private let byteCount: Int

    init(_ guest: ExternalGuest) throws {
        byteCount = guest.block.byteCount
        guard let socket = try Sockets.connect(to: try .unix(guest.path)) else { throw Broken() }
        var bytes = [UInt8](repeating: 0, count: 40)
        var descriptors = ReceivedDescriptors()
        _ = try Poll.wait(for: socket.raw, .input)
        let outcome = try bytes.withUnsafeMutableBytes {
            try Sockets.receive(from: socket.raw, into: $0, descriptors: &descriptors)
        }
        guard outcome == .bytes(40), let memory = descriptors.takeFirst() else { throw Broken() }
        hello = bytes
        mapping = try MemoryMapping.file(
            memory,
            offset: 0,
            byteCount: byteCount,
            sharing: .shared,
            path: "memory"
        )
        self.memory = memory
        box = OwnedDescriptorBox(socket)
    }

    /// Another mapping of a part of the memory.
    func map(
        _ sharing: MemoryMapping.Sharing,
        offset: UInt64 = 0,
        count: Int? = nil
    ) throws -> MemoryMapping {
        try MemoryMapping.file(
            memory,
            offset: offset,
            byteCount: count ?? byteCount,
            sharing: sharing,
            path: "memory"
        )
    }

    /// Has the kernel watch the mapping.
    func register() throws -> Userfaultfd {
        let userfaultfd = try Userfaultfd(.asynchronous)
        try userfaultfd.register(UnsafeRawBufferPointer(mapping.bytes))
        return userfaultfd
    }

    func attachMessage(flags: UInt8, _ address: UInt64? = nil) -> [UInt8] {
        let address = address ?? UInt64(UInt(bitPattern: mapping.base))
        return [2, 0, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, flags, 0, 0, 0]
            + (0..<8).map { UInt8(truncatingIfNeeded: address >> ($0 * 8)) }
    }

    /// Sends what there is room for; nothing if the port has ended the connection.
    func send(_ bytes: [UInt8], _ descriptors: [CInt] = []) {
        _ = try? bytes.withUnsafeBytes {
            try Sockets.send(to: raw, $0, descriptors: descriptors)
        }
    }

    /// Waits for the next message.
    func message() throws -> [UInt8] {
        let header = try receive(8)
        guard header.count == 8 else { throw Broken() }
        return header + (try receive(Int(header[4]) + Int(header[5]) * 256))
    }

    /// Waits for the ERROR, and for the end of the connection after it.
    func error() throws -> String {
        let message = try message()
        guard message.starts(with: [6, 0, 0, 0]), try receive(1).isEmpty else { throw Broken() }
        return String(decoding: message.dropFirst(8), as: UTF8.self)
    }

    func close() { _ = box.take() }

    /// Puts other memory in the place of the mapping, so that its address stays taken.
    func unmap() {
        _ = mmap(
            mapping.base,
            byteCount,
            PROT_READ,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
            -1,
            0
        )
    }

    private var raw: CInt { box.raw ?? -1 }

    private func receive(_ count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            _ = try Poll.wait(for: raw, .input)
            var buffer = [UInt8](repeating: 0, count: count - bytes.count)
            let received = recv(raw, &buffer, buffer.count, 0)
            if received <= 0 { break }
            bytes += buffer.prefix(received)
        }
        return bytes
    }

    struct Broken: Error {}
}
