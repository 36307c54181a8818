"""The table of what grows is made of the figures of results."""

import json
from pathlib import Path

import pytest

from bench.ratios import main, table

FIGURES = {
    "W2 depth 2x1000": {
        "catena": {"ms_at_1": [1.0, 9.0, 1.0], "ms_at_1000": [2.0], "ms_at_10": [7.0]},
        "catena (PostgreSQL)": {"ms_at_1": [2.0], "ms_at_1000": [8.0]},
    },
    "growth: siblings": {"catena": {"cpu_us_at_10": [100.0], "cpu_us_at_1000": [110.0], "ratio": [1.1]}},
    "W8 stored before": {"catena": {"turns": [20_000.0]}},
    "W8 chains 16x50": {"catena": {"per_s": [90.0], "empty_per_s": [108.0]}},
}


def test_each_row_is_a_ratio_of_much_over_little() -> None:
    assert table(FIGURES).splitlines()[2:] == [
        "| a turn, in milliseconds | 1,000 turns before it, over 1 | 2.00 | 4.00 |",
        "| a turn, in processor time | 1,000 turns beside it, over 10 | 1.10 |  |",
        "| a turn of 16 chains, in milliseconds | 20,000 turns stored, over none | 1.20 |  |",
    ]


def test_the_table_takes_the_place_of_the_one_in_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, result = tmp_path / "page.md", tmp_path / "result.json"
    page.write_text("before\n\n<!-- growth -->\nold\n<!-- end -->\n\nafter <!-- end -->\n")
    result.write_text(json.dumps({"figures": FIGURES}))
    monkeypatch.setattr("bench.kept.PAGE", page)
    assert main([str(result), "--write"]) == 0
    assert page.read_text() == (
        f"before\n\n<!-- growth -->\n{table(FIGURES)}<!-- end -->\n\nafter <!-- end -->\n"
    )
