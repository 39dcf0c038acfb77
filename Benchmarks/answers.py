"""endpoint: how soon a program starts and answers, and what it takes at rest."""

import statistics
import time

from modes import SEQUENTIAL
from qmp import Failure
from saves import stand_still

PART = "endpoint"
START, ANSWER, ANSWER_IN_SAVE, REST = (
    "start to negotiated QMP", "query-migrate at rest", "query-migrate during a save",
    "resident at rest",
)


def measure(run):
    cases = [(START, start), (ANSWER, answer), (ANSWER_IN_SAVE, answer_in_save), (REST, rest)]
    for case, function in cases:
        for program in run.turns():
            run.attempt(PART, case, program, lambda f=function, p=program: f(run, p))


def start(run, program):
    times = []
    for _ in range(5):
        end = run.start(program, "-m", "64")
        times.append(end.start_time)
        run.close(end)
    return {"seconds": statistics.median(times)}


def answer(run, program):
    end = run.start(program, "-m", "64")
    times = [asked(end)[0] for _ in range(1000)]
    run.close(end)
    return {"seconds": statistics.median(times), "longest": max(times)}


def answer_in_save(run, program):
    path = run.file("saved")
    end = run.holder(program)
    run.settle(path)
    stand_still(end)
    SEQUENTIAL.apply(end)
    end.execute("migrate", uri=f"file:{path}")
    times, status = [], None
    while status != "completed":
        if status in ("failed", "cancelled"):
            raise Failure(f"the save {status}")
        time.sleep(0.001)
        took, status = asked(end)
        times.append(took)
    run.remove(path)
    return {"seconds": statistics.median(times), "longest": max(times)}


def asked(end):
    """Seconds that the answer took, and the status that it gave."""
    began = time.perf_counter()
    info = end.execute("query-migrate")
    return time.perf_counter() - began, info.get("status")


def rest(run, program):
    end = run.start(program, "-m", "64")
    total, anonymous = end.resident()
    run.close(end)
    return {"resident": total, "anonymous": anonymous}
