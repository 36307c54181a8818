"""Whether it is the server that a figure tells of: how many times more generator and engine can do than it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

__all__ = ["ENOUGH", "headroom"]

ENOUGH: Final = 5.0
"""How many times more they should be able to do."""

_Medians: TypeAlias = Mapping[str, Mapping[str, float]]


def headroom(medians: _Medians) -> float | None:
    """How many times more, by the figures of one workload, by systems; the least of them, and None where none tells.

    Where the engine was asked directly, it did so many times more in a second. Elsewhere, and where the pace was given,
    the server took so many times more of its core for a unit than both took of theirs.
    """
    ours, direct = medians.get("catena", {}), medians.get("direct", {})
    known = [_ratio(direct[name], ours[name]) for name in ours if name.endswith("per_s") and name in direct]
    if not known:
        costs = ((name, name.removesuffix("cpu_us") + "load_us") for name in ours if name.endswith("cpu_us"))
        known = [_ratio(ours[cost], ours[load]) for cost, load in costs if load in ours]
    return min((times for times in known if times is not None), default=None)


def _ratio(dividend: float, divisor: float) -> float | None:
    return dividend / divisor if divisor > 0 else None
