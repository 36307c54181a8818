"""How quiet the machine was: the same few milliseconds of work, again and again between the rounds.

What they take differs only by what else the machine does. So their spread says how far figures of the same run can be
trusted; the load and the time that a host took away (*steal*) say why.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

__all__ = ["QUIET", "Noise"]

QUIET: Final = 1.25
"""The spread up to which figures of one run can be compared."""

_STEPS: Final = 100_000


class Noise:
    """What `look` has found so far."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._loads: list[float] = [os.getloadavg()[0]]
        self._ticks = _ticks()

    def look(self) -> None:
        """Do the fixed work on each core, while nothing else of the measuring does anything."""
        allowed = os.sched_getaffinity(0)
        try:
            for core in range(os.cpu_count() or 1):
                os.sched_setaffinity(0, {core})
                self._times.append(_fixed_work())
        finally:
            os.sched_setaffinity(0, allowed)
        self._loads.append(os.getloadavg()[0])

    @property
    def spread(self) -> float:
        """The longest over the shortest time, but for the longest one in a hundred; 1 where nothing was seen."""
        times = sorted(self._times)
        return times[int(len(times) * 0.99) - 1 if len(times) >= 100 else -1] / times[0] if times else 1.0

    @property
    def steal(self) -> float:
        """The share of all cores' time that the host gave to others."""
        total, stolen = (now - before for now, before in zip(_ticks(), self._ticks, strict=True))
        return stolen / total if total else 0.0

    def document(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return {
            "fixed_work_ms": [round(taken, 3) for taken in self._times],
            "spread": self.spread,
            "load": {"before": self._loads[0], "highest": max(self._loads)},
            "steal": self.steal,
        }

    def sentences(self) -> Iterable[str]:
        """The same in words, for people."""
        if not self._times:
            return
        yield (
            f"Noise of the machine: a fixed piece of work took {self.spread:.2f} times as long at worst as at best. "
            f"Load: {self._loads[0]:.1f} before, {max(self._loads):.1f} at most, on {os.cpu_count()} cores; "
            f"steal: {self.steal:.1%}."
        )
        if self.spread > QUIET:
            yield f"That is more than {QUIET}: the machine did something else. Compare counts, or measure again."


def _fixed_work() -> float:
    """Milliseconds."""
    begun = time.perf_counter()
    total = 0
    for number in range(_STEPS):
        total += number & 7
    return (time.perf_counter() - begun) * 1e3


def _ticks() -> tuple[int, int]:
    """Of all cores since the machine was started: all that passed, and what was stolen."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(fields), fields[7]
