"""The promises of `Counters`, held against every implementation, whose clock nobody turns: see also test_counters.

A test module has a class that inherits from `CountersContract`, and a fixture `counters`, which have counted nothing.
"""

from __future__ import annotations

import asyncio

import pytest

from catena.store.counters import Counters, Draw, Place

__all__ = ["CountersContract"]


class CountersContract:
    async def test_a_bucket_gives_what_it_holds(self, counters: Counters) -> None:
        first = await counters.draw([Draw("a", 6, 10)])
        assert first.short is None
        assert first.levels == pytest.approx([4], abs=0.5)
        refused = await counters.draw([Draw("a", 6, 10)])
        assert refused.short == 0
        assert refused.levels == pytest.approx([4], abs=0.5)
        assert (await counters.draw([Draw("a", 4, 10)])).short is None

    async def test_a_bucket_fills_again(self, counters: Counters) -> None:
        """A million a minute: what was drawn is there again after a moment."""
        draw = Draw("a", 1_000_000, 1_000_000)
        assert (await counters.draw([draw])).short is None
        async with asyncio.timeout(30):
            while (await counters.draw([Draw("a", 1_000, 1_000_000)])).short is not None:
                await asyncio.sleep(0)

    async def test_all_buckets_give_or_none_and_the_first_that_is_short_is_named(
        self, counters: Counters
    ) -> None:
        many, few = Draw("many", 1, 10), Draw("few", 1, 1)
        assert (await counters.draw([many, few])).short is None
        refused = await counters.draw([many, few])
        assert refused.short == 1
        assert refused.levels[0] == pytest.approx(9, abs=0.5)
        assert (await counters.draw([few, many])).short == 0

    async def test_what_is_given_back_never_makes_more_than_a_bucket_holds(self, counters: Counters) -> None:
        await counters.draw([Draw("a", 5, 10)])
        await counters.give([Draw("a", 100, 10), Draw("never seen", 100, 10)])
        for name in ("a", "never seen"):
            assert (await counters.draw([Draw(name, 11, 11)])).short == 0
            assert (await counters.draw([Draw(name, 10, 10)])).short is None

    async def test_more_may_be_taken_than_is_there(self, counters: Counters) -> None:
        for name in ("new", "old"):
            if name == "old":
                await counters.draw([Draw(name, 1, 10)])
            await counters.give([Draw(name, -100, 10)])
            refused = await counters.draw([Draw(name, 1, 10)])
            assert refused.short == 0
            assert refused.levels[0] < -80

    async def test_many_at_once_get_exactly_what_there_is(self, counters: Counters) -> None:
        await counters.draw([Draw("b", 1, 8), Draw("a", 1, 8)])
        names = [("a", "b"), ("b", "a")]
        drawn = await asyncio.gather(
            *(counters.draw([Draw(name, 1, 8) for name in names[number % 2]]) for number in range(30))
        )
        assert sum(each.short is None for each in drawn) == 7

    async def test_as_many_places_are_held_as_there_are(self, counters: Counters) -> None:
        places = [Place("runs", 3)]
        assert await counters.hold("first", places, 60) is None
        taken = await asyncio.gather(*(counters.hold(str(number), places, 60) for number in range(9)))
        assert sorted(short is None for short in taken) == [False] * 7 + [True] * 2
        await counters.let_go("first")
        assert await counters.hold("another", places, 60) is None
        assert await counters.hold("one more", places, 60) == 0

    async def test_a_place_is_held_under_every_name_or_under_none(self, counters: Counters) -> None:
        project, key = Place("project", 2), Place("key", 1)
        assert await counters.hold("a", [project, key], 60) is None
        assert await counters.hold("b", [project, key], 60) == 1
        assert await counters.hold("c", [project], 60) is None
        assert await counters.hold("d", [project, key], 60) == 0

    async def test_a_place_whose_lease_is_over_is_free(self, counters: Counters) -> None:
        places = [Place("runs", 1)]
        assert await counters.hold("gone", places, 0) is None
        assert await counters.hold("next", places, 60) is None
        assert await counters.hold("third", places, 60) == 0
        await counters.renew(["next", "nobody"], 0)
        assert await counters.hold("third", places, 60) is None

    async def test_a_renewed_place_is_held_on(self, counters: Counters) -> None:
        places = [Place("runs", 1)]
        await counters.hold("a", places, 60)
        await counters.renew(["a"], 600)
        await counters.renew([], 600)
        assert await counters.hold("b", places, 60) == 0
