"""What is looked at every few seconds: what the server holds, and how long people waited since."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NamedTuple

from bench.day.people import People
from bench.systems import Process
from bench.workloads import quantile

__all__ = ["Sample", "Sampling", "Times"]


class Times(NamedTuple):
    """Milliseconds of what was done of one kind since the sample before, and how many times it was."""

    p50: float
    p99: float
    times: int


class Sample(NamedTuple):
    """One look. `seconds` are those since the beginning."""

    seconds: float
    memory_mb: float
    handles: int
    threads: int
    stored_bytes: int
    cpu_seconds: float
    times: Mapping[str, Times]

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**self._asdict(), "times": {kind: times._asdict() for kind, times in self.times.items()}}


class Sampling:
    """Looks again and again while its context lasts."""

    def __init__(self, system: Process, people: People, *, each: float) -> None:
        self.samples: list[Sample] = []
        self._system = system
        self._people = people
        self._each = each
        self._begun = 0.0
        self._looking: asyncio.Task[None]

    async def __aenter__(self) -> Sampling:
        self._begun = time.perf_counter()
        self._looking = asyncio.create_task(self._look_again_and_again())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._looking.cancel()
        await asyncio.wait([self._looking])

    async def _look_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(self._each)
            self.samples.append(self._look())

    def _look(self) -> Sample:
        system = self._system
        times = {
            kind: Times(quantile(took, 0.5), quantile(took, 0.99), len(took))
            for kind, took in sorted(self._people.forget_times().items())
        }
        return Sample(
            seconds=time.perf_counter() - self._begun,
            memory_mb=system.own_memory(),
            handles=system.handles(),
            threads=system.threads(),
            stored_bytes=system.stored(),
            cpu_seconds=system.cpu(),
            times=times,
        )
