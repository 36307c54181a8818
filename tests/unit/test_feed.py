import asyncio

from catena.feed import Feed
from catena.wire.events import Event, TextDeltaEvent


def event(number: int) -> Event:
    return TextDeltaEvent(
        item_id="msg_1", output_index=0, content_index=0, delta="", logprobs=[], sequence_number=number
    )


async def collect(feed: Feed, start: int = 0) -> list[int]:
    async with asyncio.timeout(5):
        return [each.sequence_number async for batch in feed.follow(start) for each in batch]


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
