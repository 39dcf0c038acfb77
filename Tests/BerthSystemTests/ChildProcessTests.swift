import BerthSystem
import Glibc
import SystemPackage
import Testing

@Suite(.timeLimit(.minutes(1)))
struct ChildProcessTests {
    @Test(arguments: [0, 1, 3, 127, 255])
    func `an exit code is reported`(_ code: Int32) throws {
        let started = try ChildProcess.start(
            ["/bin/sh", "-c", "exit \(code)"],
            piping: .standardOutput
        )
        let status = try started.process.wait()
        #expect(status == .exited(code: code))
        #expect(status?.isSuccess == (code == 0))
        #expect(started.process.exitStatus == status)
    }

    @Test func `a signal is reported`() throws {
        let started = try ChildProcess.start(
            ["/bin/sh", "-c", "kill -KILL $$"],
            piping: .standardOutput
        )
        #expect(try started.process.wait() == .signalled(SIGKILL))
    }

    @Test func `the child's output is read and its input is empty`() throws {
        let started = try ChildProcess.start(
            ["/bin/sh", "-c", "cat; echo $0", "name"],
            piping: .standardOutput
        )
        #expect(try readAll(started.pipe.raw) == Array("name\n".utf8))
        #expect(try started.process.wait() == .exited(code: 0))
    }

    @Test func `the child reads what is written and sees its end`() throws {
        let directory = try TestDirectory()
        let started = try ChildProcess.start(
            ["/bin/sh", "-c", "cat > \(directory.file("out"))"],
            piping: .standardInput
        )
        let process = started.process
        let pipe = started.takePipe()
        try writeAll(pipe.raw, Array("hello".utf8))
        try pipe.close()
        #expect(try process.wait() == .exited(code: 0))
        #expect(try contents(of: directory.file("out")) == "hello")
    }

    @Test func `a missing program is an error at once`() {
        #expect(
            throws: SystemCallError(
                call: "posix_spawn",
                operand: "/nonexistent/x",
                errno: .noSuchFileOrDirectory
            )
        ) { _ = try ChildProcess.start(["/nonexistent/x"], piping: .standardInput).process }
        #expect(throws: SystemCallError.self) {
            _ = try ChildProcess.start([], piping: .standardInput).process
        }
    }

    @Test func `the child has three descriptors and no more`() throws {
        // One that is not close-on-exec, as a careless library might leave it.
        let leaked = Glibc.open("/dev/null", O_RDONLY)
        defer { close(leaked) }
        let started = try ChildProcess.start(
            ["/bin/sh", "-c", "for f in /proc/$$/fd/*; do echo ${f##*/}; done"],
            piping: .standardOutput
        )
        let numbers = String(decoding: try readAll(started.pipe.raw), as: UTF8.self)
            .split(separator: "\n")
        #expect(numbers.starts(with: ["0", "1", "2"]))
        #expect(!numbers.contains("\(leaked)"))
    }

    @Test func `the child handles signals as usual although this process does not`() throws {
        Signals.ignoreBrokenPipes()
        var status: ChildProcess.ExitStatus?
        let body: @Sendable () throws -> ChildProcess.ExitStatus? = {
            // A thread of ours blocks every signal: the child must not inherit that.
            let started = try ChildProcess.start(
                ["/bin/sh", "-c", "kill -PIPE $$; exit 1"],
                piping: .standardOutput
            )
            return try started.process.wait()
        }
        status = try BlockedCall(body).finish()
        #expect(status == .signalled(SIGPIPE))
    }

    @Test func `waiting can be aborted and the child terminated`() throws {
        let started = try ChildProcess.start(["/bin/cat"], piping: .standardInput)
        let process = started.process
        let abort = try WakeEvent()
        let call = try BlockedCall { try process.wait(abort: abort) }
        abort.signal()
        #expect(try call.finish() == nil)
        #expect(try process.wait(timeout: .zero) == nil)
        process.terminate()
        #expect(try process.wait() == .signalled(SIGTERM))
        process.terminate()
        process.kill()
    }

    @Test func `a child that nobody waits for does not stay as a zombie`() throws {
        let started = try ChildProcess.start(["/bin/true"], piping: .standardInput)
        let process = started.process
        while process.exitStatus == nil { sched_yield() }
        #expect(Glibc.kill(process.processID, 0) == -1)
    }

    @Test func `an exit code is reported even if the parent process ignored children`() async {
        await #expect(processExitsWith: .exitCode(3)) {
            signal(SIGCHLD, SIG_IGN)
            let started = try ChildProcess.start(
                ["/bin/sh", "-c", "exit 3"],
                piping: .standardOutput
            )
            let process = started.process
            let wait: () throws -> ChildProcess.ExitStatus? = { try process.wait() }
            guard case .exited(let code)? = try wait() else { exit(1) }
            exit(code)
        }
    }

    @Test func `writing to a pipe without a reader is an error and no signal`() async {
        await #expect(processExitsWith: .exitCode(EPIPE)) {
            Signals.ignoreBrokenPipes()
            var ends: [CInt] = [0, 0]
            pipe(&ends)
            close(ends[0])
            var byte: UInt8 = 0
            let count = write(ends[1], &byte, 1)
            exit(count == -1 ? Glibc.errno : 0)
        }
    }
}
