"""SQLite looks for words in a file beside the database, which can be lost, and which keeps nothing that was deleted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from catena.store import Store, Turn
from catena.store.lineage import NoSearch
from catena.store.sqlite import SqliteStore, indexing
from tests.store.contract_search import SearchContract, found
from tests.store.turns import NOW, a_turn


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catena.sqlite3"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[Store]:
    store = await SqliteStore.open(path, searched=True)
    yield store
    await store.close()


class TestSqliteSearch(SearchContract): ...


def word() -> str:
    return "".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=16))


def left_of(said: str, folder: Path) -> list[str]:
    """The files in which a word is found, without its beginning, which an index does not repeat."""
    return [
        file.name for file in folder.rglob("*") if file.is_file() and said[4:].encode() in file.read_bytes()
    ]


async def stored(store: Store, *turns: Turn) -> None:
    for turn in turns:
        await store.finish(turn)


async def found_in(path: Path, query: str) -> list[str]:
    """What is found by a store that is opened for it."""
    store = await SqliteStore.open(path, searched=True)
    try:
        return await found(store, query)
    finally:
        await store.close()


async def test_what_was_deleted_is_in_no_file_when_that_is_told(store: Store, path: Path) -> None:
    said = [word() for _ in range(300)]
    turns = [a_turn(text=text) for text in said]
    below = a_turn(turns[1], text=(second := word()))
    old = a_turn(text=(third := word()), created_at=NOW - 100)
    await stored(store, *turns, below, old)
    assert await found(store, said[0]) == [turns[0].id]
    for text in (said[0], said[1], second, third):
        assert left_of(text, path.parent)
    await store.delete("default", turns[0].id)
    assert left_of(said[0], path.parent) == []
    await store.delete("default", turns[1].id, cascade=True)
    assert left_of(said[1], path.parent) == left_of(second, path.parent) == []
    assert await store.expire(NOW - 1) == 1
    assert left_of(third, path.parent) == []
    assert left_of(said[2], path.parent)
    assert await found(store, said[299]) == [turns[299].id]


async def test_what_is_stored_is_added_behind_without_a_search(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "_BEHIND", 0.0)
    store = await SqliteStore.open(path, searched=True)
    search, loop, added = store._search, asyncio.get_running_loop(), asyncio.Event()
    assert search is not None
    fill = search.fill

    def filled(reader: apsw.Connection) -> bool:
        more = fill(reader)
        loop.call_soon_threadsafe(added.set)
        return more

    monkeypatch.setattr(search, "fill", filled)
    await store.finish(a_turn(text=(said := word())))
    async with asyncio.timeout(30):
        await added.wait()
    assert f"{path.name}.search" in left_of(said, path.parent)
    await store.close()


async def test_an_index_that_was_lost_or_broken_is_made_anew(path: Path) -> None:
    store = await SqliteStore.open(path, searched=True)
    turn = a_turn(text="needle")
    await store.finish(turn)
    await store.close()
    index = Path(f"{path}.search")
    index.unlink()
    assert await found_in(path, "needle") == [turn.id]
    index.write_bytes(b"no index at all" * 1000)
    assert await found_in(path, "needle") == [turn.id]
    index.write_bytes(b"")
    assert await found_in(path, "needle") == [turn.id]


async def test_an_index_of_another_database_is_made_anew(path: Path) -> None:
    for text in ("first", "second"):
        store = await SqliteStore.open(path, searched=True)
        turn = a_turn(text=text)
        await store.finish(turn)
        assert await found(store, text) == [turn.id]
        await store.close()
        if text == "first":
            path.unlink()
    assert await found_in(path, "first") == []
    assert await found_in(path, "second") == [turn.id]


async def test_an_index_that_kept_what_was_deleted_when_all_ended_is_made_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await SqliteStore.open(path, searched=True)
    turn = a_turn(text=(said := word()))
    await store.finish(turn)
    assert await found(store, said) == [turn.id]
    with monkeypatch.context() as ending:
        ending.setattr(store._search, "_take_out", lambda *_: None)  # it was killed before
        ending.setattr(store._search, "_marked", False)
        search = store._search
        assert search is not None
        ending.setattr(search, "purge", lambda reader: None)
        await store._database.writer.wipe(
            lambda connection: connection.execute("UPDATE turns SET deleted = 1").fetchall()
        )
    await store.close()
    assert left_of(said, path.parent) != []
    assert await found_in(path, said) == []
    assert f"{path.name}.search" not in left_of(said, path.parent)


async def test_a_deletion_that_was_rolled_back_takes_nothing_out(store: SqliteStore) -> None:
    turn = a_turn(text="needle")
    await store.finish(turn)
    assert await found(store, "needle") == [turn.id]

    def fail(connection: apsw.Connection) -> None:
        connection.execute("UPDATE turns SET deleted = 1")
        raise ValueError("no")

    with pytest.raises(ValueError):
        await store._database.writer.wipe(fail)
    assert await found(store, "needle") == [turn.id]
    await store.delete("default", turn.id)
    assert await found(store, "needle") == []


async def test_the_index_is_right_after_anything_that_may_happen(store: Store) -> None:
    chance = random.Random(5)
    alive: dict[str, Turn] = {}
    for step in range(200):
        kind = chance.random()
        if kind < 0.7 or not alive:
            parent = chance.choice(list(alive.values())) if alive and chance.random() < 0.5 else None
            turn = a_turn(parent, text=f"word{chance.randrange(5)}", created_at=NOW + step)
            await store.finish(turn)
            alive[turn.id] = turn
        elif kind < 0.9:
            for gone in await store.delete(
                "default", chance.choice(list(alive)), cascade=chance.random() < 0.3
            ):
                del alive[gone]
        else:
            await store.expire(NOW + step - 20)
            trees = {sketch for sketch in alive if await store.load("default", sketch) is not None}
            alive = {turn_id: turn for turn_id, turn in alive.items() if turn_id in trees}
        if step % 7 == 0:
            for number in range(5):
                said = f"word{number}".encode()
                assert sorted(await found(store, said.decode())) == sorted(
                    turn_id for turn_id, turn in alive.items() if said in turn.input
                )


async def test_a_store_without_an_index_says_so_and_keeps_none(path: Path) -> None:
    await found_in(path, "needle")
    assert Path(f"{path}.search").exists()
    store = await SqliteStore.open(path)
    with pytest.raises(NoSearch):
        await found(store, "needle")
    await store.close()
    assert not Path(f"{path}.search").exists()


async def test_the_index_is_for_its_owner_only(store: Store, path: Path) -> None:
    assert Path(f"{path}.search").stat().st_mode & 0o077 == 0
