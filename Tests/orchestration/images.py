"""Guests that run from an image which nobody has read, as an orchestrator would keep many of them."""

import os

from endpoint import MEMORY, Directory, Endpoint, write_memory

CHANGED = "X_MAPPED_RAM_IMAGE_CHANGED"


async def guests_run_from_one_image_until_it_changes(command):
    with Directory() as path:
        image = os.path.join(path, "image")
        memory = write_memory(os.path.join(path, "memory"), seed=path)
        async with Endpoint(command, path, "source", memory=memory) as source:
            await source.set_capabilities(mapped_ram=True)
            await source.execute("migrate", uri=f"file:{image}")
            await source.complete()
            (block,) = (await source.execute("x-query-mapped-ram"))["save"]["blocks"]
            assert block["size"] == MEMORY and block["means"] in ("copied", "shared"), block
            (digest,) = await source.execute("x-query-ram-digest")

        async with from_image(command, path, "first") as first, \
                from_image(command, path, "second") as second:
            for end in (first, second):
                await restore(end, image)
                await end.execute("stop")
                assert await end.execute("x-query-ram-digest") == [digest]
                await end.execute("cont")
            await first.eventually(lambda: prefetch(first), ("completed", block["present"]))

            with open(image, "ab") as file:
                file.write(b"\0")
            for end in (first, second):
                await end.eventually(lambda e=end: events(e), [(CHANGED, f"file:{image}")])
                assert await end.run_state() == "internal-error"
                assert (await end.execute("x-query-mapped-ram"))["load"]["changed"]
                assert "was changed while" in end.said(), end.said()
                assert await end.quit() == 0


def from_image(command, path, name):
    return Endpoint(command, path, name, options=("-incoming", "defer"), anonymous=True)


async def restore(end, image):
    await end.set_capabilities(mapped_ram=True)
    await end.set_parameters(x_mapped_ram_restore="map", x_mapped_ram_prefetch=True)
    await end.execute("migrate-incoming", uri=f"file:{image}", exit_on_error=False)
    await end.complete()
    (block,) = (await end.execute("x-query-mapped-ram"))["load"]["blocks"]
    assert block["means"] == "mapped", block


async def prefetch(end):
    load = (await end.execute("x-query-mapped-ram"))["load"]
    return load["prefetch"], load["prefetched"]


async def events(end):
    return [(e["event"], e["data"]["image"]) for e in end.log if e["event"] == CHANGED]


SCENARIOS = [guests_run_from_one_image_until_it_changes]
