"""What the tests of stores share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from catena.store import Store
from catena.store.postgres import PostgresStore
from catena.store.sqlite import SqliteStore
from tests.postgres import TestDatabase

if TYPE_CHECKING:
    from tests.store.contract import Reopen  # not before its assertions are rewritten

pytest.register_assert_rewrite("tests.store.contract", "tests.store.contract_moving")
pytest.register_assert_rewrite("tests.store.contract_documents")
pytest.register_assert_rewrite("tests.store.contract_counters", "tests.store.secrets_everywhere")
pytest.register_assert_rewrite("tests.store.contract_lineage")


@pytest.fixture(params=["sqlite", "encrypted", "postgres"])
async def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Reopen]:
    """Opens a store that is empty, or closes it and opens it again: of each kind, for tests that say nothing else."""
    opened: list[Store] = []
    database: TestDatabase | None = None
    if request.param == "postgres":
        database = request.getfixturevalue("postgres")
        await database.empty()

    async def again() -> Store:
        if opened:
            await opened[-1].close()
        if database is not None:
            opened.append(await PostgresStore.open(database.settings))
        else:
            key_file = tmp_path / "contents.keys" if request.param == "encrypted" else None
            opened.append(await SqliteStore.open(tmp_path / "catena.sqlite3", key_file=key_file))
        return opened[-1]

    yield again
    await opened[-1].close()


@pytest.fixture
async def store(reopen: Reopen) -> Store:
    return await reopen()


pytest.register_assert_rewrite("tests.store.contract_search")
