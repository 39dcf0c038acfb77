import BerthSystem
import Glibc
import SystemPackage
import Testing

@Suite(.timeLimit(.minutes(1)))
struct DescriptorTests {
    @Test func `an error's phrase has the call, its operand and the reason`() {
        let error = SystemCallError(call: "open", operand: "/x", errno: .noSuchFileOrDirectory)
        #expect(error.description == "cannot open '/x': No such file or directory")
        let bare = SystemCallError(call: "eventfd", operand: "", errno: .tooManyOpenFiles)
        #expect(bare.description == "cannot eventfd: Too many open files")
    }

    @Test func `opening a missing file names the path`() throws {
        let directory = try TestDirectory()
        let path = directory.file("missing")
        #expect(throws: SystemCallError(call: "open", operand: path, errno: .noSuchFileOrDirectory))
        { _ = try OwnedDescriptor.open(path, O_RDONLY).raw }
    }

    @Test func `a descriptor is closed when its owner goes`() throws {
        let pipe = try OwnedDescriptor.pipe()
        let reader = pipe.takeFirst()
        // The write end went with the pair: only then does a read end instead of blocking.
        #expect(try readAll(reader.raw).isEmpty)
    }

    @Test func `a released descriptor stays open`() throws {
        let pipe = try OwnedDescriptor.pipe()
        let raw = pipe.takeSecond().release()
        defer { close(raw) }
        #expect(fcntl(raw, F_GETFD) != -1)
    }

    @Test func `closing twice is impossible but closing reports a bad number`() {
        #expect(
            throws: SystemCallError(call: "close", operand: "fd 999999", errno: .badFileDescriptor)
        ) { try OwnedDescriptor(999_999).close() }
    }

    @Test func `descriptors made here are not passed on to programs`() throws {
        let directory = try TestDirectory()
        let file = try OwnedDescriptor.open(directory.file("f"), O_CREAT | O_RDWR, mode: 0o600)
        let pipe = try OwnedDescriptor.pipe()
        let sockets = try Sockets.pair()
        let copy = try file.duplicate()
        let event = try WakeEvent()
        for raw in [
            file.raw, pipe.first.raw, pipe.second.raw, sockets.first.raw, sockets.second.raw,
            copy.raw, event.raw,
        ] {
            #expect(fcntl(raw, F_GETFD) & FD_CLOEXEC != 0)
            #expect(!OwnedDescriptor.isInherited(raw))
        }
    }

    @Test func `only an open descriptor that is not close-on-exec counts as inherited`() throws {
        let pipe = try OwnedDescriptor.pipe()
        _ = fcntl(pipe.first.raw, F_SETFD, 0)
        #expect(OwnedDescriptor.isInherited(pipe.first.raw))
        try pipe.first.setCloseOnExec()
        #expect(!OwnedDescriptor.isInherited(pipe.first.raw))
        #expect(!OwnedDescriptor.isInherited(999_999))
        #expect(!OwnedDescriptor.isInherited(-1))
    }

    @Test func `duplicates share the open file and land above the standard streams`() throws {
        let directory = try TestDirectory()
        let file = try OwnedDescriptor.open(directory.file("f"), O_CREAT | O_RDWR, mode: 0o600)
        let copy = try file.duplicate()
        try writeAll(file.raw, [1, 2, 3])
        #expect(lseek(copy.raw, 0, CInt(SEEK_CUR)) == 3)
        #expect(copy.raw > 2)
    }

    @Test func `duplicating a number that is not open says so`() {
        #expect(
            throws: SystemCallError(call: "dup", operand: "fd 999999", errno: .badFileDescriptor)
        ) { _ = try OwnedDescriptor.duplicate(of: 999_999).raw }
    }

    @Test(arguments: [
        (O_RDONLY, FileAccess(mode: .readOnly)),
        (O_WRONLY, FileAccess(mode: .writeOnly)),
        (O_RDWR, FileAccess(mode: .readWrite)),
    ])
    func `access tells how a file was opened`(_ flags: CInt, _ expected: FileAccess) throws {
        let directory = try TestDirectory()
        let file = try OwnedDescriptor.open(directory.file("f"), O_CREAT | flags, mode: 0o600)
        #expect(try file.access() == expected)
    }

    @Test func `closed standard streams are taken before anything else gets their numbers`() async {
        await #expect(processExitsWith: .exitCode(7)) {
            close(0)
            close(2)
            OwnedDescriptor.reserveStandardStreams()
            let open = [0, 1, 2].allSatisfy { fcntl($0, F_GETFD) != -1 }
            let next = Glibc.open("/dev/null", O_RDONLY)
            exit(open && next > 2 ? 7 : 1)
        }
    }

    @Test func `a closed standard output takes nothing, so that no stream vanishes in it`() async {
        await #expect(processExitsWith: .exitCode(7)) {
            close(1)
            OwnedDescriptor.reserveStandardStreams()
            let isRefused = write(1, "x", 1) == -1 && errno == EBADF
            exit(isRefused ? 7 : 1)
        }
    }

    @Test func `a boxed descriptor can be taken once and is closed with the last box`() throws {
        let pipe = try OwnedDescriptor.pipe()
        let box = OwnedDescriptorBox(try pipe.second.duplicate())
        #expect(box.raw != nil)
        let taken = box.take()
        let gotOne = taken != nil
        #expect(gotOne)
        let again = box.take()
        let gotAnother = again != nil
        #expect(!gotAnother)
        #expect(box.raw == nil)
        #expect(throws: SystemCallError.self) { _ = try box.duplicate().raw }
    }

    @Test func `a file's status tells its kind and size`() throws {
        let directory = try TestDirectory()
        let path = directory.file("f")
        let file = try OwnedDescriptor.open(path, O_CREAT | O_RDWR, mode: 0o600)
        try writeAll(file.raw, [UInt8](repeating: 1, count: 1234))
        let open = try FileStatus(of: file.raw)
        #expect(open.kind == .regularFile)
        #expect(open.byteCount == 1234)
        #expect(open.isSeekable)
        #expect(try FileStatus(path: path) == open)
        let pipe = try OwnedDescriptor.pipe()
        let sockets = try Sockets.pair()
        #expect(try FileStatus(of: pipe.first.raw).kind == .fifo)
        #expect(try FileStatus(of: sockets.first.raw).kind == .socket)
        #expect(try FileStatus(path: "/dev/null").kind == .characterDevice)
        #expect(try FileStatus(path: directory.path).kind == .directory)
        #expect(try !FileStatus(path: "/dev/null").isSeekable)
    }
}
