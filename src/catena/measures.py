"""Numbers that are counted where things happen, and read when somebody looks.

Counting is an addition in plain Python and takes no lock: all of it happens on the event loop. What the numbers are
called, and in which form they are shown, is decided where they are read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

__all__ = ["DEPTHS", "SECONDS", "Histogram"]

SECONDS: Final = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
)
DEPTHS: Final = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Histogram:
    """How often a value was at most each of `bounds`; the last count is of those above all of them."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Each bound as text with how many values were not above it; the last is "+Inf" with all of them."""
        names = [*(f"{float(bound)}" for bound in self.bounds), "+Inf"]
        return list(zip(names, accumulate(self.counts), strict=True))
