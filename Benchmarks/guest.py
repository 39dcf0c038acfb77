"""A guest that writes its memory, in a Berth endpoint or a QEMU, and how to migrate it."""

import time

from qmp import Endpoint


class Guest:
    """A Berth endpoint or a QEMU, and what it says while its guest is migrated."""

    def __init__(self, command, directory, *options):
        self.end = Endpoint(command, directory, *options)
        self.close = self.end.close
        self.execute = self.end.execute
        self.capabilities = self.end.capabilities
        self.capabilities(events=True)
        self.events = []

    def set(self, **parameters):
        self.execute("migrate-set-parameters", **parameters)

    def workload(self):
        return self.execute("x-query-workload")[0]

    def add_workload(self, pattern, size, rate=0):
        self.execute(
            "object-add",
            **{"qom-type": "guest-workload", "id": "writer", "memdev": "ram"},
            pattern=pattern, size=size, rate=rate,
        )

    def fill(self, pattern, size, rate=0):
        """Writes every page of the range at least once, then goes on as told."""
        filler = "increment" if pattern == "increment" else "sequential"
        self.add_workload(filler, size)
        while self.workload()["writes"] < size // 4096:
            time.sleep(0.01)
        if (filler, 0) != (pattern, rate):
            self.execute("object-del", id="writer")
            self.add_workload(pattern, size, rate)

    def written(self, seconds):
        """Bytes per second that the workload writes, observed for a while."""
        began, before = time.perf_counter(), self.workload()["writes"]
        time.sleep(seconds)
        return (self.workload()["writes"] - before) * 4096 / (time.perf_counter() - began)

    def migrate(self, uri, orders=()):
        """Migrates, and samples `query-migrate` every 30 ms.

        `orders` are pairs of seconds and what to call then, if it isn't over by then.
        """
        orders = list(orders)
        samples = []
        self.end.events.clear()
        began = time.perf_counter()
        self.execute("migrate", uri=uri)
        while True:
            info = self.execute("query-migrate")
            now = time.perf_counter() - began
            if "ram" in info:
                samples.append(
                    (now, info["ram"]["remaining"], info.get("cpu-throttle-percentage", 0))
                )
            if info["status"] == "completed":
                break
            if info["status"] in ("failed", "cancelled"):
                raise SystemExit(f"{info['status']}: {info.get('error-desc')}")
            if orders and now >= orders[0][0]:
                orders.pop(0)[1]()
            time.sleep(0.03)
        # Its events come before the answer that says 'completed'.
        self.events = list(self.end.events)
        return info, samples

    def pause(self):
        """Seconds from STOP to RESUME."""
        times = {
            event["event"]: event["timestamp"]["seconds"] + event["timestamp"]["microseconds"] / 1e6
            for event in reversed(self.events)
        }
        return times["RESUME"] - times["STOP"]
