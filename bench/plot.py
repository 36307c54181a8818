"""`python -m bench.plot RESULT.json … OUT.svg`: what a turn takes at a depth, as a picture, for all systems of results.

Files that come later add to those before; where two have the same system, the later one is taken. A system that refuses
to go on, or that takes too long, has a mark at its end; so has one that goes on with a part of the history, where its
figures end to mean the same.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from bench.svg import Axis, Chart, Series
from bench.workloads import DEPTHS

__all__ = ["depth_chart", "main", "series_of"]

_Figures: TypeAlias = Mapping[str, Sequence[float]]

_PREFIX: Final = "W2 depth"
_NAMES: Final = {"catena": "Catena (SQLite)", "catena (PostgreSQL)": "Catena (PostgreSQL)"}


def main(arguments: Sequence[str]) -> int:
    """Write the picture. Returns the exit status."""
    *results, out = map(Path, arguments)
    found: dict[str, Series] = {}
    for path in results:
        for series in series_of(json.loads(path.read_text())):
            found.pop(series.name, None)
            found[series.name] = series
    if not found:
        print(f"no turns at depths in {', '.join(map(str, results)) or 'no files'}", file=sys.stderr)
        return 1
    out.write_text(depth_chart(sorted(found.values(), key=_order)).draw())
    return 0


def series_of(document: Mapping[str, Any]) -> Iterator[Series]:
    """A line for each system of a result."""
    for workload, systems in document["figures"].items():
        if workload.startswith(_PREFIX):
            for system, figures in systems.items():
                series = _series(_NAMES.get(system, system), figures, asked=_turns(workload))
                if series.points:
                    yield series


def depth_chart(series: Sequence[Series]) -> Chart:
    """Both axes logarithmic: some systems need a hundred times as long as others, and depths double."""
    values = [value for each in series for _, value in each.points]
    lowest, highest = _decade(min(values), math.floor), _decade(max(values), math.ceil)
    decades = round(math.log10(highest / lowest))
    return Chart(
        "A turn, by how many came before it",
        Axis("turns before (logarithmic)", 1, DEPTHS[-1], DEPTHS, logarithmic=True),
        Axis(
            "milliseconds (logarithmic)",
            lowest,
            highest,
            [lowest * 10**power for power in range(decades + 1)],
            logarithmic=True,
        ),
        series,
    )


def _series(name: str, figures: _Figures, *, asked: int) -> Series:
    """The medians of all rounds, as far as all of the history was sent."""
    reached = min(figures.get("reached", [float(asked)]))
    whole_to = min(figures.get("whole_to", [float(asked)]))
    wanted = [place for place in DEPTHS if place <= asked]
    points = [
        (float(place), statistics.median(figures[f"ms_at_{place}"]))
        for place in wanted
        if place <= whole_to and f"ms_at_{place}" in figures
    ]
    ended = ""
    if reached < wanted[-1]:
        ended = f"ended at {reached:.0f}"
    elif whole_to < wanted[-1]:
        ended = "history cut"
    return Series(name, points, ended)


def _turns(workload: str) -> int:
    """How deep its chains were to be: "W2 depth 2x1000"."""
    return int(workload.rpartition("x")[2].split()[0])


def _order(series: Series) -> tuple[bool, str]:
    return not series.name.startswith("Catena"), series.name


def _decade(value: float, rounded: Any) -> float:
    return float(10.0 ** rounded(math.log10(value)))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
