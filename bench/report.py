"""Medians over the rounds, ratios to another system, one table and a JSON file."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.workloads import Figures

__all__ = ["Report"]


class Report:
    """Figures by workload, system and name, a value for each round."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, dict[str, list[float]]]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(list))
        )
        self._begun = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._load_before = os.getloadavg()[0]

    def add(self, workload: str, system: str, figures: Figures) -> None:
        for name, value in figures.items():
            self._values[workload][system][name].append(value)

    def show(self, console: Console) -> None:
        table = Table(box=None, pad_edge=False)
        for name in ("workload", "figure", "catena", "floor", "direct", "catena / floor", "spread"):
            table.add_column(
                name, no_wrap=True, justify="left" if name in ("workload", "figure") else "right"
            )
        for workload, systems in self._values.items():
            for name in systems["catena"]:
                table.add_row(workload, name, *self._row(systems, name))
        console.print(table)
        console.print(
            f"Medians. Load of the machine before: {self._load_before:.1f} on {os.cpu_count()} cores; what the spread "
            "(largest / smallest round) says is how far to trust a row."
        )

    def medians(self) -> Iterator[tuple[str, str, dict[str, float]]]:
        """Each workload and figure, with the medians by system."""
        for workload, systems in self._values.items():
            for name in systems["catena"]:
                yield (
                    workload,
                    name,
                    {
                        system: statistics.median(values[name])
                        for system, values in systems.items()
                        if name in values
                    },
                )

    def _row(self, systems: dict[str, dict[str, list[float]]], name: str) -> list[str]:
        medians = {
            system: statistics.median(values[name]) for system, values in systems.items() if name in values
        }
        cells = [
            f"{medians[system]:,.1f}" if system in medians else "" for system in ("catena", "floor", "direct")
        ]
        ratio = f"{medians['catena'] / medians['floor']:.2f}" if medians.get("floor") else ""
        values = systems["catena"][name]
        return [*cells, ratio, f"{max(values) / min(values):.2f}" if min(values) > 0 else ""]

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        document: dict[str, Any] = {
            "begun": self._begun,
            "machine": {
                "cores": os.cpu_count(),
                "python": platform.python_version(),
                "load": self._load_before,
            },
            "figures": self._values,
        }
        path.write_text(json.dumps(document, indent=1) + "\n")
