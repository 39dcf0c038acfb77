"""Migrations between two endpoints, each of them Berth or real QEMU, as libvirt would drive them."""

import os

from endpoint import Directory, Endpoint, write_memory

FINISHED = ["setup", "active", "STOP", "device", "completed"]


class Pair:
    """A source with memory worth moving, and a destination that waits for it."""

    def __init__(self, source, destination, *, source_options=(), destination_options=()):
        self.commands = (source, destination)
        self.options = (source_options, destination_options)

    async def __aenter__(self):
        self.directory = Directory()
        path = self.path = self.directory.__enter__()
        memory = write_memory(os.path.join(path, "memory"), seed=path)
        self.source = Endpoint(
            self.commands[0], path, "source", memory=memory, options=self.options[0]
        )
        self.destination = Endpoint(
            self.commands[1],
            path,
            "destination",
            options=("-incoming", "defer", *self.options[1]),
        )
        await self.source.__aenter__()
        await self.destination.__aenter__()
        return self

    async def __aexit__(self, *_):
        for end in (self.source, self.destination):
            if hasattr(end, "process"):
                await end.__aexit__()
        self.directory.__exit__()

    def file(self, name):
        return os.path.join(self.path, name)

    async def both(self, **capabilities):
        await self.source.set_capabilities(**capabilities)
        await self.destination.set_capabilities(**capabilities)

    def same_memory(self):
        return self.source.digest() == self.destination.digest()


async def live_migration_with_a_pause_before_the_switch(source, destination):
    async with Pair(source, destination, destination_options=["-S"]) as pair:
        await pair.both(return_path=True)
        await pair.source.set_capabilities(pause_before_switchover=True)
        await pair.source.set_parameters(max_bandwidth=1 << 30, downtime_limit=500)
        parameters = await pair.source.execute("query-migrate-parameters")
        assert parameters["max-bandwidth"] == 1 << 30, parameters
        assert parameters["downtime-limit"] == 500, parameters

        address = f"unix:{pair.file('migration')}"
        await pair.destination.execute("migrate-incoming", uri=address, exit_on_error=False)
        waiting = await pair.destination.execute("query-migrate")
        assert waiting["status"] == "setup", waiting
        assert waiting["socket-address"][0]["path"] == pair.file("migration"), waiting
        assert await pair.destination.run_state() == "inmigrate"

        await pair.source.execute("migrate", uri=address)
        await pair.source.wait_for_status("pre-switchover")
        assert await pair.source.run_state() == "finish-migrate"
        info = await pair.source.execute("query-migrate")
        assert info["status"] == "pre-switchover", info
        assert info["ram"]["total"] >= 64 << 20, info
        await pair.source.execute("migrate-continue", state="pre-switchover")

        info = await pair.source.complete()
        for member in ("total-time", "setup-time", "downtime", "ram"):
            assert member in info, info
        assert info["ram"]["remaining"] == 0, info
        assert info["ram"]["transferred"] > 20 << 20, info
        await pair.source.eventually(pair.source.run_state, "postmigrate")
        assert pair.source.history() == [
            "setup", "active", "STOP", "pre-switchover", "device", "completed"
        ], pair.source.history()

        await pair.destination.complete()
        assert pair.destination.history() == ["setup", "active", "completed"]
        assert await pair.destination.run_state() == "paused"
        assert pair.same_memory()
        await pair.destination.execute("cont")
        assert await pair.destination.execute("query-status") == {
            "status": "running", "running": True
        }
        assert pair.destination.history()[-1] == "RESUME"
        assert await pair.source.quit() == 0
        assert await pair.destination.quit() == 0


async def live_migration_over_tcp_resumes_by_itself(source, destination):
    async with Pair(source, destination) as pair:
        await pair.destination.execute("migrate-incoming", uri="tcp:127.0.0.1:0")
        address = (await pair.destination.execute("query-migrate"))["socket-address"][0]
        assert address["type"] == "inet" and address["host"] == "127.0.0.1", address
        await pair.source.execute(
            "migrate",
            channels=[
                {
                    "channel-type": "main",
                    "addr": {
                        "transport": "socket", "type": "inet",
                        "host": "127.0.0.1", "port": address["port"],
                    },
                }
            ],
        )
        await pair.source.complete()
        await pair.destination.complete()
        assert pair.source.history() == FINISHED, pair.source.history()
        assert pair.destination.history() == ["setup", "active", "RESUME", "completed"]
        assert await pair.destination.run_state() == "running"
        assert pair.same_memory()


