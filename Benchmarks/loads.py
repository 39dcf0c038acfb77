"""load: from `migrate-incoming` to `completed`, into memory never touched before, in every mode."""

from machine import warm
from memory import verify_digest
from modes import BERTH_ONLY, FILES

PART = "load"


def measure(run):
    for mode in FILES:
        for program in run.turns():
            if program == "Berth" or mode not in BERTH_ONLY:
                run.attempt(PART, mode.name, program, lambda m=mode, p=program: load(run, m, p))


def load(run, mode, program):
    image = run.images[mode.mapped]
    # For direct-io too: what the page cache holds doesn't help there, and should not differ.
    warm(image)
    run.settle()
    end = run.waiting(program, mode, "-S")
    with run.migrating(end) as metrics:
        end.execute("migrate-incoming", uri=f"file:{image}")
    if program == "Berth" and run.is_last_round:
        verify_digest(run, end, f"{PART}: {mode.name}")
    run.close(end)
    return metrics
