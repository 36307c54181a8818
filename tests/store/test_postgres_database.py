"""A PostgreSQL that cannot be reached, does not answer, or is behind a transaction pooler."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
from msgspec.structs import replace as changed

from catena.errors import PreviousResponseNotFound, StoreUnavailable
from catena.store import Page, Store
from catena.store.postgres import PostgresStore
from catena.store.postgres.database import Session
from catena.store.postgres.statements import Q, Statement
from tests.pipe import Pipe, running_pipe
from tests.postgres import TestDatabase
from tests.store.contract import LIMIT, Deletion, Leases, Logs, Reopen, Writes
from tests.store.turns import a_turn, ids_of, replace, running


@pytest.fixture
async def pipe(postgres: TestDatabase) -> AsyncIterator[Pipe]:
    await postgres.empty()
    (socket,) = parse_qs(urlsplit(postgres.url).query)["host"]
    # Names of sockets must be short.
    with tempfile.TemporaryDirectory(prefix="catena-") as folder:
        async with running_pipe(Path(folder), Path(socket)) as pipe:
            yield pipe


@pytest.fixture
async def piped(postgres: TestDatabase, pipe: Pipe) -> AsyncIterator[PostgresStore]:
    (socket,) = parse_qs(urlsplit(postgres.url).query)["host"]
    url = postgres.url.replace(socket, str(pipe.folder))
    store = await PostgresStore.open(changed(postgres.settings, url=url, timeout=0.5))
    yield store
    await store.close()


async def verbs_fail(store: PostgresStore) -> None:
    turn = a_turn()
    for verb in (
        store.finish(turn),
        store.load("default", turn.id),
        store.load_chain("default", turn.id),
        store.claim("me", 1, limit=1),
        store.delete("default", turn.id),
        store.lineage.part("default", turn.id, "tree", page=None),  # type: ignore[arg-type]  # it does not come to that
    ):
        with pytest.raises(StoreUnavailable) as error:
            await verb
        assert error.value.headers["retry-after"]


@pytest.mark.parametrize("how", ["cut", "block"])
async def test_what_is_out_of_reach_is_unavailable_and_then_there_again(
    piped: PostgresStore, pipe: Pipe, how: str
) -> None:
    turn = a_turn()
    await piped.finish(turn)
    async with asyncio.timeout(LIMIT):
        if how == "cut":
            await pipe.cut()
        else:
            pipe.block()
        await verbs_fail(piped)
        await pipe.mend()
        await piped.finish(a_turn(turn))
        assert await piped.load("default", turn.id) == turn


@pytest.mark.parametrize("verb", ["delete", "tree", "lineage", "finish"])
async def test_the_first_to_notice_that_nothing_comes_back_does_not_wait_for_ever(
    piped: PostgresStore, pipe: Pipe, verb: str
) -> None:
    turn = a_turn()
    await piped.finish(turn)
    pipe.block()
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "delete": lambda: piped.delete("default", turn.id),
        "tree": lambda: piped.tree("default", turn.id),
        "lineage": lambda: piped.lineage.part("default", turn.id, "tree", Page()),
        "finish": lambda: piped.finish(a_turn()),
    }
    async with asyncio.timeout(LIMIT):
        with pytest.raises(StoreUnavailable):
            await calls[verb]()
    await pipe.mend()


async def test_writes_that_wait_fail_together_when_the_database_goes(
    piped: PostgresStore, pipe: Pipe
) -> None:
    await piped.finish(a_turn())
    pipe.block()
    async with asyncio.timeout(LIMIT):
        outcomes = await asyncio.gather(*(piped.finish(a_turn()) for _ in range(600)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}


async def test_a_database_that_is_not_there_is_told_at_once(postgres: TestDatabase) -> None:
    for url, why in (
        ("postgresql://postgres@127.0.0.1:1/x", "cannot be reached"),
        (postgres.url.replace("/postgres?", "/nothing?"), "no database of that name"),
        ("postgresql://[", "cannot be used"),
    ):
        with pytest.raises(StoreUnavailable, match=why):
            await PostgresStore.open(changed(postgres.settings, url=url))


async def test_a_connection_on_which_the_database_has_said_goodbye_is_not_used_again(
    postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is closed the driver takes it for one with an operation under way."""
    await postgres.empty()
    store = await PostgresStore.open(changed(postgres.settings, connections=1))
    turn = a_turn()
    await store.finish(turn)
    before = await store._database.fetch(BACKEND, {})
    with monkeypatch.context() as patched, pytest.raises(StoreUnavailable):
        patched.setattr(Session, "fetch", said_goodbye)
        await store.load("default", turn.id)
    assert await store.load("default", turn.id) == turn
    assert await store._database.fetch(BACKEND, {}) != before
    await store.close()


BACKEND = Statement("SELECT pg_backend_pid()", [])


async def said_goodbye(*_: object) -> None:
    raise asyncpg.InternalClientError("another operation is in progress")


async def test_a_password_is_in_no_message(postgres: TestDatabase) -> None:
    settings = changed(postgres.settings, url="postgresql://postgres:geheim@127.0.0.1:1/x")
    assert "geheim" not in repr(settings)
    with pytest.raises(StoreUnavailable) as error:
        await PostgresStore.open(settings)
    assert "geheim" not in str(error.value)


# Group commit


