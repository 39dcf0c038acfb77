"""`berth monitor` as a person uses it on a terminal, and as a script does, with Berth or QEMU beyond it."""

import asyncio
import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import termios

from clients import single
from endpoint import LIMIT, Directory, disconnect, run_program

BERTH = os.environ.get("BERTH_BINARY", "")
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """`berth monitor` on a pseudo-terminal."""

    def __init__(self, *arguments, columns=80):
        self.arguments = [BERTH, "monitor", *arguments]
        self.columns = columns
        self.text = ""
        self.start = 0
        self.changed = asyncio.Event()

    async def __aenter__(self):
        self.keyboard, line = pty.openpty()
        fcntl.ioctl(line, termios.TIOCSWINSZ, struct.pack("HHHH", 24, self.columns, 0, 0))
        self.process = await asyncio.create_subprocess_exec(
            *self.arguments, stdin=line, stdout=line, stderr=line, start_new_session=True,
            env=dict(os.environ, TERM="xterm", LC_ALL="C.UTF-8"),
            # As a shell has it: ^C sends a signal when no line is edited.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(line)
        asyncio.get_running_loop().add_reader(self.keyboard, self.read)
        return self

    async def __aexit__(self, *_):
        asyncio.get_running_loop().remove_reader(self.keyboard)
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        os.close(self.keyboard)

    def read(self):
        try:
            data = os.read(self.keyboard, 65536)
        except OSError:  # the other side of the terminal has gone
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self.keyboard)
        self.text += data.decode(errors="replace")
        self.changed.set()

    def type(self, keys):
        self.start = len(self.text)
        os.write(self.keyboard, keys.encode())

    @property
    def is_editing(self):
        """Whether keys go to the console at once, and not to the kernel."""
        return not termios.tcgetattr(self.keyboard)[3] & termios.ICANON

    async def see(self, expected):
        """Waits until this has come since the last keys, without the sequences around it."""

        async def wait():
            while expected not in ESCAPE.sub("", self.text[self.start :]):
                self.changed.clear()
                await self.changed.wait()

        try:
            await asyncio.wait_for(wait(), LIMIT)
        except asyncio.TimeoutError:
            raise AssertionError(f"no '{expected}' in: {self.text[self.start:]!r}") from None

    async def end(self):
        return await asyncio.wait_for(self.process.wait(), LIMIT)


async def alone(end):
    """Leaves the monitor to others: it serves one client at a time."""
    end.reader.cancel()
    await disconnect(end.client)


async def a_person_types_into_qmp(command):
    with Directory() as path:
        second = os.path.join(path, "second")
        async with single(command, path, "-qmp", f"unix:{second},server=on,wait=off") as end:
            async with Terminal(second) as terminal:
                await terminal.see("(qmp) ")
                terminal.type("query-statu\t\r")
                await terminal.see('"status": "running"')
                # With what precedes it: a line that is drawn again has a prompt, too.
                await terminal.see("}\r\n(qmp) ")
                terminal.type("migrate-set-parameters max-bandw\t16000000\r")
                await terminal.see("{}\r\n(qmp) ")
                terminal.type("migrate bogus=1\r")
                await terminal.see("Error: GenericError: Parameter 'bogus' is unexpected\r\n(qmp) ")
                # An event comes in the middle of a line, which is drawn again and goes on.
                terminal.type("query-na")
                await terminal.see("query-na")
                await end.execute("stop")
                await terminal.see("event: STOP")
                await terminal.see("(qmp) query-na")
                terminal.type("me\r")
                await terminal.see('"name": "endpoint"\r\n}\r\n(qmp) ')
                # ^C takes the line back, ^D leaves the console and not the endpoint.
                terminal.type("quit\x03\x04")
                assert await terminal.end() == 0
            parameters = await end.execute("query-migrate-parameters")
            assert parameters["max-bandwidth"] == 16000000, parameters
            assert await end.run_state() == "paused"


@contextlib.asynccontextmanager
async def while_a_command_runs(command):
    """A console on a terminal whose command isn't answered before the endpoint gets SIGCONT."""
    with Directory() as path:
        second = os.path.join(path, "second")
        async with single(command, path, "-qmp", f"unix:{second},server=on,wait=off") as end:
            async with Terminal(second) as terminal:
                await terminal.see("(qmp) ")
                end.process.send_signal(signal.SIGSTOP)
                # All its threads: the one at the monitor may run on for a while.
                os.waitid(os.P_PID, end.process.pid, os.WSTOPPED)
                terminal.type("query-name\r")
                await terminal.see("query-name\r\n")
                while terminal.is_editing:
                    await asyncio.sleep(0.001)
                yield end, terminal


async def a_person_types_ahead(command):
    async with while_a_command_runs(command) as (end, terminal):
        terminal.type("query-status\r\x04")
        await terminal.see("query-status\r\n")
        end.process.send_signal(signal.SIGCONT)
        await terminal.see('"name": "endpoint"')
        await terminal.see('"status": "running"')
        assert await terminal.end() == 0
        assert await end.run_state() == "running"


