"""Whether anything grew over a day: the last fifth of its samples beside the second, as ratios.

The first fifth is left out: there what is kept in memory fills up.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from bench.day.samples import Sample

__all__ = ["Verdict", "late_over_early"]


class Verdict(NamedTuple):
    """Ratios, late over early; what failed, and how often; and the handles before the load and after."""

    holds: Mapping[str, float]
    latency_p50: Mapping[str, float]
    latency_p99: Mapping[str, float]
    failures: Mapping[str, int]
    handles: tuple[int, int]

    @classmethod
    def of(
        cls, samples: Sequence[Sample], failures: Mapping[str, int], *, handles: tuple[int, int]
    ) -> Verdict:
        kinds = sorted({kind for sample in samples for kind in sample.times})
        return cls(
            holds={
                "memory": late_over_early(samples, lambda sample: sample.memory_mb),
                "handles": late_over_early(samples, lambda sample: sample.handles),
                "threads": late_over_early(samples, lambda sample: sample.threads),
            },
            latency_p50={kind: _latency(samples, kind, lambda times: times.p50) for kind in kinds},
            latency_p99={kind: _latency(samples, kind, lambda times: times.p99) for kind in kinds},
            failures=dict(failures),
            handles=handles,
        )

    @property
    def is_sound(self) -> bool:
        """Nothing failed, and nothing is held that was not before. Ratios are for people to judge."""
        before, after = self.handles
        return not self.failures and after <= before

    def sentences(self) -> Iterable[str]:
        """What people are told."""
        yield "The last fifth over the second: " + _list(self.holds)
        yield "Latency, p50, the same way: " + _list(self.latency_p50)
        yield "Latency, p99: " + _list(self.latency_p99)
        before, after = self.handles
        yield f"Open handles before the load: {before}; after it: {after}."
        yield from (f"Failed {count} times: {what}" for what, count in self.failures.items())

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**self._asdict(), "is_sound": self.is_sound}


def late_over_early(samples: Sequence[Sample], of: Callable[[Sample], float | None]) -> float:
    """The median of the last fifth over that of the second; 1 where there is too little to tell."""
    fifth = len(samples) // 5
    early = [value for sample in samples[fifth : 2 * fifth] if (value := of(sample)) is not None]
    late = [value for sample in samples[len(samples) - fifth :] if (value := of(sample)) is not None]
    if not early or not late:
        return 1.0
    return statistics.median(late) / statistics.median(early)


def _latency(samples: Sequence[Sample], kind: str, of: Callable[[Any], float]) -> float:
    return late_over_early(samples, lambda sample: of(sample.times[kind]) if kind in sample.times else None)


def _list(ratios: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
