"""live: from `migrate` to `completed` on the source, over sockets, with a guest that runs."""

from memory import verify_digest
from modes import SOCKETS

PART = "live"
TRANSPORTS = ("unix", "tcp")
MIXED = (("Berth", "QEMU"), ("QEMU", "Berth"))


def measure(run):
    for mode in SOCKETS:
        for transport in TRANSPORTS:
            case = f"{transport}, {mode.name}"
            pairs = [(program, program) for program in run.turns()]
            # Which end is the one that is waited for: over one kind of socket that is told as well.
            if transport == "unix" and mode.channels <= 2:
                pairs += MIXED
            for source, destination in pairs:
                who = source if source == destination else f"{source} to {destination}"
                run.attempt(
                    PART, case, who,
                    lambda m=mode, t=transport, s=source, d=destination: send(run, m, t, s, d, case),
                )


def send(run, mode, transport, source, destination, case):
    end = run.holder(source)
    run.settle()
    end.execute("cont")
    mode.apply(end)
    end.forget_events()
    other = run.waiting(destination, mode, "-S")
    address = listen(run, other, transport)
    guest = end.guest_resident(run.size)
    end.forget_peak()
    with run.migrating(end, other) as metrics:
        end.execute("migrate", uri=address)
    metrics["downtime"] = end.execute("query-migrate")["downtime"] / 1e3
    metrics["beyond guest"] = end.peak() - guest
    if source == destination == "Berth" and run.is_last_round:
        verify_digest(run, other, f"{PART}: {case}")
    run.close(other)
    return metrics


def listen(run, end, transport):
    if transport == "unix":
        address = f"unix:{run.file('socket')}"
        end.execute("migrate-incoming", uri=address)
        return address
    end.execute("migrate-incoming", uri="tcp:127.0.0.1:0")
    port = end.execute("query-migrate")["socket-address"][0]["port"]
    return f"tcp:127.0.0.1:{port}"
