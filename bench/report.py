"""Medians over the rounds, ratios to another system, one table and a JSON file."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench.headroom import ENOUGH, headroom
from bench.noise import Noise
from bench.systems import ON_POSTGRES
from bench.workloads import Figures

__all__ = ["Report"]

_COLUMNS: Final = {
    "catena": "catena (SQLite)",
    ON_POSTGRES: ON_POSTGRES,
    "floor": "floor",
    "direct": "direct",
}
"""The systems of the table, with what stands above them."""


class Report:
    """Figures by workload, system and name, a value for each round; and how quiet it was meanwhile."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, dict[str, list[float]]]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(list))
        )
        self._begun = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._load_before = os.getloadavg()[0]
        self.noise = Noise()
        self.failures: list[str] = []
        """What could not be measured, and why."""
        self.about: dict[str, object] = {}
        """What else the file has to say."""

    def add(self, workload: str, system: str, figures: Figures) -> None:
        for name, value in figures.items():
            self._values[workload][system][name].append(value)

    def medians(self) -> Iterator[tuple[str, str, dict[str, float]]]:
        """Each workload and figure that a reader wants, with the medians by system."""
        for workload, systems in self._values.items():
            names = dict.fromkeys(name for figures in systems.values() for name in figures)
            for name in names:
                if not name.endswith("load_us"):  # that is for the headroom
                    yield workload, name, self._medians(workload, name)

    def headrooms(self) -> dict[str, float]:
        """How many times more than Catena generator and engine can do, by workload, where both are known."""
        found = {
            workload: headroom(
                {
                    system: {name: statistics.median(values) for name, values in figures.items()}
                    for system, figures in systems.items()
                }
            )
            for workload, systems in self._values.items()
        }
        return {workload: times for workload, times in found.items() if times is not None}

    def show(self, console: Console) -> None:
        """The table, and below it how far it can be trusted."""
        present = {system for systems in self._values.values() for system in systems}
        columns = {system: title for system, title in _COLUMNS.items() if system in present}
        console.print(self._table(columns))
        for sentence in self._below():
            console.print(sentence)

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        document: dict[str, Any] = {
            "begun": self._begun,
            "machine": {
                "cores": os.cpu_count(),
                "python": platform.python_version(),
                "load": self._load_before,
            },
            "noise": self.noise.document(),
            "headroom": self.headrooms(),
            "failures": self.failures,
            **self.about,
            "figures": self._values,
        }
        path.write_text(json.dumps(document, indent=1) + "\n")

    def _medians(self, workload: str, name: str) -> dict[str, float]:
        systems = self._values[workload]
        return {
            system: statistics.median(figures[name]) for system, figures in systems.items() if name in figures
        }

    def _table(self, columns: dict[str, str]) -> Table:
        table = Table(box=None, pad_edge=False)
        for number, title in enumerate(
            ("workload", "figure", *columns.values(), "SQLite / floor", "spread", "headroom")
        ):
            table.add_column(title, no_wrap=number < 2, justify="left" if number < 2 else "right")
        headrooms, before = self.headrooms(), ""
        for workload, name, medians in self.medians():
            is_first, before = workload != before, workload
            ours, floor = medians.get("catena"), medians.get("floor")
            table.add_row(
                workload if is_first else "",
                name,
                *(_cell(medians.get(system)) for system in columns),
                f"{ours / floor:.2f}" if ours is not None and floor else "",
                self._spread(workload, name),
                f"{headrooms[workload]:.1f}" if is_first and workload in headrooms else "",
            )
        return table

    def _spread(self, workload: str, name: str) -> str:
        """Of the system that it is largest for."""
        spreads = [
            max(values) / min(values)
            for figures in self._values[workload].values()
            if len(values := figures.get(name, ())) > 1 and min(values) > 0
        ]
        return f"{max(spreads):.2f}" if spreads else ""

    def _below(self) -> Iterable[str]:
        yield (
            "Medians of the rounds; spread: the largest of them over the smallest. Headroom: how many times more than "
            "Catena the generator and the engine can do by themselves."
        )
        narrow = {workload: times for workload, times in self.headrooms().items() if times < ENOUGH}
        if narrow:
            told = ", ".join(f"{workload} ({times:.1f})" for workload, times in narrow.items())
            yield f"Headroom below {ENOUGH}, so that the rows may tell of the generator as well: {told}."
        yield from self.noise.sentences()
        yield from (f"Not measured: {failure}" for failure in self.failures)


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.1f}" if value >= 10 else f"{value:,.2f}"
