"""SQLite keeps the promises of `Documents`, also for a command that runs beside a server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from catena.errors import StoreUnavailable
from catena.store import Store
from catena.store.sqlite import SqliteStore
from catena.store.sqlite.documents import open_documents
from tests.store.contract import Reopen
from tests.store.contract_documents import DocumentsContract, a_document


@pytest.fixture
async def reopen(tmp_path: Path) -> AsyncIterator[Reopen]:
    opened: list[SqliteStore] = []

    async def again() -> Store:
        if opened:
            await opened[-1].close()
        opened.append(await SqliteStore.open(tmp_path / "catena.sqlite3"))
        return opened[-1]

    yield again
    await opened[-1].close()


@pytest.fixture
async def store(reopen: Reopen) -> Store:
    return await reopen()


class TestSqliteDocuments(DocumentsContract): ...


async def test_a_command_and_a_server_see_what_the_other_has_written(store: Store, tmp_path: Path) -> None:
    await store.documents.add(a_document(1))
    async with open_documents(tmp_path / "catena.sqlite3") as documents:
        assert await documents.get("key", "p", "id_1") == a_document(1)
        assert await documents.add(a_document(2))
        assert await documents.drop("key", "p", "id_1")
        assert await store.documents.get("key", "p", "id_2") == a_document(2)
        assert await store.documents.get("key", "p", "id_1") is None
        await store.documents.put(a_document(2, body=b"[]"))
        assert await documents.get("key", "p", "id_2") == a_document(2, body=b"[]")


async def test_a_command_makes_a_database_that_a_server_can_open(tmp_path: Path) -> None:
    path = tmp_path / "catena.sqlite3"
    async with open_documents(path) as documents:
        await documents.add(a_document())
    assert path.stat().st_mode & 0o777 == 0o600
    store = await SqliteStore.open(path)
    assert await store.documents.get("key", "p", "id_1") == a_document()
    await store.close()


async def test_what_is_no_database_is_an_error_that_says_so(tmp_path: Path) -> None:
    path = tmp_path / "catena.sqlite3"
    path.write_text("this is a text, and rather no database at all, however long it gets to be")
    with pytest.raises(StoreUnavailable):
        async with open_documents(path):
            pass
