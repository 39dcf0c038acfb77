"""Berth's guests that write their memory: rates, limits, and how the writes are found."""

import asyncio
import os
import sys

from endpoint import LIMIT, MEMORY, Directory, Endpoint
from qemu.qmp import ExecuteError

RATE = 32  # MiB/s: half of the memory in a second, so that no page is written twice in one


def busy(command, directory, *properties, name="endpoint", options=()):
    """An endpoint whose guest writes, in memory of the endpoint alone."""
    workload = ",".join(["guest-workload", "id=writer", "memdev=ram", *properties])
    return Endpoint(
        command, directory, name, options=["-object", workload, *options], anonymous=True
    )


async def refused(end, command, **arguments):
    """Runs a command that must be refused, and returns the words of the refusal."""
    try:
        answer = await end.execute(command, **arguments)
    except ExecuteError as error:
        assert error.error_class == "GenericError", error.error_class
        return str(error)
    raise AssertionError(f"{command} {arguments} was accepted: {answer}")


async def workload(end):
    (info,) = await end.execute("x-query-workload")
    return info


async def until(end, what, is_so):
    """Asks until something is so."""
    deadline = asyncio.get_running_loop().time() + LIMIT
    while not (await is_so()):
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"{end.name}: waited in vain for {what}")
        await asyncio.sleep(0.005)


async def goes_on(end):
    """Waits until the guest has written more, then stops it and has its memory checked."""
    assert await end.run_state() == "running"
    writes = (await workload(end))["writes"]

    async def wrote():
        return (await workload(end))["writes"] > writes

    await until(end, "the workload to write", wrote)
    await end.execute("stop")
    info = await workload(end)
    assert info["verdict"] == "clean", info
    return info


async def a_rate_is_measured(command, **arguments):
    with Directory() as path:
        async with busy(command, path, "pattern=sequential", f"rate={RATE}M") as end:
            assert (await end.execute("query-dirty-rate"))["status"] == "unstarted"
            began = asyncio.get_running_loop().time()
            first = (await workload(end))["writes"]
            await end.execute("calc-dirty-rate", calc_time=1, **arguments)
            assert await refused(end, "calc-dirty-rate", calc_time=1, **arguments)

            async def measured():
                return (await end.execute("query-dirty-rate"))["status"] == "measured"

            await until(end, "a rate", measured)
            info = await end.execute("query-dirty-rate")
            # What it really wrote, should the machine have had no time for its rate.
            pages = (await workload(end))["writes"] - first
            actual = pages / 256 / (asyncio.get_running_loop().time() - began)
            assert actual / 2 <= info["dirty-rate"] <= max(actual, RATE) * 2, (info, actual)
            assert info["calc-time"] == 1 and info["calc-time-unit"] == "second", info
            await goes_on(end)
            return info


async def a_rate_is_measured_by_samples(command):
    info = await a_rate_is_measured(command, mode="page-sampling", sample_pages=16384)
    assert info["mode"] == "page-sampling" and info["sample-pages"] == 16384, info


async def a_rate_is_measured_by_dirty_pages(command):
    info = await a_rate_is_measured(command, mode="dirty-bitmap")
    assert info["mode"] == "dirty-bitmap" and "vcpu-dirty-rate" not in info, info


async def measurements_that_cannot_be_made_are_refused(command):
    with Directory() as path:
        async with busy(command, path) as end:
            assert "dirty-ring" in await refused(
                end, "calc-dirty-rate", calc_time=1, mode="dirty-ring"
            )
            await refused(end, "calc-dirty-rate", calc_time=0)
            await refused(end, "calc-dirty-rate", calc_time=61)
            await refused(
                end, "calc-dirty-rate", calc_time=49, calc_time_unit="millisecond"
            )
            await refused(end, "calc-dirty-rate", calc_time=1, sample_pages=0)
            await refused(
                end, "calc-dirty-rate", calc_time=1, mode="dirty-bitmap", sample_pages=512
            )
            assert (await end.execute("query-dirty-rate"))["status"] == "unstarted"
            await goes_on(end)


async def threads_of_workloads_are_limited_as_cpus(command):
    with Directory() as path:
        async with busy(command, path, "threads=2") as end:
            assert await end.execute("query-vcpu-dirty-limit") == []
            await end.execute("set-vcpu-dirty-limit", dirty_rate=4, cpu_index=1)
            (limit,) = await end.execute("query-vcpu-dirty-limit")
            assert (limit["cpu-index"], limit["limit-rate"]) == (1, 4), limit
            await end.execute("set-vcpu-dirty-limit", dirty_rate=2)

            async def slowed():
                limits = await end.execute("query-vcpu-dirty-limit")
                assert [l["limit-rate"] for l in limits] == [2, 2], limits
                return all(l["current-rate"] <= 4 for l in limits)

            await until(end, "the threads to slow down", slowed)
            for index in (-1, 2):
                await refused(end, "set-vcpu-dirty-limit", dirty_rate=1, cpu_index=index)
                await refused(end, "cancel-vcpu-dirty-limit", cpu_index=index)
            await end.execute("cancel-vcpu-dirty-limit", cpu_index=0)
            (limit,) = await end.execute("query-vcpu-dirty-limit")
            assert limit["cpu-index"] == 1, limit
            await end.execute("cancel-vcpu-dirty-limit")
            assert await end.execute("query-vcpu-dirty-limit") == []

            async def fast():
                return (await workload(end))["throughput"] > 64 << 20

            await until(end, "the threads to be fast again", fast)
            await goes_on(end)


