"""An endpoint as a management program sees it: a process, a QMP client, a log of events."""

import asyncio
import hashlib
import os
import shutil
import signal
import tempfile

from qemu.qmp import EventListener, QMPClient
from qemu.qmp.protocol import ConnectError

LIMIT = 60  # seconds that anything may take; a test that waits longer has failed
START_LIMIT = 20  # seconds from the start of a process to its monitor's first answer
MEMORY = 64 << 20


class Endpoint:
    """One `berth run` or QEMU process with a guest that is memory alone.

    The memory is a file, so that it can be compared, or else anonymous.
    """

    def __init__(
        self, command, directory, name, *, options=(), memory=None, anonymous=False
    ):
        self.name = name
        self.directory = directory
        self.socket = os.path.join(directory, f"{name}.qmp")
        self.memory = memory or os.path.join(directory, f"{name}.memory")
        backend = (
            "memory-backend-ram" if anonymous
            else f"memory-backend-file,share=on,mem-path={self.memory}"
        )
        self.arguments = [
            *command,
            "-nodefaults", "-no-user-config", "-display", "none",
            "-name", f"guest={name},debug-threads=on",
            "-object", f"{backend},id=ram,size={MEMORY}",
            "-machine", "none,memory-backend=ram",
            "-m", str(MEMORY >> 20),
            "-msg", "timestamp=on",
            "-qmp", f"unix:{self.socket},server=on,wait=off",
            *options,
        ]
        self.log = []
        self.changed = asyncio.Event()

    async def __aenter__(self):
        # Once in thousands of starts QEMU 10.0.2 takes a connection twice while it moves the monitor to
        # its own thread, and waits for ever in the second accept. It gets another try; Berth does not.
        attempts = 1 if "run" in self.arguments[:2] else 3
        while True:
            attempts -= 1
            try:
                await self.start()
                break
            except BaseException as error:
                await self.__aexit__()
                if not isinstance(error, asyncio.TimeoutError) or not attempts:
                    raise
        self.reader = asyncio.create_task(self.read_events())
        await self.set_capabilities(events=True)
        return self

    async def start(self):
        self.client = QMPClient(self.name)
        self.listener = EventListener()
        self.client.register_listener(self.listener)
        self.errors = open(os.path.join(self.directory, f"{self.name}.stderr"), "w+b")
        self.process = await asyncio.create_subprocess_exec(
            *self.arguments, stdin=asyncio.subprocess.DEVNULL, stderr=self.errors
        )
        await asyncio.wait_for(self.connect(), START_LIMIT)

    async def __aexit__(self, *_):
        if hasattr(self, "reader"):
            self.reader.cancel()
        await disconnect(self.client)
        if hasattr(self, "process"):
            if self.process.returncode is None:
                self.process.kill()
            await self.process.wait()
        self.errors.close()

    async def connect(self):
        while True:
            try:
                return await self.client.connect(self.socket)
            except ConnectError:
                if self.process.returncode is not None:
                    raise AssertionError(f"{self.name} ended at its start: {self.said()}")
                await asyncio.sleep(0.005)

    async def read_events(self):
        async for event in self.listener:
            self.log.append(event)
            self.changed.set()

    def said(self):
        self.errors.flush()
        with open(self.errors.name, encoding="utf-8", errors="replace") as file:
            return file.read()

    async def execute(self, command, **arguments):
        """Runs a command; an underscore in an argument's name stands for a hyphen."""
        arguments = {key.replace("_", "-"): value for key, value in arguments.items()}
        return await asyncio.wait_for(self.client.execute(command, arguments), LIMIT)

    async def set_capabilities(self, **states):
        await self.execute(
            "migrate-set-capabilities",
            capabilities=[
                {"capability": name.replace("_", "-"), "state": state}
                for name, state in states.items()
            ],
        )

    async def set_parameters(self, **parameters):
        await self.execute("migrate-set-parameters", **parameters)

    async def wait_for_status(self, *wanted):
        """Waits until the migration has reached one of these statuses, by its events."""

        def reached():
            return next((s for s in self.statuses() if s in wanted), None)

        async def wait():
            while not reached():
                self.changed.clear()
                await self.changed.wait()
            return reached()

        try:
            return await asyncio.wait_for(wait(), LIMIT)
        except asyncio.TimeoutError:
            raise AssertionError(
                f"{self.name} did not reach {wanted}; events: {self.history()}; {self.said()}"
            ) from None

    async def complete(self):
        """Waits for a migration's success, and returns the answer of query-migrate."""
        status = await self.wait_for_status("completed", "failed", "cancelled")
        info = await self.execute("query-migrate")
        assert status == "completed", f"{self.name}: {status}: {info.get('error-desc')}"
        return info

    async def eventually(self, ask, expected):
        """Asks until the answer is as expected. For what QEMU does a moment after `completed`: it
        changes the run state and closes the file only then."""
        deadline = asyncio.get_running_loop().time() + LIMIT
        while (answer := await ask()) != expected:
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"{self.name}: {answer}, expected {expected}")
            await asyncio.sleep(0.005)

    def statuses(self):
        return [e["data"]["status"] for e in self.log if e["event"] == "MIGRATION"]

    def history(self):
        """Statuses and run-state events in their order, as one list of words."""
        return [
            e["data"]["status"] if e["event"] == "MIGRATION" else e["event"]
            for e in self.log
            if e["event"] in ("MIGRATION", "STOP", "RESUME")
        ]

    async def run_state(self):
        return (await self.execute("query-status"))["status"]

    def digest(self):
        with open(self.memory, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    async def quit(self):
        await self.execute("quit")
        return await asyncio.wait_for(self.process.wait(), LIMIT)


async def disconnect(client):
    try:
        await client.disconnect()
    except Exception:  # whatever ended the session has been seen by the test already
        pass


class Directory:
    """A fresh directory for sockets, images and memory; gone at the end."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="berth-")
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


def write_memory(path, seed):
    """Fills a memory file: a third noise, a third one byte a page, the rest zeros."""
    noise = hashlib.shake_256(str(seed).encode()).digest(MEMORY // 16)
    with open(path, "wb") as file:
        for _ in range(5):
            file.write(noise)
        for page in range(MEMORY // 4096 // 3):
            file.write(bytes([page % 251 + 1]) + bytes(4095))
        file.truncate(MEMORY)
    return path


async def run_program(*command, input="", limit=LIMIT):
    """Runs a client program to its end and returns what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(input.encode()), limit)
    except asyncio.TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise AssertionError(f"{command[0]} did not end within {limit} s") from None
    return output.decode(errors="replace")
