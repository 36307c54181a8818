"""docs/compatibility.md, written anew: `python -m tests.conformance.page`, or `make compatibility`.

What rows there are is told by the code and by the installed official SDK, and which test shows each by the tests. What
stays is what only people can say: the word for each row, and the remark. A row that is new gets a question mark, which
a test does not let pass; a row that nothing stands for any more goes.
"""

from __future__ import annotations

import ast
import asyncio
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, get_args

from openai.types.responses import ResponseStreamEvent

import catena
from catena.wire.known import KNOWN
from tests.conformance.compatibility import PAGE
from tests.conformance.evidence import evidence_of
from tests.conformance.sdk import endpoints, families
from tests.running import RunningServer, running_server

__all__ = ["WORD_COLUMNS", "codes", "events", "names_of", "rewritten", "served"]

SOURCE: Final = Path(catena.__file__).parent

WORD_COLUMNS: Final[Mapping[str, int]] = {
    "Endpoints": 1,
    "What is not there": 1,
    "Create parameters": 2,
    "`include`": 2,
    "Tools": 2,
    "Items": 2,
    "Stream events": 1,
    "Error codes": 1,
}
"""How many cells of each table are words."""

_ENGINES: Final = ("a chat engine", "an engine of the Responses API")

_HEADS: Final[Mapping[str, str]] = {
    "Endpoints": "endpoint",
    "What is not there": "paths",
    "Create parameters": "parameter",
    "`include`": "value",
    "Tools": "type",
    "Items": "type",
    "Stream events": "event",
    "Error codes": "code",
}

_PROOF: Final = re.compile(r"\[test_\w+\]\(")


def served(server: RunningServer) -> list[str]:
    """The endpoints of a server that belong to the API or stand beside it below `/v1`."""
    return [
        f"{route.method} {route.path}" for route in server.app.routes.all if route.path.startswith("/v1/")
    ]


def names_of(served: Sequence[str]) -> dict[str, list[str]]:
    """The rows of each table."""
    ours = {_family(name) for name in served}
    known = [name for name in endpoints() if _family(name) in ours - {"audio", "images"}]
    return {
        "Endpoints": list(dict.fromkeys([*served, *known])),
        "What is not there": [f"/v1/{family}" for family in sorted(families() - ours)],
        "Create parameters": list(KNOWN["create_parameters"]),
        "`include`": list(KNOWN["include"]),
        "Tools": list(KNOWN["tools"]),
        "Items": list(KNOWN["items"]),
        "Stream events": events(),
        "Error codes": sorted(codes()),
    }


def _family(endpoint: str) -> str:
    return endpoint.partition("/v1/")[2].partition("/")[0]


def events() -> list[str]:
    """The stream events of the SDK."""
    kinds = get_args(get_args(ResponseStreamEvent)[0])
    return [get_args(event.model_fields["type"].annotation)[0] for event in kinds]


def codes() -> set[str]:
    """The error codes in the source."""
    found = {f"{kind}_{side}_value" for kind in ("integer", "decimal") for side in ("below_min", "above_max")}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "code":
                found |= set(_strings(node.value))
            elif isinstance(node, ast.FunctionDef):
                named = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
                found |= {
                    text for name, value in named if name.arg == "code" and value for text in _strings(value)
                }
    return found


def _strings(value: ast.expr) -> list[str]:
    match value:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.IfExp(body=one, orelse=other):
            return [*_strings(one), *_strings(other)]
        case _:
            return []


def rewritten(text: str, served: Sequence[str]) -> str:
    """The page with the rows that there are."""
    for heading, names in names_of(served).items():
        text = _with_table(text, heading, names)
    return text


def _with_table(text: str, heading: str, names: Sequence[str]) -> str:
    section = re.search(rf"^## {re.escape(heading)}\n.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section, f"there is no heading '{heading}'"
    table = re.search(r"^\|.*\n(?:\|.*\n?)+", section[0], re.MULTILINE)
    assert table, f"there is no table below '{heading}'"
    rows = {cells[0].strip("`"): cells[1:] for cells in map(_cells, table[0].splitlines()[2:])}
    lines = [
        _head(heading),
        *(_row(heading, name, rows.get(name, [])) for name in _ordered(list(rows), names)),
    ]
    start = section.start() + table.start()
    return text[:start] + "\n".join(lines) + "\n" + text[section.start() + table.end() :]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _ordered(before: list[str], names: Sequence[str]) -> list[str]:
    """Rows stay where they are; a new one comes behind those that begin as it does."""
    ordered = [name for name in before if name in names]
    for name in names:
        if name not in ordered:
            alike = [place for place, other in enumerate(ordered) if _kin(other) == _kin(name)]
            ordered.insert(alike[-1] + 1 if alike else len(ordered), name)
    return ordered


def _kin(name: str) -> str:
    return _family(name) if "/v1/" in name else re.split(r"[._]", name.removeprefix("response."))[0]


def _head(heading: str) -> str:
    words = {1: ("",), 2: _ENGINES}[WORD_COLUMNS[heading]]
    if heading == "Error codes":
        words = ("status",)
    cells = [_HEADS[heading], *words, "", "shown by"]
    return f"| {' | '.join(cells)} |\n|{'---|' * len(cells)}".replace("|  |", "| |").replace("|  |", "| |")


def _row(heading: str, name: str, cells: list[str]) -> str:
    count = WORD_COLUMNS[heading]
    # That a family of endpoints is not there needs nobody's word.
    words = cells[:count] or ["refused" if heading == "What is not there" else "?"] * count
    remark = next((cell for cell in cells[count:] if cell and not _PROOF.match(cell)), "–")
    shown = evidence_of(heading, name, words)
    proof = "?" if shown is None else f"[{Path(shown.file).stem}](../tests/{shown.file})"
    return f"| `{name}` | {' | '.join(words)} | {remark} | {proof} |"


async def _main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with running_server(Path(folder) / "catena.sqlite3") as server:
            PAGE.write_text(rewritten(PAGE.read_text(), served(server)))


if __name__ == "__main__":
    asyncio.run(_main())
