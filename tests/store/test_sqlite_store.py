"""SQLite keeps the promises of `Store`; what it promises beyond; and what it says where it cannot."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import apsw
import pytest

from catena.errors import StoreUnavailable
from catena.store import Page, Store
from catena.store.sql import load_queries
from catena.store.sqlite import SqliteStore
from tests.store.contract import LIMIT, Reopen, StoreContract
from tests.store.contract_files import FileContract
from tests.store.contract_housekeeping import HousekeepingContract
from tests.store.turns import NOW, a_turn, items, running


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


class TestSqliteStore(StoreContract): ...


class TestSqliteFiles(FileContract): ...


class TestSqliteHousekeeping(HousekeepingContract): ...


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(tmp_path / "catena.sqlite3")
    yield store
    await store.close()


async def run(sqlite: SqliteStore, statement: str) -> None:
    """Have the store's own writer do something that the store would not."""
    await sqlite._database.writer.write(lambda connection: connection.execute(statement).fetchall())


async def test_a_full_disk_is_an_error_and_what_was_stored_stays(sqlite: SqliteStore) -> None:
    root, large = a_turn(), a_turn(text="x" * 1_000_000)
    await sqlite.finish(root)
    await run(sqlite, "PRAGMA max_page_count = 1")  # no more than there are
    with pytest.raises(StoreUnavailable, match="FullError"):
        await sqlite.finish(large)
    assert await sqlite.load("default", large.id) is None
    await run(sqlite, "PRAGMA max_page_count = 4294967294")
    await sqlite.finish(large)
    for turn in (root, large):
        assert await sqlite.load("default", turn.id) == turn


async def test_what_cannot_be_read_is_an_error_in_every_verb(sqlite: SqliteStore) -> None:
    turn = a_turn()
    await sqlite.finish(turn)
    await run(sqlite, "ALTER TABLE turns RENAME TO elsewhere")
    verbs: list[Coroutine[Any, Any, object]] = [
        sqlite.load("default", turn.id),
        sqlite.load("never seen", turn.id),
        sqlite.load_chain("default", turn.id),
        sqlite.load_item("default", turn.id.replace("resp_", "msg_")),
        sqlite.load_item("default", "of_a_client"),
        sqlite.load_log("default", turn.id),
        sqlite.list_listed("default", Page()),
        sqlite.list_listed("default", Page(after=turn.id)),
        sqlite.tree("default", turn.id),
        sqlite.waiting(),
        sqlite.usage(),
        sqlite.expire(5),
        sqlite.begin(running()),
        sqlite.finish(a_turn()),
        sqlite.claim("me", 1, limit=1),
        sqlite.renew("me", 1, [turn.id]),
        sqlite.release(turn),
        sqlite.set_fields("default", turn.id, b"{}"),
        sqlite.delete("default", turn.id),
    ]
    for verb in verbs:
        with pytest.raises(StoreUnavailable):
            await verb


async def test_a_large_turn_is_read_in_a_thread_and_a_small_one_at_once(sqlite: SqliteStore) -> None:
    small, long = a_turn(), a_turn(text="x" * 300_000)
    image = a_turn(input=items({"id": "a", "image_url": "data:" + "A" * 300_000}))
    for turn in (small, long, image):
        await sqlite.finish(turn)
    leave = threading.Event()
    for _ in range(2):
        sqlite._database._pool.submit(leave.wait, LIMIT)
    large = [asyncio.create_task(sqlite.load("default", turn.id)) for turn in (long, image)]
    async with asyncio.timeout(LIMIT):
        assert await sqlite.load("default", small.id) == small
        assert not any(task.done() for task in large)
        leave.set()
        assert await asyncio.gather(*large) == [long, image]


async def test_a_large_turn_is_made_ready_in_a_thread_and_holds_no_small_one_up(sqlite: SqliteStore) -> None:
    small, large = a_turn(), a_turn(text="x" * 300_000)
    leave = threading.Event()
    for _ in range(2):
        sqlite._database._pool.submit(leave.wait, LIMIT)
    writing = asyncio.create_task(sqlite.finish(large))
    await asyncio.sleep(0)  # it comes first
    async with asyncio.timeout(LIMIT):
        await sqlite.finish(small)
        assert not writing.done()
        leave.set()
        await writing
    assert await sqlite.load("default", large.id) == large


async def test_a_tree_that_is_continued_while_it_expires_stays(
    sqlite: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = a_turn()
    await sqlite.finish(old)
    expire_tree = sqlite._expire_tree

    async def continued_first(tree: bytes, project: int, before: bytes) -> int:
        await sqlite.finish(a_turn(old, created_at=NOW + 100))
        return await expire_tree(tree, project, before)

    monkeypatch.setattr(sqlite, "_expire_tree", continued_first)
    assert await sqlite.expire(NOW + 50) == 0
    assert await sqlite.load("default", old.id) == old


async def test_the_runs_of_a_server_that_is_gone_wait_for_the_next(store: Store, reopen: Reopen) -> None:
    """Who opens the file is alone with it: the leases that it finds are nobody's."""
    turn = running()
    await store.begin(turn, owner="first", lease=1000)
    again = await reopen()
    (claim,) = await again.claim("second", 1000, limit=5)
    assert (claim.turn.id, claim.tries) == (turn.id, 1)


async def test_statements_use_their_indexes(tmp_path: Path, sqlite: SqliteStore) -> None:
    """What the loop or the writer would have to look through the whole table for holds everybody up."""
    connection = apsw.Connection(str(tmp_path / "catena.sqlite3"))
    queries = load_queries("catena.store.sqlite")
    names = {"tree": b"", "id": b"", "project": 1, "now": 1, "until": 1, "limit": 1, "owner": "", "most": 1}
    for name in ("find", "state", "position", "load", "load_chain", "load_tree", "outline", "turns_of_tree"):
        plan = connection.execute(f"EXPLAIN QUERY PLAN {queries[name]}", names)
        assert not [row[3] for row in plan if row[3].startswith("SCAN t")], name
    for name in ("waiting", "claimable", "renew"):
        plan = connection.execute(f"EXPLAIN QUERY PLAN {queries[name]}", names)
        assert all("INDEX turns_running" in row[3] for row in plan if "SCAN" in row[3]), name
    connection.close()