async def save_and_restore(source, destination, mapped):
    async with Pair(source, destination) as pair:
        await pair.both(mapped_ram=mapped)
        image = pair.file("image")
        # The first 64 KiB stay free for a header of the caller's own, as libvirt's save files have it.
        with open(image, "wb") as file:
            file.write(b"H" * 65536)
        await pair.source.execute("migrate", uri=f"file:{image},offset=0x10000")
        info = await pair.source.complete()
        assert pair.source.history() == FINISHED, pair.source.history()
        assert info["ram"]["duplicate"] > 0 and info["ram"]["normal"] > 0, info
        with open(image, "rb") as file:
            assert file.read(65536) == b"H" * 65536, "the bytes before the offset changed"
            assert file.read(4) == b"QEVM"
        await pair.destination.execute(
            "migrate-incoming", uri=f"file:{image},offset=64K", exit_on_error=False
        )
        await pair.destination.complete()
        assert pair.same_memory()


async def save_and_restore_sequentially(source, destination):
    await save_and_restore(source, destination, mapped=False)


async def save_and_restore_as_mapped_ram(source, destination):
    await save_and_restore(source, destination, mapped=True)


async def save_through_a_descriptor_set(source, destination):
    """What libvirt does, whose QEMU may not open files: descriptors in a set, named by it."""
    async with Pair(source, destination) as pair:
        await pair.both(mapped_ram=True)
        image = pair.file("image")
        ends = (
            (pair.source, "migrate", os.O_WRONLY | os.O_CREAT, {}),
            (pair.destination, "migrate-incoming", os.O_RDONLY, {"exit-on-error": False}),
        )
        for end, command, flags, more in ends:
            descriptor = os.open(image, flags, 0o600)
            end.client.send_fd_scm(descriptor)
            added = await end.execute("add-fd", fdset_id=7, opaque="image")
            os.close(descriptor)
            assert added["fdset-id"] == 7, added
            sets = await end.execute("query-fdsets")
            assert [s["fdset-id"] for s in sets] == [7], sets
            assert sets[0]["fds"][0]["opaque"] == "image", sets
            await end.execute(command, uri="file:/dev/fdset/7", **more)
            await end.complete()
            await end.execute("remove-fd", fdset_id=7)
            await end.eventually(lambda e=end: e.execute("query-fdsets"), [])
        assert pair.same_memory()


async def migrate_through_passed_sockets(source, destination):
    """A tunnel: both ends get one half of a connection under a name."""
    import socket

    async with Pair(source, destination) as pair:
        halves = socket.socketpair()
        for end, half in zip((pair.source, pair.destination), halves):
            end.client.send_fd_scm(half.fileno())
            await end.execute("getfd", fdname="tunnel")
            half.close()
        await pair.destination.execute("migrate-incoming", uri="fd:tunnel", exit_on_error=False)
        await pair.source.execute("migrate", uri="fd:tunnel")
        await pair.source.complete()
        await pair.destination.complete()
        assert pair.same_memory()


async def migrate_through_commands(source, destination):
    async with Pair(source, destination) as pair:
        image = pair.file("image.gz")
        await pair.source.execute("migrate", uri=f"exec:gzip -1 >'{image}'")
        await pair.source.complete()
        await pair.destination.execute("migrate-incoming", uri=f"exec:gzip -dc '{image}'")
        await pair.destination.complete()
        assert pair.same_memory()


async def cancel_and_migrate_again(source, destination):
    async with Pair(source, destination) as pair:
        await pair.source.set_parameters(max_bandwidth=1 << 20)
        await pair.source.execute("migrate", uri=f"file:{pair.file('slow')}")
        await pair.source.wait_for_status("active")
        await pair.source.execute("migrate_cancel")
        assert await pair.source.wait_for_status("cancelled", "failed", "completed") == "cancelled"
        assert pair.source.history() == ["setup", "active", "cancelling", "cancelled"]
        assert await pair.source.run_state() == "running"

        pair.source.log.clear()
        await pair.source.set_parameters(max_bandwidth=0)
        address = f"unix:{pair.file('migration')}"
        await pair.destination.execute("migrate-incoming", uri=address)
        await pair.source.execute("migrate", uri=address)
        await pair.source.complete()
        await pair.destination.complete()
        assert pair.same_memory()


async def a_paused_guest_stays_paused(source, destination):
    async with Pair(source, destination) as pair:
        await pair.source.execute("stop")
        pair.source.log.clear()
        await pair.source.execute("migrate", uri=f"file:{pair.file('image')}")
        await pair.source.complete()
        assert pair.source.history() == ["setup", "active", "device", "completed"]
        await pair.destination.execute("migrate-incoming", uri=f"file:{pair.file('image')}")
        await pair.destination.complete()
        assert await pair.destination.run_state() == "paused"
        assert "RESUME" not in pair.destination.history()
        assert pair.same_memory()


SCENARIOS = [
    live_migration_with_a_pause_before_the_switch,
    live_migration_over_tcp_resumes_by_itself,
    save_and_restore_sequentially,
    save_and_restore_as_mapped_ram,
    save_through_a_descriptor_set,
    migrate_through_passed_sockets,
    migrate_through_commands,
    cancel_and_migrate_again,
    a_paused_guest_stays_paused,
]
