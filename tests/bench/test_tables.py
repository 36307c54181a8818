"""What a run is told as: rows that were asked for, medians, what is missing, and how far to trust it."""

import asyncio
import io
import json
from pathlib import Path
from typing import cast

import pytest
from rich.console import Console

from bench.choosing import Choice
from bench.headroom import headroom
from bench.noise import Noise
from bench.report import Report
from bench.rounds import Workload
from bench.rounds import measure as measure_workload
from bench.systems import Process
from bench.workloads import Figures
from bench.workloads.joining import Torn


def test_rows_are_chosen_by_how_their_names_begin() -> None:
    chosen = Choice("w1, growth: siblings")
    assert "W1 stateless plain x1" in chosen
    assert "growth: siblings" in chosen
    assert "W10 something" not in chosen
    assert "growth: followers" not in chosen


def test_without_a_choice_every_row_is_wanted() -> None:
    assert "W3 paced" in Choice("")
    assert Choice("").takes_any("W8")


def test_a_part_is_run_if_one_of_its_rows_may_be_wanted() -> None:
    assert Choice("W8 chain of 200").takes_any("replicas", "W8")
    assert not Choice("W7").takes_any("replicas", "W8")


def test_where_the_engine_was_asked_directly_the_headroom_is_a_ratio_of_rates() -> None:
    assert headroom({"catena": {"per_s": 100.0}, "direct": {"per_s": 700.0}}) == 7


def test_where_it_was_not_the_headroom_is_one_of_processor_time() -> None:
    figures = {"get_cpu_us": 90.0, "get_load_us": 10.0, "items_cpu_us": 60.0, "items_load_us": 10.0}
    assert headroom({"catena": figures}) == 6
    assert headroom({"catena": {"ms_p50": 3.0}}) is None


def shown(report: Report) -> str:
    console = Console(width=200, file=io.StringIO())
    report.show(console)
    return cast("io.StringIO", console.file).getvalue()


def test_a_row_has_medians_a_ratio_and_the_largest_spread() -> None:
    report = Report()
    for ours, floor in ((100.0, 50.0), (300.0, 50.0), (200.0, 75.0)):
        report.add("W1", "catena", {"cpu_us": ours})
        report.add("W1", "floor", {"cpu_us": floor})
    (row,) = [line for line in shown(report).splitlines() if line.startswith("W1 ")]
    assert row.split() == ["W1", "cpu_us", "200.0", "50.0", "4.00", "3.00"]


def test_too_little_headroom_is_told_below_the_table() -> None:
    report = Report()
    report.add("W1", "catena", {"per_s": 10.0})
    report.add("W1", "direct", {"per_s": 40.0})
    assert "Headroom below 5.0" in shown(report)
    assert "W1 (4.0)" in shown(report)


def test_noise_has_a_spread_and_says_when_it_is_too_much() -> None:
    noise = Noise()
    assert noise.spread == 1
    noise.look()
    assert noise.spread >= 1
    assert noise.document()["fixed_work_ms"]
    noise._times = [10.0, 20.0]
    assert noise.spread == 2
    assert "the machine did something else" in " ".join(noise.sentences())
    noise._times = [10.0, 10.5]
    assert "the machine did something else" not in " ".join(noise.sentences())


async def test_a_check_that_fails_is_told_in_place_of_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> None:
        pass

    async def torn(_: Process) -> Figures:
        await asyncio.sleep(0)
        raise Torn("event 7 in place of 6, after it")

    monkeypatch.setattr("bench.rounds.instruct", nothing)
    system = Process("catena", cast("asyncio.subprocess.Process", None), 0, 0.0)
    report = Report()
    console = Console(file=io.StringIO())
    await measure_workload(console, report, Workload("W7 resumed", torn, ["catena"]), [system], 1)
    assert report.failures == ["W7 resumed, catena: event 7 in place of 6, after it"]
    assert list(report.medians()) == []
    report.write(tmp_path / "result.json")
    assert json.loads((tmp_path / "result.json").read_text())["failures"] == report.failures
