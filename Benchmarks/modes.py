"""The ways to save, to load and to send that are compared."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Mode:
    """Capabilities and parameters, under the name of the table's row."""

    name: str
    mapped: bool = False
    channels: int = 0
    direct: bool = False

    def apply(self, end, **parameters):
        """Sets all of it; an end that doesn't have what is needed refuses."""
        end.capabilities(events=True, mapped_ram=self.mapped, multifd=self.channels > 0)
        if self.channels:
            parameters["multifd-channels"] = self.channels
        # What was set for the mode before must go; what was never set needs no word.
        if self.direct or getattr(end, "is_direct", False):
            end.execute("migrate-set-parameters", **{"direct-io": self.direct})
            end.is_direct = self.direct
        end.execute("migrate-set-parameters", **{"max-bandwidth": 0, **parameters})


SEQUENTIAL = Mode("sequential")
MAPPED = Mode("mapped-ram", mapped=True)
DIRECT = Mode("mapped-ram, direct-io", mapped=True, direct=True)

FILES = (
    SEQUENTIAL,
    MAPPED,
    Mode("mapped-ram, multifd 2", mapped=True, channels=2),
    Mode("mapped-ram, multifd 4", mapped=True, channels=4),
    DIRECT,
    Mode("mapped-ram, multifd 2, direct-io", mapped=True, channels=2, direct=True),
    Mode("mapped-ram, multifd 4, direct-io", mapped=True, channels=4, direct=True),
)

SOCKETS = (Mode("one channel"), Mode("multifd 2", channels=2), Mode("multifd 4", channels=4))

# QEMU takes direct-io only with multifd.
BERTH_ONLY = (DIRECT,)
