"""Servers whose machines do not agree on the time: webhooks are due, and claimed, by the database's clock."""

from __future__ import annotations

import time

from catena.store.postgres import PostgresStore
from catena.store.postgres.clock import Clock
from tests.postgres import TestDatabase
from tests.store.test_outbox import ended, endpoint

WRONG = 600.0


class Server:
    """A store as a server has it whose clock shows so many seconds more than the others'."""

    def __init__(self, store: PostgresStore, ahead: float) -> None:
        self.store = store
        self.ahead = ahead
        store._clock = Clock(store._database, self.clock)

    def clock(self) -> float:
        return time.time() + self.ahead


async def test_a_delivery_is_due_at_once_and_claimed_by_one_whatever_their_clocks_show(
    postgres: TestDatabase,
) -> None:
    await postgres.empty()
    servers = [Server(await PostgresStore.open(postgres.settings), ahead) for ahead in (WRONG, -WRONG, 0.0)]
    await servers[0].store.add_endpoint("p", endpoint())
    for each in servers:
        assert await each.store.claim_deliveries(each.clock(), 60, limit=5) == []
    for one in servers:
        await ended(one.store, at=one.clock())
        for claimer in servers:
            (delivery,) = await claimer.store.claim_deliveries(claimer.clock() + 0.1, 60, limit=5)
            for another in servers:
                assert await another.store.claim_deliveries(another.clock() + 0.2, 60, limit=5) == []
            await claimer.store.postpone(delivery, claimer.clock())
        (delivery,) = await one.store.claim_deliveries(one.clock() + 0.3, 60, limit=5)
        await one.store.drop_delivery(delivery)
    for each in servers:
        await each.store.close()
