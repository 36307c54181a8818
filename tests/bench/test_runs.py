"""Every workload runs, with tiny counts, on every system that it is meant for: what is measured is of no interest."""

import asyncio
import io

from rich.console import Console

from bench import large
from bench.catalogue import TINY, catalogue
from bench.choosing import Choice
from bench.day import live
from bench.parts import Asked, server
from bench.report import Report
from bench.systems import ON_POSTGRES

LIMIT = 300.0


def asked() -> Asked:
    return Asked(
        console=Console(file=io.StringIO()),
        report=Report(),
        only=Choice(""),
        rounds=1,
        size=TINY,
        stored=500,
    )


async def test_every_workload_has_figures_for_each_of_its_systems() -> None:
    wanted = asked()
    async with asyncio.timeout(LIMIT):
        await server(wanted)
    assert wanted.report.failures == []
    found: dict[str, set[str]] = {}
    for name, _, medians in wanted.report.medians():
        found.setdefault(name, set()).update(medians)
    for workload in catalogue(TINY):
        assert found[workload.name] == set(workload.systems)
    assert found["W5 start"] >= {"catena", ON_POSTGRES, "floor"}
    depths = {name: values for row, name, values in wanted.report.medians() if row == "W2 depth 2x12"}
    assert depths["reached"] == {"catena": 12, ON_POSTGRES: 12}
    assert depths["whole_to"] == {"catena": 10, ON_POSTGRES: 10}
    assert {"ms_at_1", "ms_at_10"} <= depths.keys()


async def test_a_store_with_turns_is_measured_beside_an_empty_one() -> None:
    wanted = asked()
    async with asyncio.timeout(LIMIT):
        await large.measure(wanted.console, wanted.report, rounds=1, stored=wanted.stored)
    rows = {(row, name): medians["catena"] for row, name, medians in wanted.report.medians()}
    assert rows["W8 stored before", "turns"] == 500
    assert rows["W8 stored before", "bytes_over_content"] > 1
    assert rows["W8 stored before", "bytes_of_words_per_turn"] > 0
    names = {row for row, _ in rows}
    assert {"W8 a commit", "W8 chains 16x5", "W8 chain of 20 read", "W8 turn at depth 20"} <= names


async def test_a_day_of_seconds_has_every_kind_of_request_and_nothing_fails() -> None:
    async with asyncio.timeout(LIMIT):
        verdict, document = await live(Console(file=io.StringIO()), seconds=3)
    assert verdict.failures == {}
    samples = document["samples"]
    assert len(samples) > 10
    assert {kind for sample in samples for kind in sample["times"]} >= {"grow", "resume", "socket", "delete"}
    assert all(sample["memory_mb"] > 0 and sample["handles"] > 0 for sample in samples)
