"""PostgreSQL keeps the promises of `Store`; what it promises beyond; and what it says where it cannot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from catena.moving.leaving import House
from catena.store import Store
from catena.store.postgres import PostgresStore
from catena.store.sqlite import SqliteStore
from tests.postgres import TestDatabase, looked_back
from tests.store.contract import Reopen, StoreContract
from tests.store.contract_documents import DocumentsContract
from tests.store.contract_files import FileContract
from tests.store.contract_housekeeping import HousekeepingContract
from tests.store.contract_lineage import LineageContract
from tests.store.contract_moving import MovingContract
from tests.store.contract_search import SearchContract


@pytest.fixture
async def reopen(postgres: TestDatabase) -> AsyncIterator[Reopen]:
    opened: list[PostgresStore] = []
    await postgres.empty()

    async def again() -> Store:
        if opened:
            await opened[-1].close()
        opened.append(await PostgresStore.open(postgres.settings, searched=True))
        return await looked_back(opened[-1])

    yield again
    await opened[-1].close()


@pytest.fixture
async def store(reopen: Reopen) -> Store:
    return await reopen()


@pytest.fixture
def house(store: Store) -> Store:
    return store


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[House]:
    """Of another kind, so that what is moved is seen to be the same."""
    opened = await SqliteStore.open(tmp_path / "other.sqlite3")
    yield opened
    await opened.close()


class TestPostgresStore(StoreContract): ...


class TestPostgresDocuments(DocumentsContract): ...


class TestPostgresFiles(FileContract): ...


class TestPostgresHousekeeping(HousekeepingContract): ...


class TestPostgresLineage(LineageContract): ...


class TestPostgresMoving(MovingContract): ...


class TestPostgresSearch(SearchContract): ...
