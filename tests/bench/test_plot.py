"""The pictures are well-formed, have every line, say why one ends, and can be read on light and on dark pages."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bench.day.picture import day_chart
from bench.plot import main, series_of
from bench.svg import Axis

SVG = "{http://www.w3.org/2000/svg}"


def figures(reached: int = 1000, whole_to: int = 1000, slower: float = 1.0) -> dict[str, list[float]]:
    times = {
        f"ms_at_{place}": [slower * (1 + place / 100), slower * 50.0, slower * 0.1]
        for place in (1, 10, 50, 100, 200, 500, 1000)
        if place <= reached
    }
    return {**times, "reached": [float(reached)], "whole_to": [float(whole_to)]}


RESULT: dict[str, Any] = {
    "figures": {
        "W1 stateless": {"catena": {"per_s": [1.0]}},
        "W2 depth 2x1000": {
            "catena": figures(),
            "cuts <at 100>": figures(whole_to=100),
            "gives up": figures(reached=321, whole_to=200, slower=30),
        },
    }
}


def texts(path: Path) -> list[str]:
    return ["".join(each.itertext()) for each in ElementTree.parse(path).iter(f"{SVG}text")]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    result, other, out = tmp_path / "a.json", tmp_path / "b.json", tmp_path / "depth.svg"
    result.write_text(json.dumps(RESULT))
    other.write_text(json.dumps({"figures": {"W2 depth 2x1000": {"catena (PostgreSQL)": figures(slower=2)}}}))
    assert main([str(result), str(other), str(out)]) == 0
    return out


def test_every_system_of_all_results_has_a_line_with_its_name(picture: Path) -> None:
    lines = [each for each in ElementTree.parse(picture).iter(f"{SVG}path") if "line" in each.attrib["class"]]
    assert len(lines) == 2 * 4  # the line, and a piece of it beside its name
    names = {"Catena (SQLite)", "Catena (PostgreSQL)", "cuts <at 100>", "gives up"}
    assert names <= set(texts(picture))


def test_a_line_that_ends_early_says_why(picture: Path) -> None:
    assert "history cut" in texts(picture)
    assert "ended at 321" in texts(picture)
    marks = [each for each in ElementTree.parse(picture).iter(f"{SVG}path") if "end" in each.attrib["class"]]
    assert len(marks) == 2


def test_points_are_medians_and_go_as_far_as_the_history_was_whole() -> None:
    series = {each.name: each for each in series_of(RESULT)}
    assert series["Catena (SQLite)"].points[0] == (1.0, 1.01)
    assert [depth for depth, _ in series["cuts <at 100>"].points] == [1, 10, 50, 100]
    assert [depth for depth, _ in series["gives up"].points] == [1, 10, 50, 100, 200]


def test_dark_pages_have_colours_of_their_own(picture: Path) -> None:
    style = "".join(each.text or "" for each in ElementTree.parse(picture).iter(f"{SVG}style"))
    _, dark = style.split("@media (prefers-color-scheme: dark)")
    assert all(f".s{number} " in dark for number in range(4))


def test_nothing_is_drawn_of_results_without_depths(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    result.write_text('{"figures": {}}')
    assert main([str(result), str(tmp_path / "out.svg")]) == 1
    assert not (tmp_path / "out.svg").exists()


def test_an_axis_places_its_ends_and_what_is_between() -> None:
    linear = Axis("x", 10, 30, ())
    assert [linear.share(value) for value in (10, 20, 30)] == [0, 0.5, 1]
    logarithmic = Axis("x", 1, 100, (), logarithmic=True)
    assert [logarithmic.share(value) for value in (1, 10, 100)] == [0, 0.5, 1]


def test_a_day_is_drawn_as_shares_of_its_second_fifth(tmp_path: Path) -> None:
    samples = [
        {
            "seconds": 60.0 * number,
            "memory_mb": 100.0 if number < 8 else 250.0,
            "handles": 40,
            "threads": 0,
            "times": {"get": {"p50": 1.0, "p99": 2.0, "times": 5}},
        }
        for number in range(1, 11)
    ]
    lines = {series.name: series.points for series in day_chart(samples).series}
    assert lines["memory"][0] == (1.0, 1.0)
    assert lines["memory"][-1] == (10.0, 2.5)
    assert {share for _, share in lines["latency, p99"]} == {1}
    out = tmp_path / "day.svg"
    out.write_text(day_chart(samples).draw())
    assert "open handles" in texts(out)