@pytest.fixture
async def store(postgres: TestDatabase) -> AsyncIterator[PostgresStore]:
    await postgres.empty()
    opened = await PostgresStore.open(postgres.settings)
    yield opened
    await opened.close()


async def test_writes_that_wait_share_a_commit(store: PostgresStore) -> None:
    async with asyncio.timeout(LIMIT):
        await asyncio.gather(*(store.finish(a_turn()) for _ in range(200)))
    assert store._writer.writes == 200
    assert store._writer.commits < 20


async def test_one_that_the_database_refuses_takes_nobody_along(store: PostgresStore) -> None:
    turns = [a_turn(text=f"{number}") for number in range(40)]
    turns[7] = replace(turns[7], project="\x00")  # which no text of PostgreSQL can have
    orphan = replace(a_turn(), parent=a_turn().id)
    async with asyncio.timeout(LIMIT):
        outcomes = await asyncio.gather(
            *(store.finish(turn) for turn in [*turns, orphan]), store.begin(running()), return_exceptions=True
        )
    assert isinstance(outcomes[7], StoreUnavailable)
    assert isinstance(outcomes[40], PreviousResponseNotFound)
    assert [place for place, outcome in enumerate(outcomes) if outcome is not None] == [7, 40]
    for turn in turns[:7] + turns[8:]:
        assert await store.load("default", turn.id) == turn


async def test_who_gives_up_waiting_harms_nobody_and_is_stored(store: PostgresStore) -> None:
    turns = [a_turn() for _ in range(20)]
    tasks = [asyncio.create_task(store.finish(turn)) for turn in turns]
    await asyncio.sleep(0)
    tasks[3].cancel()
    async with asyncio.timeout(LIMIT):
        await asyncio.wait(tasks)
        await store.close()
    # What was handed over is done.
    async with asyncio.timeout(LIMIT):
        with pytest.raises(StoreUnavailable):
            await store.load("default", turns[3].id)


async def test_the_clock_of_leases_is_the_databases(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 0.0)
    turn = running()
    await store.begin(turn, owner="me", lease=100)
    assert await store.claim("another", 100, limit=5) == []
    rows: Any = await store._database.fetch(
        changed(Q["waiting"], sql="SELECT extract(epoch FROM lease_until - now()) FROM turns"), {}
    )
    ((left,),) = rows
    assert 0 < left <= 100


# Two servers at once


async def test_a_turn_that_others_hold_a_payload_of_keeps_it(
    postgres: TestDatabase, store: PostgresStore
) -> None:
    """Who stores a payload and who removes its last use meet in either order, and none is lost."""
    other = await PostgresStore.open(postgres.settings)
    image = b'[{"id":"a","image_url":"data:%s"}]' % (b"x" * 5000)
    root = a_turn(input=image)
    await store.finish(root)
    last = root
    async with asyncio.timeout(LIMIT):
        for _ in range(30):
            fresh = a_turn(root, input=image)
            await asyncio.gather(other.finish(fresh), store.delete("default", last.id))
            assert await store.load("default", fresh.id) == fresh
            last = fresh
    await other.close()


async def test_a_tree_expires_whole_or_goes_on_whole(postgres: TestDatabase, store: PostgresStore) -> None:
    other = await PostgresStore.open(postgres.settings)
    async with asyncio.timeout(LIMIT):
        for _ in range(20):
            root = a_turn()
            await store.finish(root)
            child = a_turn(root, created_at=root.created_at + 100)
            removed, added = await asyncio.gather(
                store.expire(root.created_at + 1), other.finish(child), return_exceptions=True
            )
            if added is None:
                assert removed == 0
                assert ids_of(await store.load_chain("default", child.id)) == [root.id, child.id]
            else:
                assert isinstance(added, PreviousResponseNotFound)
                assert removed == 1
            await store.expire(root.created_at + 1000)
    await other.close()


async def test_words_that_are_just_being_taken_go_with_their_turn(postgres: TestDatabase) -> None:
    await postgres.empty()
    searched = await PostgresStore.open(postgres.settings, searched=True)
    other = await PostgresStore.open(postgres.settings, searched=True)
    assert searched._indexing is not None
    async with asyncio.timeout(LIMIT):
        for number in range(30):
            turn = a_turn(text="secret")
            await searched.finish(turn)
            await asyncio.gather(
                searched._indexing.fill(),
                other.delete("default", turn.id) if number % 2 else other.expire(turn.created_at + 1),
            )
            while await searched._indexing.fill():
                pass
            left = await postgres.run("SELECT turn FROM words UNION ALL SELECT turn FROM unworded")
            assert left == []
    for store in (searched, other):
        await store.close()


# Behind a transaction pooler


@pytest.fixture
async def reopen(postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Reopen]:
    await postgres.empty()
    opened: list[PostgresStore] = []

    async def forget(connection: object) -> None:
        await connection.execute("DISCARD ALL")  # type: ignore[attr-defined]  # of asyncpg

    monkeypatch.setattr("catena.store.postgres.database._nothing", forget)

    async def again() -> Store:
        if opened:
            await opened[-1].close()
        opened.append(await PostgresStore.open(changed(postgres.settings, pooled=True, durability="normal")))
        return opened[-1]

    yield again
    await opened[-1].close()


class TestBehindAPooler(Writes, Deletion, Leases, Logs):
    """With a session that is new for each transaction."""

    @pytest.fixture
    async def store(self, reopen: Reopen) -> Store:
        return await reopen()
