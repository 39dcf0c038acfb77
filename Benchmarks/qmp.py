"""The smallest QMP client that can be timed: one socket, one request at a time."""

import atexit
import json
import os
import socket
import subprocess
import time


class Failure(Exception):
    """An endpoint refused something, failed at it, or ended."""


class Endpoint:
    """A process with a monitor, ended by `close`, or with this program."""

    def __init__(self, command, directory, *options):
        # Once in thousands of starts QEMU 10.0.2 takes a connection twice while it moves the monitor to
        # its own thread, and waits for ever in the second accept. It gets another try.
        for _ in range(3):
            try:
                return self.start(command, directory, *options)
            except TimeoutError:
                self.close()
        raise Failure(f"{command[0]} does not answer")

    def start(self, command, directory, *options):
        self.path = os.path.join(directory, f"qmp-{time.monotonic_ns()}")
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            [
                *command, "-nodefaults", "-no-user-config", "-display", "none",
                "-machine", "none", "-qmp", f"unix:{self.path},server=on,wait=off", *options,
            ],
            stdin=subprocess.DEVNULL,
        )
        atexit.register(self.process.kill)
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.settimeout(10)
        while True:
            try:
                self.connection.connect(self.path)
                break
            except OSError:
                if self.process.poll() is not None:
                    raise Failure(f"{command[0]} ended at its start") from None
                time.sleep(0.0002)
        self.buffer = b""
        self.events = []
        self.message()
        self.execute("qmp_capabilities")
        self.start_time = time.perf_counter() - self.began
        self.connection.settimeout(120)

    def message(self):
        while b"\n" not in self.buffer:
            data = self.connection.recv(65536)
            if not data:
                raise Failure(f"{self.process.args[0]} closed its monitor")
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def execute(self, command, **arguments):
        request = {"execute": command}
        if arguments:
            request["arguments"] = arguments
        self.connection.sendall(json.dumps(request).encode())
        while "event" in (answer := self.message()):
            self.events.append(answer)
        if "error" in answer:
            raise Failure(f"{command}: {answer['error']['desc']}")
        return answer["return"]

    def capabilities(self, **states):
        self.execute(
            "migrate-set-capabilities",
            capabilities=[
                {"capability": name.replace("_", "-"), "state": state}
                for name, state in states.items()
            ],
        )

    def wait_for_end(self):
        """Waits for the event that ends a migration; anything but `completed` is a failure."""
        while True:
            event = self.next_event()
            status = event.get("data", {}).get("status")
            if event["event"] == "MIGRATION" and status in ("completed", "failed", "cancelled"):
                if status != "completed":
                    info = self.execute("query-migrate")
                    raise Failure(f"{status}: {info.get('error-desc', 'no reason given')}")
                return

    def next_event(self):
        return self.events.pop(0) if self.events else self.message()

    def forget_events(self):
        """Drops the events of what went before, so that the next end is the one that is waited for."""
        self.execute("query-status")
        self.events.clear()

    def resident(self, without_bytes=0):
        """Bytes resident, in all and anonymous ones, without mappings of at least `without_bytes`."""
        total = anonymous = size = 0
        with open(f"/proc/{self.process.pid}/smaps", encoding="ascii") as file:
            for line in file:
                key, _, rest = line.partition(":")
                if key == "Size":
                    size = int(rest.split()[0]) << 10
                elif key == "Rss" and not (without_bytes and size >= without_bytes):
                    total += int(rest.split()[0]) << 10
                elif key == "Anonymous" and not (without_bytes and size >= without_bytes):
                    anonymous += int(rest.split()[0]) << 10
        return total, anonymous

    def processor_time(self):
        """Seconds that all threads of the process have run so far, ended ones included."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def guest_resident(self, size):
        """Bytes resident of the guest's memory: of mappings at least half as large as it is."""
        return self.resident()[0] - self.resident(size // 2)[0]

    def forget_peak(self):
        """The highest resident size counts from now on."""
        with open(f"/proc/{self.process.pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")

    def peak(self):
        """The highest resident size since then, in bytes. The kernel keeps it; nothing samples it."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) << 10
        raise Failure("the kernel keeps no highest resident size")

    def close(self):
        self.process.kill()
        self.process.wait()
        atexit.unregister(self.process.kill)
        self.connection.close()
