"""What the tour shows."""

from __future__ import annotations

from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from catena import demo


@pytest.mark.parametrize("width", [60, 80, 120])
def test_each_turn_of_the_lineage_is_one_line_however_narrow_the_terminal_is(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = StringIO()
    monkeypatch.setattr(demo, "console", Console(file=page, width=width))
    family = demo.Family()
    turns = [SimpleNamespace(id=f"resp_{number:050d}", model="gpt-4o-mini") for number in range(3)]
    parents = [None, turns[0].id, turns[1].id]
    for turn, parent in zip(turns, parents, strict=True):
        family.add(turn, "Write one line of greeting for me, with my name [bold].", "Hello, " * 7, parent)
    family.show()
    lines = page.getvalue().splitlines()
    assert len(lines) == len(turns)
    assert all("Write one line" in line for line in lines)
    assert max(map(len, lines)) <= width
