"""From the outbox to an endpoint: told until it has answered, under a clock that the test turns."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from catena import webhooks
from catena.errors import StoreUnavailable
from catena.guard import Guard
from catena.store import Delivery, Endpoint, Store
from catena.store.sqlite import SqliteStore
from catena.upstream.http import HttpClient
from catena.webhooks import Deliverer, DeliverySettings, new_secret
from tests.receiver import receiver
from tests.running import LIMIT

SDK = OpenAI(api_key="unused")
BEGINNING = 1_000_000.0


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = BEGINNING

    def __call__(self) -> float:
        return self.now


class House:
    """A store with a deliverer on it."""

    def __init__(
        self, store: Store, clock: Clock | None = None, settings: DeliverySettings | None = None
    ) -> None:
        self.store = store
        self.clock = clock or Clock()
        self.deliverer = Deliverer(
            store,
            HttpClient(resolve=Guard(allow_private=True).addresses),
            settings=settings,
            clock=self.clock,
            jitter=lambda: 0.0,
        )

    async def endpoint(self, url: str, number: int = 1) -> Endpoint:
        made = Endpoint(
            id=f"we_{number}",
            name="n",
            url=url,
            event_types=["response.completed"],
            secret=new_secret(),
            created_at=0,
            updated_at=0,
        )
        await self.store.add_endpoint("p", made)
        return made

    async def end(self, response_id: str = "resp_1") -> None:
        await self.store.notify("p", response_id, "completed", self.clock())

    async def look(self) -> None:
        """Deliver what is due, once."""
        async with asyncio.timeout(LIMIT):
            await self.deliverer.look()
            await self.deliverer.idle()

    async def waiting(self) -> int:
        """How much the outbox has, whenever it is due. Whatever it has is claimed after this."""
        return len(await self.store.claim_deliveries(self.clock() + 1e9, 0.0, limit=1000))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await SqliteStore.open(tmp_path / "catena.sqlite3")
    yield opened
    await opened.close()


@pytest.fixture
async def house(store: Store) -> AsyncIterator[House]:
    made = House(store)
    yield made
    await made.deliverer.stop()


async def test_what_is_delivered_is_accepted_by_the_official_sdk(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", house.clock)
    async with receiver() as there:
        endpoint = await house.endpoint(there.url)
        await house.end("resp_abc")
        await house.look()
        (heard,) = there.heard
        event: Any = SDK.webhooks.unwrap(heard.body, heard.headers, secret=endpoint.secret)
        assert (event.type, event.created_at) == ("response.completed", int(BEGINNING))
        assert (event.id, event.data.id) == ("evt_abc", "resp_abc")
        assert heard.headers["content-type"] == "application/json"
        assert heard.headers["user-agent"].startswith("catena/")
        assert await house.waiting() == 0


async def test_it_is_tried_again_until_it_is_taken_under_one_id(house: House) -> None:
    async with receiver(0, 500, 404, 302, 204) as there:
        await house.endpoint(there.url)
        await house.end()
        for wait in (5, 10, 20, 40):
            await house.look()
            tries = len(there.heard)
            house.clock.now += wait - 1
            await house.look()
            assert len(there.heard) == tries
            house.clock.now += 1
        await house.look()
        assert len(there.heard) == 5
        assert len({heard.headers["webhook-id"] for heard in there.heard}) == 1
        assert len({heard.body for heard in there.heard}) == 1
        times = [int(heard.headers["webhook-timestamp"]) - BEGINNING for heard in there.heard]
        assert times == [0, 5, 15, 35, 75]
        assert await house.waiting() == 0


async def test_it_is_given_up_after_three_days(house: House, caplog: pytest.LogCaptureFixture) -> None:
    async with receiver(*[503] * 100) as there:
        endpoint = await house.endpoint(there.url)
        await house.end()
        with caplog.at_level(logging.WARNING, logger="catena.webhooks"):
            while "given up" not in caplog.text:
                await house.look()
                house.clock.now += 6 * 3600
        assert house.clock.now - BEGINNING <= 78 * 3600
        assert await house.waiting() == 0
        assert endpoint.secret not in caplog.text
        assert there.url not in caplog.text


async def test_an_endpoint_that_does_not_answer_in_time_has_failed(store: Store) -> None:
    house = House(store, settings=DeliverySettings(timeout=0.01))
    async with receiver() as there:
        there.open.clear()
        await house.endpoint(there.url)
        await house.end()
        await house.look()
        assert len(there.heard) == 1
        await house.deliverer.stop()
        there.open.set()
        patient = House(store, house.clock)
        await patient.look()
        assert len(there.heard) == 1
        house.clock.now += 5
        await patient.look()
        assert len(there.heard) == 2
        assert await patient.waiting() == 0
        await patient.deliverer.stop()


async def test_an_outbox_that_cannot_be_read_is_told_once_and_read_when_it_is_back(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    troubles: list[Exception] = [StoreUnavailable(), StoreUnavailable(), StoreUnavailable(), ValueError()]
    back = asyncio.Event()

    async def claim(*_: object, **__: object) -> Sequence[Delivery]:
        if troubles:
            raise troubles.pop(0)
        back.set()
        return ()

    monkeypatch.setattr(webhooks, "_LOOK_EVERY", 0.0)
    monkeypatch.setattr(store, "claim_deliveries", claim)
    house = House(store)
    await house.deliverer.start()
    async with asyncio.timeout(LIMIT):
        await back.wait()
    await house.deliverer.stop()
    told = [record.levelname for record in caplog.records if record.name == "catena.webhooks"]
    assert told == ["WARNING", "ERROR"]


async def test_an_address_that_has_become_private_is_not_connected_to(store: Store) -> None:
    async def lookup(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    async with receiver() as there:
        house = House(store)
        house.deliverer = Deliverer(
            store, HttpClient(resolve=Guard(lookup=lookup).addresses), clock=house.clock, jitter=lambda: 0.0
        )
        await house.endpoint(there.url.replace("127.0.0.1", "hooks.example"))
        await house.end()
        await house.look()
        assert there.heard == []
        assert await house.waiting() == 1
        await house.deliverer.stop()


async def test_endpoints_hear_the_same_event_under_ids_of_their_own(house: House) -> None:
    async with receiver() as there:
        await house.endpoint(there.url, 1)
        await house.endpoint(there.url, 2)
        await house.end()
        await house.look()
        assert len({heard.event["id"] for heard in there.heard}) == 1
        assert len({heard.headers["webhook-id"] for heard in there.heard}) == 2


async def test_only_so_many_are_delivered_at_once(store: Store) -> None:
    house = House(store, settings=DeliverySettings(concurrency=2))
    async with receiver() as there:
        there.open.clear()
        await house.endpoint(there.url)
        for number in range(5):
            await house.end(f"resp_{number}")
        await house.deliverer.start()
        async with asyncio.timeout(LIMIT):
            await there.hears(2)
            await house.deliverer.look()
            assert len(there.heard) == 2
            there.open.set()
            await there.hears(5)
        await house.deliverer.idle()
        assert await house.waiting() == 0
        await house.deliverer.stop()


async def test_two_servers_do_not_deliver_the_same_at_once(store: Store) -> None:
    clock = Clock()
    one, other = House(store, clock), House(store, clock)
    async with receiver() as there:
        there.open.clear()
        await one.endpoint(there.url)
        await one.end()
        await one.deliverer.look()
        async with asyncio.timeout(LIMIT):
            await there.hears(1)
        await other.look()
        assert len(there.heard) == 1
        clock.now += 3600  # the first is taken for dead
        there.open.set()
        await other.look()
        await one.look()
        assert len(there.heard) == 2
        assert await one.waiting() == 0
        for house in (one, other):
            await house.deliverer.stop()


async def test_what_is_under_way_when_a_server_stops_is_delivered_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "catena.sqlite3"
    async with receiver() as there:
        there.open.clear()
        house = House(await SqliteStore.open(path))
        await house.endpoint(there.url)
        await house.end()
        await house.deliverer.look()
        async with asyncio.timeout(LIMIT):
            await there.hears(1)
        await house.deliverer.stop()
        await house.store.close()
        there.open.set()
        house = House(await SqliteStore.open(path))
        await house.look()
        assert len(there.heard) == 2
        first, second = there.heard
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        assert await house.waiting() == 0
        await house.deliverer.stop()
        await house.store.close()
