"""save: from `migrate` to `completed`, into a new file, in every mode."""

import os

from memory import verify_image
from modes import BERTH_ONLY, FILES

PART = "save"


def measure(run):
    for mode in FILES:
        for program in run.turns():
            if program == "Berth" or mode not in BERTH_ONLY:
                run.attempt(PART, mode.name, program, lambda m=mode, p=program: save(run, m, p))


def save(run, mode, program):
    path = run.file("saved")
    end = run.holder(program)
    run.settle(path)
    stand_still(end)
    mode.apply(end)
    end.forget_events()
    guest = end.guest_resident(run.size)
    end.forget_peak()
    with run.migrating(end) as metrics:
        end.execute("migrate", uri=f"file:{path}")
    metrics["beyond guest"] = end.peak() - guest
    metrics["image"] = os.stat(path).st_blocks * 512
    if program == "Berth" and run.is_last_round:
        verify_image(run, path, mode, f"{PART}: {mode.name}")
    run.remove(path)
    return metrics


def stand_still(end):
    """Stops the guest. After a migration an endpoint wants to be continued before the next."""
    end.execute("cont")
    end.execute("stop")
