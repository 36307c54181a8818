"""The counts as they are kept: in `counts.json`, and as tables of docs/performance.md."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

__all__ = [
    "PAGE",
    "Counts",
    "Kept",
    "excesses",
    "keep",
    "kept",
    "put_into_page",
    "shares",
    "tables",
    "this_python",
]

Counts: TypeAlias = Mapping[str, int]

_FILE: Final = Path(__file__).with_name("counts.json")
PAGE: Final = Path(__file__).parents[1] / "docs" / "performance.md"

_END: Final = "<!-- end -->"

_TOLERANCE: Final = 0.03
"""By how much a count may grow before somebody has to say that it should."""

_TOLERANCE_OF_BYTES: Final = 0.1
"""How full a page is, and what is in memory at one moment, is a little different in each run."""

_PARTS: Final[Mapping[str, frozenset[str]]] = {
    "web": frozenset({"web", "access", "limits", "idempotency", "admission", "measures"}),
    "requests and responses": frozenset({"wire", "ids", "errors", "tool_shapes"}),
    "planning": frozenset(
        {
            *("planning", "questions", "context", "bounds", "attachments", "prompts", "vault", "incoming"),
            *("history", "prefix", "orders", "pages"),
        }
    ),
    "run": frozenset(
        {
            *("run", "runs", "fold", "compose", "whole", "feed", "audience"),
            *("forms", "run_log", "journal", "tally", "chunks"),
        }
    ),
    "engine": frozenset({"upstream"}),
    "events": frozenset({"sse"}),
    "store": frozenset({"store", "revival"}),
}
"""What of Catena is which part; what is in none is "other", with the libraries."""


class Kept(msgspec.Struct, frozen=True):
    """Counts by operation, with the shares of their steps in percent, and the version of Python that all are of."""

    python: str
    operations: dict[str, dict[str, int]]
    shares: dict[str, dict[str, int]]


def this_python() -> str:
    """The version that runs this. Others call other functions."""
    return ".".join(platform.python_version_tuple()[:2])


def kept() -> Kept:
    """What was written last."""
    return msgspec.json.decode(_FILE.read_bytes(), type=Kept)


def keep(counts: Kept) -> None:
    """Write these in place of what was written last, here and in the page."""
    _FILE.write_bytes(msgspec.json.format(msgspec.json.encode(counts), indent=1) + b"\n")
    put_into_page(tables(counts))


def put_into_page(told: Mapping[str, str]) -> None:
    """Have these tables in the page, each where its name stands in a comment."""
    page = PAGE.read_text(encoding="utf-8")
    for name, table in told.items():
        start = f"<!-- {name} -->\n"
        before, _, rest = page.partition(start)
        page = before + start + table + rest[rest.index(_END) :]
    PAGE.write_text(page, encoding="utf-8")


def excesses(now: Mapping[str, Counts], before: Mapping[str, Counts]) -> list[str]:
    """What costs more than it did, in words."""
    found = []
    for operation, counts in now.items():
        known = before.get(operation, {})
        for what, number in counts.items():
            allowed = _TOLERANCE_OF_BYTES if "bytes" in what else _TOLERANCE
            if number > known.get(what, 0) * (1 + allowed):
                found.append(f"{operation}: {number} {what}, where {known.get(what, 0)} are kept")
    return found


def shares(functions: Counts) -> dict[str, int]:
    """Which part of Catena takes how many percent, of steps by functions."""
    parts = Counter(dict.fromkeys(_PARTS, 0))
    for name, number in functions.items():
        module = name.partition(":")[0].partition(".")[0]
        parts[next((part for part, modules in _PARTS.items() if module in modules), "other")] += number
    total = parts.total()
    return {part: round(100 * number / total) for part, number in parts.items()}


def tables(counts: Kept) -> dict[str, str]:
    """The tables of the page, by their names."""
    return {"counts": _table(counts.operations, ""), "shares": _table(counts.shares, " %")}


def _table(rows: Mapping[str, Counts], unit: str) -> str:
    columns = list(dict.fromkeys(name for counts in rows.values() for name in counts))
    lines = [_row(["", *columns]), _row(["---", *("---:" for _ in columns)])]
    for operation, counts in rows.items():
        cells = (f"{counts[name]:,}{unit}" if counts.get(name) else "" for name in columns)
        lines.append(_row([operation, *cells]))
    return "\n".join(lines) + "\n"


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