async def the_way_writes_are_found_can_be_chosen(command):
    with Directory() as path:
        async with busy(command, path, f"rate={RATE}M") as end:
            for mode, mechanisms in (("software", ["software"]), ("kernel", ["kernel"])):
                await end.set_parameters(x_dirty_tracking=mode)
                (block,) = await end.execute("x-query-dirty-tracking")
                assert block["mechanisms"] == mechanisms, block
                assert not block["active"] and block["kernel"] and block["snapshot"], block
                await end.execute("migrate", uri=f"file:{path}/{mode}")
                await end.complete()
                assert (await workload(end))["verdict"] == "clean"
                options = ["-S", "-incoming", "defer"]
                async with busy(
                    command, path, f"rate={RATE}M", name=f"after-{mode}", options=options
                ) as restored:
                    await restored.execute("migrate-incoming", uri=f"file:{path}/{mode}")
                    await restored.complete()
                    await same_memory(end, restored)
                end.log.clear()
                await end.execute("cont")
            await goes_on(end)


async def same_memory(source, destination):
    left, came = await workload(source), await workload(destination)
    assert came["verdict"] == "clean" and came["writes"] == left["writes"], (left, came)
    digests = [await end.execute("x-query-ram-digest") for end in (source, destination)]
    assert digests[0] == digests[1], digests


async def the_human_monitor_tells_it_in_lines(command):
    with Directory() as path:
        async with busy(command, path, f"rate={RATE}M") as end:

            async def say(line):
                return await end.execute("human-monitor-command", command_line=line)

            text = await say("info workloads")
            assert "writer" in text and "increment" in text, text
            text = await say("info dirty_tracking")
            assert "ram" in text and "software" in text, text
            await say("calc_dirty_rate 1")

            async def measured():
                return "Status: measured" in await say("info dirty_rate")

            await until(end, "a rate", measured)
            assert "Dirty rate: " in await say("info dirty_rate")
            await say("set_vcpu_dirty_limit 3")
            assert "limit rate 3 (MB/s)" in await say("info vcpu_dirty_limit")
            await say("cancel_vcpu_dirty_limit")
            assert "limit rate" not in await say("info vcpu_dirty_limit")
            await end.execute("stop")
            assert "clean" in await say("info workloads")


async def without_userfaultfd_a_snapshot_is_refused_in_words(command):
    launcher = os.path.join(os.path.dirname(__file__), "without_userfaultfd.py")
    with Directory() as path:
        async with busy([sys.executable, launcher, *command], path) as end:
            (block,) = await end.execute("x-query-dirty-tracking")
            assert not block["snapshot"] and not block["kernel"], block
            assert "userfaultfd" in block["snapshot-obstacle"], block
            assert "userfaultfd" in block["kernel-obstacle"], block

            image = os.path.join(path, "image")
            await end.set_capabilities(background_snapshot=True)
            reason = await refused(end, "migrate", uri=f"file:{image}")
            assert "userfaultfd" in reason, reason
            assert "seccomp" in await hint_of(end, f"migrate file:{image}"), "no way out named"
            assert await end.execute("query-migrate") == {}
            assert end.statuses() == [] and not os.path.exists(image)
            await goes_on(end)
            await end.execute("cont")

            # Nothing else needs it, unless it is asked for.
            await end.set_capabilities(background_snapshot=False)
            await end.set_parameters(x_dirty_tracking="kernel")
            assert "userfaultfd" in await refused(end, "migrate", uri=f"file:{image}")
            await end.set_parameters(x_dirty_tracking="auto", downtime_limit=60000)
            await end.execute("migrate", uri=f"file:{image}")
            await end.complete()
            assert (await workload(end))["verdict"] == "clean"


async def hint_of(end, line):
    """What the human monitor adds to an error; QMP has no place for it."""
    return await end.execute("human-monitor-command", command_line=line)


SCENARIOS = [
    a_rate_is_measured_by_samples,
    a_rate_is_measured_by_dirty_pages,
    measurements_that_cannot_be_made_are_refused,
    threads_of_workloads_are_limited_as_cpus,
    the_way_writes_are_found_can_be_chosen,
    the_human_monitor_tells_it_in_lines,
    without_userfaultfd_a_snapshot_is_refused_in_words,
]
