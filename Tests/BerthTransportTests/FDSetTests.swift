import BerthSystem
import Glibc
import Testing

@testable import BerthTransport

struct FDSetTests {
    private func descriptor(_ directory: TestDirectory, _ flags: CInt) throws -> OwnedDescriptor {
        try OwnedDescriptor.open(directory.file("f"), flags | O_CREAT, mode: 0o600)
    }

    private func direct(_ directory: TestDirectory, _ flags: CInt) throws -> OwnedDescriptor {
        try OwnedDescriptor.open(directory.file("f"), flags, isDirect: true)
    }

    @Test func `a set without a number gets the lowest free one`() throws {
        let directory = try TestDirectory()
        let sets = FDSets()
        var numbers: [Int64] = []
        numbers.append(try sets.add(descriptor(directory, O_RDWR), set: nil, opaque: nil).set)
        numbers.append(try sets.add(descriptor(directory, O_RDWR), set: 2, opaque: nil).set)
        numbers.append(try sets.add(descriptor(directory, O_RDWR), set: nil, opaque: nil).set)
        numbers.append(try sets.add(descriptor(directory, O_RDWR), set: nil, opaque: nil).set)
        #expect(numbers == [0, 2, 1, 3])
        try sets.remove(set: 1, descriptor: nil)
        #expect(try sets.add(descriptor(directory, O_RDWR), set: nil, opaque: nil).set == 1)
        #expect(sets.query().map(\.id) == [3, 2, 1, 0])
    }

    @Test func `a query shows descriptors oldest first with what came along`() throws {
        let directory = try TestDirectory()
        let sets = FDSets()
        let first = try sets.add(descriptor(directory, O_RDONLY), set: 5, opaque: "one")
        let second = try sets.add(descriptor(directory, O_WRONLY), set: 5, opaque: nil)
        #expect(
            sets.query() == [
                .init(
                    id: 5,
                    descriptors: [
                        .init(descriptor: first.descriptor, opaque: "one"),
                        .init(descriptor: second.descriptor, opaque: nil),
                    ]
                )
            ]
        )
        try sets.remove(set: 5, descriptor: first.descriptor)
        #expect(sets.query().first?.descriptors.map(\.descriptor) == [second.descriptor])
        try sets.remove(set: 5, descriptor: second.descriptor)
        #expect(sets.query().isEmpty)
    }

    @Test func `what does not exist is named`() throws {
        let directory = try TestDirectory()
        let sets = FDSets()
        _ = try sets.add(descriptor(directory, O_RDWR), set: 7, opaque: nil)
        #expect(throws: FDSetError.unknownSet(99)) { try sets.remove(set: 99, descriptor: nil) }
        #expect(throws: FDSetError.unknownDescriptor(set: 7, descriptor: 9999)) {
            try sets.remove(set: 7, descriptor: 9999)
        }
        #expect(throws: FDSetError.negativeSet(-1)) {
            _ = try sets.add(descriptor(directory, O_RDWR), set: -1, opaque: nil)
        }
        #expect(throws: FDSetError.unknownSet(3)) {
            _ = try sets.open(set: 3, FileAccess(mode: .readOnly)).raw
        }
    }

    @Test(
        arguments: [
            ("/dev/fdset/0", 0), ("/dev/fdset/77", 77), ("/dev/fdset", nil), ("/dev/null", nil),
            ("x/dev/fdset/1", nil), ("", nil),
        ] as [(String, Int64?)]
    )
    func `a path names a set`(_ path: String, _ expected: Int64?) throws {
        #expect(try FDSets.setID(path: path) == expected)
    }

    @Test(arguments: [
        "/dev/fdset/", "/dev/fdset/x", "/dev/fdset/-1", "/dev/fdset/1/2",
        "/dev/fdset/99999999999999999999",
    ])
    func `a path that names no set is refused`(_ path: String) {
        #expect(throws: FDSetError.unparsable(path: path)) { try FDSets.setID(path: path) }
    }

    /// Which of the ways to open a set finds a match, by what the set holds.
    @Test(arguments: [
        ([O_WRONLY], FileAccess.Mode.writeOnly, false, true),
        ([O_RDWR], .writeOnly, false, false),
        ([O_RDONLY], .writeOnly, false, false),
        ([O_RDONLY], .readOnly, false, true),
        ([O_RDWR], .readOnly, false, false),
        ([O_WRONLY, O_RDONLY], .readOnly, false, true),
        ([O_WRONLY], .writeOnly, true, false),
        ([], .writeOnly, true, false),
    ])
    func `the access mode must be equal`(
        _ flags: [CInt],
        _ mode: FileAccess.Mode,
        _ isDirect: Bool,
        _ matches: Bool
    ) throws {
        let directory = try TestDirectory()
        let sets = FDSets()
        for flag in [O_RDONLY] + flags.filter({ $0 != O_RDONLY }) {
            // A set must hold something to exist; read-only never matches write-only.
            if flag == O_RDONLY, !flags.contains(O_RDONLY), mode == .readOnly { continue }
            _ = try sets.add(descriptor(directory, flag), set: 1, opaque: nil)
        }
        let wanted = FileAccess(mode: mode, isDirect: isDirect)
        do {
            let opened = try sets.open(set: 1, wanted)
            #expect(matches)
            #expect(try opened.access() == wanted)
        } catch {
            #expect(error as? FDSetError == .noMatch(set: 1, wanted: wanted))
            #expect(!matches)
        }
    }

    @Test func `two descriptors opened apart serve plain and direct access`() throws {
        let directory = try TestDirectory()
        let sets = FDSets()
        let plain = try sets.add(descriptor(directory, O_WRONLY), set: 1, opaque: nil)
        let bypass = try sets.add(direct(directory, O_WRONLY), set: 1, opaque: nil)
        for (isDirect, number) in [(false, plain.descriptor), (true, bypass.descriptor)] {
            let opened = try sets.open(set: 1, FileAccess(mode: .writeOnly, isDirect: isDirect))
            #expect(try opened.access().isDirect == isDirect)
            #expect(opened.raw != number)
        }
    }

    @Test func `what was opened outlives its set`() throws {
        let directory = try TestDirectory()
        let sets = FDSets()
        _ = try sets.add(descriptor(directory, O_WRONLY), set: 1, opaque: nil)
        let opened = try sets.open(set: 1, FileAccess(mode: .writeOnly))
        try sets.remove(set: 1, descriptor: nil)
        try writeAll(opened.raw, [1, 2])
        #expect(try FileStatus(path: directory.file("f")).byteCount == 2)
    }
}
