"""Buckets that fill up again and places that are held: what limits are counted with, by a clock that a test turns."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.store.counters import Draw, MemoryCounters, Place
from tests.store.contract_counters import CountersContract


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counters(clock: Clock) -> MemoryCounters:
    return MemoryCounters(clock)


class TestMemoryCounters(CountersContract):
    @pytest.fixture
    def counters(self) -> MemoryCounters:
        return MemoryCounters()


async def test_a_bucket_gives_what_it_holds_and_fills_evenly_in_a_minute(
    counters: MemoryCounters, clock: Clock
) -> None:
    draw = Draw("a", 1, 60)
    for left in range(59, -1, -1):
        drawn = await counters.draw([draw])
        assert (drawn.short, drawn.levels) == (None, [left])
    assert (await counters.draw([draw])).short == 0
    clock.now += 0.999
    assert (await counters.draw([draw])).short == 0
    clock.now += 0.001
    assert (await counters.draw([draw])).short is None
    clock.now += 1000
    assert (await counters.draw([draw])).levels == [59]


async def test_all_buckets_give_or_none(counters: MemoryCounters) -> None:
    few, many = Draw("few", 1, 1), Draw("many", 1, 10)
    assert (await counters.draw([many, few])).levels == [9, 0]
    refused = await counters.draw([many, few])
    assert (refused.short, refused.levels) == (1, [9, 0])
    assert (await counters.draw([many])).levels == [8]


async def test_what_is_given_back_never_makes_more_than_a_bucket_holds(counters: MemoryCounters) -> None:
    await counters.draw([Draw("a", 3, 10)])
    await counters.give([Draw("a", 2, 10)])
    assert (await counters.draw([Draw("a", 0, 10)])).levels == [9]
    await counters.give([Draw("a", 100, 10)])
    assert (await counters.draw([Draw("a", 0, 10)])).levels == [10]


async def test_more_may_be_taken_than_is_there_and_is_waited_for(
    counters: MemoryCounters, clock: Clock
) -> None:
    await counters.give([Draw("a", -70, 60)])
    assert (await counters.draw([Draw("a", 1, 60)])).levels == [-10]
    clock.now += 11
    assert (await counters.draw([Draw("a", 1, 60)])).short is None


async def test_a_limit_that_was_lowered_holds_at_once(counters: MemoryCounters) -> None:
    await counters.draw([Draw("a", 1, 100)])
    assert (await counters.draw([Draw("a", 1, 5)])).levels == [4]


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 20)), max_size=60))
async def test_never_more_is_drawn_than_the_limit_allows_for_the_time(
    steps: list[tuple[float, int]],
) -> None:
    clock = Clock()
    counters = MemoryCounters(clock)
    began, drawn = clock.now, 0
    for passed, amount in steps:
        clock.now += passed
        if (await counters.draw([Draw("a", amount, 30)])).short is None:
            drawn += amount
        assert drawn <= 30 + 30 * (clock.now - began) / 60 + 1e-6


async def test_full_buckets_are_forgotten_when_there_are_too_many(
    counters: MemoryCounters, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catena.store.counters._MOST", 5)
    for number in range(5):
        await counters.draw([Draw(f"old {number}", 1, 60)])
    clock.now += 10
    await counters.draw([Draw("new", 60, 60)])
    assert list(counters._buckets) == ["new"]
    assert (await counters.draw([Draw("new", 1, 60)])).short == 0


async def test_as_many_places_are_held_as_there_are(counters: MemoryCounters) -> None:
    places = [Place("runs", 2)]
    taken = await asyncio.gather(*(counters.hold(str(number), places, 60) for number in range(5)))
    assert list(taken) == [None, None, 0, 0, 0]
    await counters.let_go("0")
    assert await counters.hold("5", places, 60) is None
    assert await counters.hold("6", places, 60) == 0


async def test_a_place_is_held_under_every_name_or_under_none(counters: MemoryCounters) -> None:
    project, key = Place("project", 2), Place("key", 1)
    assert await counters.hold("a", [project, key], 60) is None
    assert await counters.hold("b", [project, key], 60) == 1
    assert await counters.hold("c", [project], 60) is None
    assert await counters.hold("d", [project], 60) == 0


async def test_a_place_that_nobody_renews_is_free(counters: MemoryCounters, clock: Clock) -> None:
    places = [Place("runs", 2)]
    for holder in ("a", "b"):
        await counters.hold(holder, places, 60)
    clock.now += 40
    await counters.renew(["a", "nobody"], 60)
    clock.now += 40
    assert await counters.hold("c", places, 60) is None
    assert await counters.hold("d", places, 60) == 0
