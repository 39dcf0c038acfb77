"""map: from `migrate-incoming` to the guest running, with x-mapped-ram-restore=map and with copy."""

from guest import Guest
from machine import MIB, warm
from memory import verify_digest
from modes import MAPPED

PART = "map"
SPARSE_DATA = 1024  # MiB of the large guest that aren't zero, at most


def measure(run):
    size, large = run.options.size, run.options.sparse * 1024
    cases = [(f"copy, {title(size)}", "copy", size), (f"map, {title(size)}", "map", size)]
    if large:
        cases.append((f"map, {title(large)}, sparse", "map", large))
    for case, way, mebibytes in cases:
        run.attempt(
            PART, case, "Berth", lambda c=case, w=way, m=mebibytes: restore(run, c, w, m)
        )


def title(mebibytes):
    return f"{mebibytes // 1024} GiB" if mebibytes % 1024 == 0 else f"{mebibytes} MiB"


def restore(run, case, way, mebibytes):
    is_large = mebibytes != run.options.size
    image = sparse_image(run, mebibytes) if is_large else run.images[True]
    warm(image)
    run.settle()
    # Copying is what happens without the parameter.
    parameters = {"x-mapped-ram-restore": way} if way != "copy" else {}
    end = run.waiting("Berth", MAPPED, size=mebibytes, **parameters)
    with run.migrating(end, until=running) as metrics:
        end.execute("migrate-incoming", uri=f"file:{image}")
    end.wait_for_end()
    if run.is_last_round and not is_large:
        end.execute("stop")
        verify_digest(run, end, f"{PART}: {case}")
    run.close(end)
    return metrics


def running(end):
    """The guest runs before the migration says that it is completed."""
    passed = []
    while (event := end.next_event())["event"] != "RESUME":
        passed.append(event)
        if event["event"] == "MIGRATION" and event["data"]["status"] == "failed":
            break
    end.events = passed + end.events


def sparse_image(run, mebibytes):
    """A guest that uses little of its memory, saved by Berth: made once."""
    if "sparse" in run.images:
        return run.images["sparse"]
    size = mebibytes * MIB
    guest = Guest(
        run.programs["Berth"], run.directory, "-m", str(mebibytes),
        "-object", f"memory-backend-ram,id=ram,size={size}B", "-machine", "memory-backend=ram",
    )
    run.ends.append(guest.end)
    guest.fill("sequential", min(SPARSE_DATA * MIB, size // 2))
    guest.execute("object-del", id="writer")
    MAPPED.apply(guest.end)
    path = run.file("base-sparse")
    guest.execute("migrate", uri=f"file:{path}")
    guest.end.wait_for_end()
    run.close(guest.end)
    run.images["sparse"] = path
    return path
