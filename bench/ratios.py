"""`python -m bench.ratios RESULT.json … [--write]`: what grows with what, as the table of docs/performance.md.

Each ratio is what something costs where there is much, over what it costs where there is little. `--write` puts the
table into the page.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from bench.kept import put_into_page
from bench.systems import ON_POSTGRES

__all__ = ["main", "table"]

_SIZED: Final = {
    "W2 depth": ("a turn, in milliseconds", "turns before it", "ms_at_"),
    "growth: siblings": ("a turn, in processor time", "turns beside it", "cpu_us_at_"),
    "growth: followers": (
        "a delta for one more follower, in processor time",
        "followers",
        "another_cpu_us_at_",
    ),
}
"""Workloads with figures whose names end with how much there is: what each is of, and what there is much of."""

_STORED: Final = {
    "W8 a commit": ("a commit, in milliseconds", "ms_p50", "empty_ms_p50"),
    "W8 chains": ("a turn of 16 chains, in milliseconds", "empty_per_s", "per_s"),
}
"""Workloads on a store with many turns and on one with none: the ratio of two figures."""

_Result: TypeAlias = Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]]


def main(arguments: Sequence[str]) -> int:
    """Print the table, or write it into the page. Returns the exit status."""
    figures: dict[str, Any] = {}
    for path in arguments:
        if path != "--write":
            figures |= json.loads(Path(path).read_text())["figures"]
    told = table(figures)
    if "--write" in arguments:
        put_into_page({"growth": told})
    else:
        print(told, end="")
    return 0


def table(figures: _Result) -> str:
    """Of the figures of a result, in Markdown."""
    lines = ["| what | with | ratio, SQLite | ratio, PostgreSQL |", "| --- | --- | ---: | ---: |"]
    return "\n".join([*lines, *_sized(figures), *_stored(figures)]) + "\n"


def _sized(figures: _Result) -> Iterator[str]:
    for beginning, (what, much, prefix) in _SIZED.items():
        for systems in _workloads(figures, beginning):
            sizes = sorted(
                {
                    int(name.removeprefix(prefix))
                    for found in systems.values()
                    for name in found
                    if name.startswith(prefix)
                }
            )
            few, many = f"{prefix}{sizes[0]}", f"{prefix}{sizes[-1]}"
            yield _row(what, f"{sizes[-1]:,} {much}, over {sizes[0]:,}", systems, many, few)


def _stored(figures: _Result) -> Iterator[str]:
    for before in _workloads(figures, "W8 stored before"):
        turns = statistics.median(before["catena"]["turns"])
        for beginning, (what, many, few) in _STORED.items():
            for systems in _workloads(figures, beginning):
                yield _row(what, f"{turns:,.0f} turns stored, over none", systems, many, few)


def _workloads(figures: _Result, beginning: str) -> Iterator[Mapping[str, Mapping[str, Sequence[float]]]]:
    return (systems for workload, systems in figures.items() if workload.startswith(beginning))


def _row(
    what: str, with_what: str, systems: Mapping[str, Mapping[str, Sequence[float]]], many: str, few: str
) -> str:
    ratios = (
        f"{statistics.median(found[many]) / statistics.median(found[few]):.2f}"
        if many in (found := systems.get(system, {})) and few in found
        else ""
        for system in ("catena", ON_POSTGRES)
    )
    return f"| {what} | {with_what} | {' | '.join(ratios)} |"


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
