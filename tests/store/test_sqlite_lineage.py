"""SQLite keeps the promises of `Lineage`, and looks around without holding anybody up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from catena.errors import StoreUnavailable
from catena.store import Page, Store
from catena.store.lineage import Wanted
from catena.store.sqlite import SqliteStore
from tests.store.contract_lineage import LineageContract
from tests.store.turns import a_turn

LIMIT = 30.0


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await SqliteStore.open(tmp_path / "catena.sqlite3")
    yield store
    await store.close()


class TestSqliteLineage(LineageContract): ...


async def test_chains_are_read_while_somebody_looks_through_everything(store: SqliteStore) -> None:
    turn = a_turn()
    await store.finish(turn)
    looking, enough = threading.Event(), threading.Event()

    def look(reader: apsw.Connection) -> None:
        looking.set()
        enough.wait(LIMIT)

    async with asyncio.timeout(LIMIT):
        scans = [asyncio.ensure_future(store._database.scan(look)) for _ in range(5)]
        await asyncio.to_thread(looking.wait)
        assert len(await store.load_chain("default", turn.id)) == 1
        enough.set()
        await asyncio.gather(*scans)


async def test_a_store_that_is_closed_lists_nothing(store: SqliteStore) -> None:
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.lineage.list_turns("default", Page(), Wanted())
