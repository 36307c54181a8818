"""The outbox, the endpoints and the keys of requests, as the store keeps them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from catena.ids import TurnIds, new_tree
from catena.store import Endpoint, KeyUse, LeaseLost, RequestKey, Store, Turn
from tests.store.contract import Reopen

EVERYTHING = ("response.completed", "response.failed", "response.cancelled", "response.incomplete")
DAY = 86_400


def endpoint(number: int = 1, *event_types: str) -> Endpoint:
    return Endpoint(
        id=f"we_{number}",
        name=f"number {number}",
        url=f"https://hooks.example/{number}",
        event_types=list(event_types or EVERYTHING),
        secret=f"whsec_{number}",
        created_at=number,
        updated_at=number,
    )


def turn(*, at: int = 1000, status: str = "queued", **fields: object) -> Turn:
    tree = new_tree(0)
    made = Turn(
        project="p",
        id=TurnIds.new(tree, at).turn("resp_"),
        tree=tree,
        status="queued",
        model="m",
        created_at=at,
    )
    return replace(made, status=status, **fields)


async def ended(store: Store, status: str = "completed", *, at: float = 50.0) -> Turn:
    begun = turn()
    await store.begin(begun)
    finished = replace(begun, status=status)
    await store.finish(finished, notify_at=at)
    return finished


# Endpoints


async def test_endpoints_belong_to_a_project_and_come_newest_first(store: Store) -> None:
    for number in (1, 2, 3):
        await store.add_endpoint("p", endpoint(number))
    await store.add_endpoint("q", endpoint(4))
    assert await store.endpoints("p") == [endpoint(3), endpoint(2), endpoint(1)]
    assert await store.endpoints("q") == [endpoint(4)]
    assert await store.endpoints("nobody") == []


async def test_an_endpoint_is_changed_as_it_is_now(store: Store) -> None:
    await store.add_endpoint("p", endpoint())
    assert await store.change_endpoint("p", "we_1", lambda now: replace(now, name="a")) is not None
    changed = await store.change_endpoint("p", "we_1", lambda now: replace(now, secret="b", old_secret="c"))
    assert changed == replace(endpoint(), name="a", secret="b", old_secret="c")
    assert await store.endpoints("p") == [changed]
    assert await store.change_endpoint("q", "we_1", lambda now: replace(now, name="x")) is None
    assert await store.endpoints("p") == [changed]


async def test_a_removed_endpoint_takes_what_it_had_yet_to_hear_along(store: Store) -> None:
    for number in (1, 2):
        await store.add_endpoint("p", endpoint(number))
    await ended(store)
    assert await store.drop_endpoint("q", "we_1") is False
    assert await store.drop_endpoint("p", "we_1") is True
    assert await store.drop_endpoint("p", "we_1") is False
    await store.add_endpoint("p", endpoint(1))
    assert [each.endpoint.id for each in await store.claim_deliveries(60.0, 10.0, limit=9)] == ["we_2"]


# The outbox


async def test_an_end_is_put_in_the_outbox_for_each_endpoint_that_wants_it(store: Store) -> None:
    await store.add_endpoint("p", endpoint(1))
    await store.add_endpoint("p", endpoint(2, "response.failed"))
    await store.add_endpoint("q", endpoint(3))
    finished = await ended(store, "failed", at=50.7)
    claimed = await store.claim_deliveries(51.0, 10.0, limit=9)
    assert {each.endpoint.id for each in claimed} == {"we_1", "we_2"}
    assert {(each.event_type, each.subject, each.created_at, each.tries) for each in claimed} == {
        ("response.failed", finished.id, 50, 1)
    }
    await ended(store, "completed")
    assert [each.endpoint.id for each in await store.claim_deliveries(51.0, 10.0, limit=9)] == ["we_1"]


async def test_a_turn_that_had_ended_ends_no_second_time(store: Store) -> None:
    await store.add_endpoint("p", endpoint())
    finished = await ended(store)
    await store.finish(replace(finished, status="failed"), notify_at=51.0)
    assert len(await store.claim_deliveries(60.0, 10.0, limit=9)) == 1


async def test_who_lost_the_run_tells_nobody(store: Store) -> None:
    await store.add_endpoint("p", endpoint())
    begun = turn()
    await store.begin(begun)
    (claim,) = await store.claim("me", 10.0, limit=1)
    with pytest.raises(LeaseLost):
        await store.finish(replace(begun, status="completed"), notify_at=50.0)
    assert await store.claim_deliveries(60.0, 10.0, limit=9) == []
    await store.finish(replace(claim.turn, status="completed"), notify_at=50.0)
    assert len(await store.claim_deliveries(60.0, 10.0, limit=9)) == 1


async def test_an_end_of_what_is_not_stored_is_told_too(store: Store) -> None:
    await store.add_endpoint("p", endpoint())
    await store.notify("p", "resp_1", "cancelled", 50.0)
    (claimed,) = await store.claim_deliveries(50.0, 10.0, limit=9)
    assert (claimed.subject, claimed.event_type) == ("resp_1", "response.cancelled")


async def test_what_is_claimed_is_nobody_elses_until_its_time_is_over(store: Store) -> None:
    await store.add_endpoint("p", endpoint())
    await ended(store, at=50.0)
    assert await store.claim_deliveries(49.0, 10.0, limit=9) == []
    (first,) = await store.claim_deliveries(50.0, 10.0, limit=9)
    assert await store.claim_deliveries(59.0, 10.0, limit=9) == []
    (second,) = await store.claim_deliveries(60.0, 10.0, limit=9)
    assert (first.tries, second.tries) == (1, 2)
    await store.drop_delivery(first)
    await store.postpone(first, 61.0)
    (third,) = await store.claim_deliveries(70.0, 10.0, limit=9)
    assert third.tries == 3
    await store.drop_delivery(third)
    assert await store.claim_deliveries(1000.0, 10.0, limit=9) == []


async def test_what_waits_longest_is_claimed_first(store: Store) -> None:
    await store.add_endpoint("p", endpoint())
    late, early = await ended(store, at=52.0), await ended(store, at=51.0)
    assert [each.subject for each in await store.claim_deliveries(60.0, 1.0, limit=1)] == [early.id]
    assert [each.subject for each in await store.claim_deliveries(60.0, 1.0, limit=9)] == [late.id]


async def test_what_is_postponed_comes_back_with_the_endpoint_as_it_is_then(store: Store) -> None:
    await store.add_endpoint("p", endpoint())
    await ended(store)
    (claimed,) = await store.claim_deliveries(50.0, 10.0, limit=9)
    await store.postpone(claimed, 55.0)
    await store.change_endpoint("p", "we_1", lambda now: replace(now, secret="new"))
    assert await store.claim_deliveries(54.0, 10.0, limit=9) == []
    (again,) = await store.claim_deliveries(55.0, 10.0, limit=9)
    assert (again.endpoint.secret, again.tries) == ("new", 2)


async def test_the_outbox_is_there_after_a_restart(store: Store, reopen: Reopen) -> None:
    await store.add_endpoint("p", endpoint())
    finished = await ended(store)
    again = await reopen()
    (claimed,) = await again.claim_deliveries(60.0, 10.0, limit=9)
    assert (claimed.subject, claimed.endpoint) == (finished.id, endpoint())


# Keys of requests


async def test_a_key_is_written_with_its_turn_and_found_for_a_day(store: Store) -> None:
    key = RequestKey(b"name", b"body")
    begun = turn(at=100_000, key=key)
    assert await store.find_key("p", b"name", since=0) is None
    await store.begin(begun)
    assert await store.find_key("p", b"name", since=99_999) == KeyUse(begun.id, b"body")
    assert await store.find_key("p", b"name", since=100_000) is None
    assert await store.find_key("q", b"name", since=99_999) is None
    assert await store.find_key("p", b"other", since=99_999) is None
    await store.finish(replace(begun, status="completed"))
    assert await store.find_key("p", b"name", since=99_999) == KeyUse(begun.id, b"body")


async def test_a_turn_that_is_refused_leaves_no_key(store: Store) -> None:
    orphan = turn(status="completed", key=RequestKey(b"name", b"body"), parent=turn().id)
    with pytest.raises(Exception, match="not found"):
        await store.finish(orphan)
    assert await store.find_key("p", b"name", since=0) is None


async def test_a_key_tells_the_turn_that_it_began_last(store: Store) -> None:
    for at, body in ((DAY - 10, b"one"), (DAY + 10, b"two"), (DAY + 20, b"three")):
        last = turn(at=at, status="completed", key=RequestKey(b"name", body))
        await store.finish(last)
        assert await store.find_key("p", b"name", since=5) == KeyUse(last.id, body)


async def test_new_keys_sweep_away_those_that_are_over(store: Store) -> None:
    for number in range(6):
        await store.finish(turn(at=DAY, status="completed", key=RequestKey(b"old %d" % number, b"")))
    for day in (2, 3):
        await store.finish(turn(at=day * DAY, status="completed", key=RequestKey(b"%d" % day, b"")))

    async def left() -> int:
        names = [b"old %d" % number for number in range(6)]
        return len([name for name in names if await store.find_key("p", name, since=DAY - 1)])

    assert await left() == 4
    for number in range(2):
        await store.finish(turn(at=3 * DAY, status="completed", key=RequestKey(b"new %d" % number, b"")))
    assert await left() == 0
    assert await store.find_key("p", b"2", since=2 * DAY - 1) is not None
