"""`make bench-day`, W9: a day in the life of a server, in ten minutes: what does it look like after much of everything?

people   what is done: every kind of request, on trees that grow, branch and go
pacing   how often: evenly, about half of what the server can do
samples  what is looked at every few seconds
verdict  whether anything grew: late samples beside early ones
picture  the same as lines
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.day.pacing import capacity, settled, steadily
from bench.day.people import People
from bench.day.picture import day_chart
from bench.day.samples import Sampling
from bench.day.verdict import Verdict
from bench.noise import Noise
from bench.rounds import Manner, instruct
from bench.systems import catena, engine

__all__ = ["PACED", "live", "main"]

PACED = Manner(deltas=10, pace=0.05, model="paced")

_SETTINGS = {"CATENA_CHAINS__CACHE_BYTES": str(8 * 2**20)}
"""So little that it is full soon: what grows after that is something else."""

_SAMPLES_EACH = 5.0
_SHARE = 0.5
"""Of what the server can do."""


async def main(console: Console, *, minutes: float, out: Path | None) -> int:
    """Live a day, and print what became of the server. The exit status is 1 if something failed or is still held."""
    verdict, document = await live(console, seconds=minutes * 60)
    for sentence in verdict.sentences():
        console.print(sentence)
    if out is not None:
        _write(document, out)
    return 0 if verdict.is_sound else 1


def _write(document: dict[str, Any], out: Path) -> None:
    """All that was seen, and beside it the picture."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(document, indent=1) + "\n")
    out.with_suffix(".svg").write_text(day_chart(document["samples"]).draw())


async def live(console: Console, *, seconds: float) -> tuple[Verdict, dict[str, Any]]:
    """A day of so many seconds: what to think of it, and all that was seen."""
    noise = Noise()
    noise.look()
    async with engine() as direct, catena(direct, settings=_SETTINGS) as system:
        await instruct(direct, PACED)
        people = People(system.port)
        possible = await capacity(system, people, seconds=min(10.0, seconds / 6))
        rate = possible * _SHARE
        console.print(f"[dim]W9: about {possible:,.0f} a second are possible, {rate:,.0f} are asked for[/]")
        people.part()
        before = await settled(system, most=seconds)
        people.forget_times()
        async with Sampling(system, people, each=min(_SAMPLES_EACH, seconds / 25)) as sampling:
            await steadily(people.act, rate=rate, seconds=seconds)
        people.part()
        after = await settled(system, most=max(30.0, seconds / 10), wanted=before)
    noise.look()
    verdict = Verdict.of(sampling.samples, people.failures, handles=(before, after))
    return verdict, {
        "rate": rate,
        "possible": possible,
        "seconds": seconds,
        "verdict": verdict.document(),
        "noise": noise.document(),
        "samples": [sample.document() for sample in sampling.samples],
    }
