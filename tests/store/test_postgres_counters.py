"""PostgreSQL keeps the promises of `Counters`, for all servers on it together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from catena.store.counters import Counters, Draw, Place
from catena.store.postgres import PostgresStore
from tests.postgres import TestDatabase
from tests.store.contract_counters import CountersContract


@pytest.fixture
async def servers(postgres: TestDatabase) -> AsyncIterator[list[Counters]]:
    await postgres.empty()
    stores = [await PostgresStore.open(postgres.settings) for _ in range(2)]
    yield [store.counters for store in stores]
    for store in stores:
        await store.close()


@pytest.fixture
def counters(servers: list[Counters]) -> Counters:
    return servers[0]


class TestPostgresCounters(CountersContract): ...


async def test_servers_count_together(servers: list[Counters]) -> None:
    await servers[0].draw([Draw("a", 1, 8)])
    drawn = await asyncio.gather(*(servers[number % 2].draw([Draw("a", 1, 8)]) for number in range(20)))
    assert sum(each.short is None for each in drawn) == 7
    assert await servers[0].hold("first", [Place("runs", 3)], 60) is None
    held = await asyncio.gather(
        *(servers[number % 2].hold(str(number), [Place("runs", 3)], 60) for number in range(8))
    )
    assert held.count(None) == 2
