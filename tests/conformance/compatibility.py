"""docs/compatibility.md as data: its tables by heading, and its list of deliberate differences."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, TypeAlias

__all__ = ["PAGE", "differences", "table"]

PAGE: Final = Path(__file__).parents[2] / "docs" / "compatibility.md"

Rows: TypeAlias = dict[str, list[str]]


def table(heading: str) -> Rows:
    """The rows of the table below a heading, by their first cell, which must be there once."""
    rows: Rows = {}
    for line in _section(heading).splitlines()[2:]:
        if not line.startswith("| `"):
            continue
        name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        name = name.strip("`")
        assert name not in rows, f"{name} is in the table '{heading}' twice"
        rows[name] = cells
    assert rows, f"there is no table below '{heading}'"
    return rows


def differences() -> set[str]:
    """The sentences below "Where it differs on purpose"."""
    points = re.split(r"^- ", _section("Where it differs on purpose"), flags=re.MULTILINE)[1:]
    return {" ".join(point.split()) for point in points}


def _section(heading: str) -> str:
    found = re.search(
        rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    assert found, f"there is no heading '{heading}'"
    return found[1]
