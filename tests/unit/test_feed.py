import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from catena.feed import Feed
from catena.taps import drawn
from catena.wire.events import Event, TextDeltaEvent


def event(number: int) -> Event:
    return TextDeltaEvent(
        item_id="msg_1", output_index=0, content_index=0, delta="", logprobs=[], sequence_number=number
    )


def numbers(events: Sequence[Any]) -> list[int]:
    return [each.sequence_number for each in events]


async def collect(feed: Feed, start: int = 0) -> list[int]:
    async with asyncio.timeout(5):
        return [number async for batch in feed.follow(start) for number in numbers(batch)]


async def test_followers_from_any_place_see_the_same_events_live_and_afterwards() -> None:
    feed = Feed()
    feed.publish([event(0), event(1)])
    early, late = asyncio.create_task(collect(feed)), asyncio.create_task(collect(feed, 3))
    await asyncio.sleep(0)
    feed.publish([event(2)])
    await asyncio.sleep(0)
    feed.publish([event(3), event(4)])
    feed.end()
    assert await early == [0, 1, 2, 3, 4]
    assert await late == [3, 4]
    assert await collect(feed, 2) == [2, 3, 4]
    assert await collect(feed, 9) == []


async def test_a_follower_that_goes_away_holds_up_nobody() -> None:
    feed = Feed()
    leaving = asyncio.create_task(collect(feed))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    staying = asyncio.create_task(collect(feed))
    await asyncio.sleep(0)
    feed.publish([event(0)])
    feed.end()
    assert await staying == [0]


class Tapping:
    """Follows a feed with a tap that takes events while `willing`."""

    def __init__(self, feed: Feed, start: int = 0) -> None:
        self.willing = True
        self.fault: Exception | None = None
        self.pushed: list[int] = []
        self.pulled: list[int] = []
        self._following = feed.follow(start)
        self.task = asyncio.create_task(self._run())

    def _take(self, events: Sequence[Event]) -> bool:
        if self.fault is not None:
            raise self.fault
        if self.willing:
            self.pushed += numbers(events)
        return self.willing

    async def _run(self) -> None:
        async with asyncio.timeout(5), contextlib.aclosing(self._following) as following:
            batch = await drawn(following)
            while batch is not None:
                self.pulled += numbers(batch)
                batch = await drawn(following, self._take)


async def test_a_tap_hears_events_while_they_are_published() -> None:
    feed = Feed()
    feed.publish([event(0)])
    follower = Tapping(feed)
    await asyncio.sleep(0)
    feed.publish([event(1), event(2)])
    feed.publish([event(3)])
    assert (follower.pulled, follower.pushed) == ([0], [1, 2, 3])
    feed.end()
    await follower.task
    assert (follower.pulled, follower.pushed) == ([0], [1, 2, 3])


async def test_what_a_tap_leaves_and_what_comes_behind_is_pulled_in_order() -> None:
    feed = Feed()
    feed.publish([event(0)])
    follower, other = Tapping(feed), asyncio.create_task(collect(feed))
    await asyncio.sleep(0)
    feed.publish([event(1)])
    follower.willing = False
    feed.publish([event(2)])
    follower.willing = True
    feed.publish([event(3)])  # it was refused once: nothing may overtake that
    assert follower.pushed == [1]
    await asyncio.sleep(0)
    feed.publish([event(4)])
    assert (follower.pulled, follower.pushed) == ([0, 2, 3], [1, 4])
    feed.end()
    await follower.task
    assert await other == [0, 1, 2, 3, 4]


async def test_a_fault_in_a_tap_is_nobody_elses() -> None:
    feed = Feed()
    feed.publish([event(0)])
    follower, other = Tapping(feed), asyncio.create_task(collect(feed))
    await asyncio.sleep(0)
    follower.fault = LookupError("of its own")
    feed.publish([event(1)])
    follower.fault = None
    await asyncio.sleep(0)
    feed.publish([event(2)])
    feed.end()
    await follower.task
    assert (follower.pulled, follower.pushed) == ([0, 1], [2])
    assert await other == [0, 1, 2]


async def test_who_waits_for_a_later_event_is_not_told_earlier_ones() -> None:
    feed = Feed()
    follower = Tapping(feed, 2)
    await asyncio.sleep(0)
    for number in range(4):
        feed.publish([event(number)])
    feed.end()
    await follower.task
    assert follower.pulled + follower.pushed == [2, 3]


async def test_a_tap_of_who_went_away_hears_nothing() -> None:
    feed = Feed()
    feed.publish([event(0)])
    follower = Tapping(feed)
    await asyncio.sleep(0)
    follower.task.cancel()
    await asyncio.wait([follower.task])
    feed.publish([event(1)])
    assert follower.pushed == []


async def test_finished_waits_for_the_end_and_for_nothing_else() -> None:
    feed = Feed()
    waiting = asyncio.create_task(feed.finished())
    await asyncio.sleep(0)
    feed.publish([event(0)])
    await asyncio.sleep(0)
    assert not waiting.done()
    feed.end()
    await waiting
    await feed.finished()