async def a_person_does_not_wait_for_an_answer(command):
    async with while_a_command_runs(command) as (end, terminal):
        terminal.type("\x03")
        assert await terminal.end() == -signal.SIGINT
        assert not terminal.is_editing
        end.process.send_signal(signal.SIGCONT)
        assert await end.run_state() == "running"


async def a_person_types_into_the_human_monitor(command):
    with Directory() as path:
        console = os.path.join(path, "console")
        async with single(command, path, "-monitor", f"unix:{console},server=on,wait=off") as end:
            async with Terminal(console) as terminal:
                await terminal.see("(qemu) ")
                terminal.type("info statu\t\r")
                await terminal.see("VM status: running")
                await terminal.see("(qemu) ")
                terminal.type("nonsense\r")
                await terminal.see("unknown command: 'nonsense'")
                await terminal.see("(qemu) ")
                terminal.type("exit\r")
                assert await terminal.end() == 0
            assert await end.run_state() == "running"


async def a_person_ends_the_endpoint(command):
    with Directory() as path:
        async with single(command, path) as end:
            await alone(end)
            async with Terminal(end.socket) as terminal:
                await terminal.see("(qmp) ")
                terminal.type("quit\r")
                assert await terminal.end() == 0
            assert await asyncio.wait_for(end.process.wait(), LIMIT) == 0


async def a_console_notices_that_the_endpoint_dies(command):
    with Directory() as path:
        second = os.path.join(path, "second")
        async with single(command, path, "-qmp", f"unix:{second},server=on,wait=off") as end:
            async with Terminal(second) as terminal:
                await terminal.see("(qmp) ")
                end.process.kill()
                await terminal.see("has closed the connection")
                assert await terminal.end() == 1


async def a_migration_is_watched_to_its_end(command):
    with Directory() as path:
        second = os.path.join(path, "second")
        console = os.path.join(path, "console")
        options = ("-qmp", f"unix:{second},server=on,wait=off")
        options += ("-monitor", f"unix:{console},server=on,wait=off")
        memory = os.path.join(path, "memory")
        with open(memory, "wb") as file:
            file.write(os.urandom(64 << 20))
        async with single(command, path, *options, memory=memory) as end:
            await end.set_parameters(max_bandwidth=32 << 20)
            async with Terminal(second, columns=40) as terminal:
                await terminal.see("(qmp) ")
                terminal.type("watch 0.1\r")
                await terminal.see("no migration yet")
                await end.execute("migrate", uri="exec:cat >/dev/null")
                for shown in ("active [", " left", "ETA ", "completed [", "] 100%", "downtime "):
                    await terminal.see(shown)
                await terminal.see("(qmp) ")
                for line in ESCAPE.sub("", terminal.text).replace("\r", "").split("\n"):
                    if "[" in line or "ETA" in line:
                        assert len(line) < 40, line
                terminal.type("\x04")
                assert await terminal.end() == 0
            # The same for a log, from the other monitor.
            log = await run_program(BERTH, "monitor", console, "watch")
            assert log.startswith("completed  100%  "), log


async def a_key_ends_the_view(command):
    with Directory() as path:
        async with single(command, path) as end:
            await alone(end)
            async with Terminal(end.socket, "watch") as terminal:
                await terminal.see("no migration yet")
                terminal.type("q")
                assert await terminal.end() == 0


async def a_script_gets_an_exit_status(command):
    async def run(*words):
        process = await asyncio.create_subprocess_exec(
            BERTH, "monitor", *words,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await asyncio.wait_for(process.communicate(), LIMIT)
        return process.returncode, output.decode(), errors.decode()

    with Directory() as path:
        console = os.path.join(path, "console")
        async with single(command, path, "-monitor", f"unix:{console},server=on,wait=off") as end:
            await alone(end)
            status, output, errors = await run(end.socket, "query-name")
            assert (status, output, errors) == (0, '{\n    "name": "endpoint"\n}\n', ""), output
            status, output, errors = await run(end.socket, "hmp", "info", "status")
            assert (status, output) == (0, "VM status: running\n"), output
            status, output, errors = await run(end.socket, "migrate", "uri=bogus:x")
            assert status == 1 and output.startswith("Error: GenericError: "), output
            status, output, errors = await run(console, "info", "name")
            assert (status, output) == (0, "endpoint\n"), output
            status, output, errors = await run(console, "migrate", "-d", "bogus:x")
            assert status == 1 and output.startswith("Error: "), output
            status, output, errors = await run(path + "/nobody", "stop")
            assert status == 1 and not output, output
            assert errors.startswith(f"berth: cannot connect to '{path}/nobody': "), errors
            lines = "stop\nquery-status\nnonsense\nquery-name\n"
            output = await run_program(BERTH, "monitor", end.socket, input=lines)
            assert '"status": "paused"' in output and '"name": "endpoint"' in output, output


SCENARIOS = [
    a_person_types_into_qmp,
    a_person_types_ahead,
    a_person_does_not_wait_for_an_answer,
    a_person_types_into_the_human_monitor,
    a_person_ends_the_endpoint,
    a_console_notices_that_the_endpoint_dies,
    a_migration_is_watched_to_its_end,
    a_key_ends_the_view,
    a_script_gets_an_exit_status,
]
