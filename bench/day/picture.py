"""A day as lines: each thing that was sampled, over what it was early in the day. If nothing grows, they are flat."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from bench.svg import Axis, Chart, Series

__all__ = ["day_chart"]

_TICKS: Final = (0.2, 0.5, 1, 2, 5)

_LINES: Final[Mapping[str, Callable[[Mapping[str, Any]], float]]] = {
    "memory": lambda sample: sample["memory_mb"],
    "open handles": lambda sample: sample["handles"],
    "threads": lambda sample: sample["threads"],
    "latency, p50": lambda sample: _latency(sample, "p50"),
    "latency, p99": lambda sample: _latency(sample, "p99"),
}


def day_chart(samples: Sequence[Mapping[str, Any]]) -> Chart:
    """The samples as the result file has them."""
    minutes = max(sample["seconds"] for sample in samples) / 60
    return Chart(
        "A day in the life of a server",
        Axis("minutes", 0, minutes, [round(minutes * fifth / 5, 2) for fifth in range(6)]),
        Axis("times what it was in the second fifth (logarithmic)", _TICKS[0], _TICKS[-1], _TICKS, True),
        [_line(name, samples, of) for name, of in _LINES.items()],
    )


def _line(
    name: str, samples: Sequence[Mapping[str, Any]], of: Callable[[Mapping[str, Any]], float]
) -> Series:
    values = [of(sample) for sample in samples]
    fifth = max(1, len(values) // 5)
    usual = statistics.median(values[fifth : 2 * fifth] or values) or 1.0
    shares = [min(max(value / usual, _TICKS[0]), _TICKS[-1]) for value in values]
    return Series(
        name,
        [(sample["seconds"] / 60, share) for sample, share in zip(samples, shares, strict=True)],
    )


def _latency(sample: Mapping[str, Any], which: str) -> float:
    """Of all kinds, each as often as it was done."""
    times = sample["times"].values()
    count = sum(each["times"] for each in times)
    return sum(each[which] * each["times"] for each in times) / count if count else 0.0
