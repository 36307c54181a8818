"""Other servers are compared fairly: what one forgot is not speed, and one that cannot be run here is told."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import peers, rivals, workloads
from bench.workloads import DEPTHS

NO_PYTHON = (3, 99)


def deep(reached: int, whole_to: int) -> dict[str, float]:
    times = {f"ms_at_{place}": 1.0 for place in DEPTHS if place <= reached}
    return {"per_s": 9.0, "cpu_us": 9.0, **times, "reached": float(reached), "whole_to": float(whole_to)}


async def measured(monkeypatch: pytest.MonkeyPatch, figures: dict[str, float]) -> dict[str, float]:
    async def depth(*_: Any, **__: Any) -> dict[str, float]:
        return figures

    monkeypatch.setattr(workloads, "depth", depth)
    system: Any = SimpleNamespace(stored=lambda: 0, folder=None)
    return await rivals._depth(system, 1000)


async def test_turns_that_came_without_their_whole_history_are_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    figures = await measured(monkeypatch, deep(reached=1000, whole_to=100))

    assert set(figures) == {"ms_at_1", "ms_at_10", "ms_at_50", "ms_at_100", "reached", "whole_to"}
    assert rivals._history(figures) == "all at 100, cut at 200"


async def test_a_chain_that_ends_early_counts_as_far_as_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    told = deep(reached=187, whole_to=100)

    assert await measured(monkeypatch, told) == told
    assert rivals._history(told) == "all, to 187"


def program(folder: Path, name: str, status: int) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\nexit {status}\n")
    path.chmod(0o755)
    return str(path)


def test_a_python_that_only_says_what_to_do_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program(tmp_path, "python3.14", 127)
    program(tmp_path, "python3.12", 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("BENCH_PYTHON", raising=False)

    assert peers._python(NO_PYTHON) == "python3.12"


def test_a_python_that_is_named_comes_before_those_on_the_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program(tmp_path, "python3.13", 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("BENCH_PYTHON", program(tmp_path, "own", 0))

    assert peers._python(NO_PYTHON) == str(tmp_path / "own")


def test_a_server_without_a_python_is_left_out_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("BENCH_PYTHON", raising=False)

    with pytest.raises(peers.LeftOut, match=r"Python 3\.99 or newer.*BENCH_PYTHON"):
        peers._python(NO_PYTHON)
