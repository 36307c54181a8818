"""PostgreSQL looks for words in tables that any server fills behind the commits; nothing deleted is kept there."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from catena.store import Page, Turn
from catena.store.lineage import NoSearch, Wanted
from catena.store.postgres import PostgresStore, indexing, lookback, removal
from catena.store.postgres.database import Session
from catena.store.postgres.indexing import Indexing
from catena.store.postgres.lookback import look_back
from catena.store.postgres.statements import Statement
from catena.store.sqlite import SqliteStore
from catena.wire.words import VERSION, terms
from tests.postgres import TestDatabase
from tests.store.contract_search import found
from tests.store.test_postgres_schema import NEWEST, SCHEMA, executed, rows_read, run_script, spread
from tests.store.turns import NOW, a_turn

LIMIT = 60
"""Seconds within which everything here is over."""


@pytest.fixture
async def database(postgres: TestDatabase) -> TestDatabase:
    await postgres.empty()
    return postgres


@pytest.fixture
async def store(database: TestDatabase) -> AsyncIterator[PostgresStore]:
    async with opened(database) as store:
        yield store


@contextlib.asynccontextmanager
async def opened(
    database: TestDatabase, *, searched: bool = True, at_work: bool = True
) -> AsyncIterator[PostgresStore]:
    """A server's store. One that is not `at_work` takes words only when it is asked to."""
    with pytest.MonkeyPatch.context() as patch:
        if not at_work:
            patch.setattr(Indexing, "_go", idle)
        store = await PostgresStore.open(database.settings, searched=searched)
    yield store
    await store.close()


async def idle(_: Indexing) -> None: ...


def indexing_of(store: PostgresStore) -> Indexing:
    assert store._indexing is not None
    return store._indexing


def word() -> str:
    return "".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=16))


async def tables_with(database: TestDatabase, said: str) -> set[str]:
    """The tables that have a word in some column of some row."""
    names = await database.run("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    holding = "SELECT 1 FROM {} t WHERE t::text ~ $1 LIMIT 1"
    pattern = f"{said}|{said.encode().hex()}"
    return {name for (name,) in names if await database.run(holding.format(name), pattern)}


async def rows_in(database: TestDatabase, table: str) -> int:
    ((count,),) = await database.run(f"SELECT count(*) FROM {table}")
    return int(count)


# What is found


CORPUS = (
    "The quick brown fox",
    "a lazy dog, quick to bark",
    "GRÜSSE aus Köln: naïve cafés, Ångström",
    "get_weather(city='Oslo') → 12.5 °C; it's fine",
    "привет мир; γειά σου Κόσμε",
    "mail ada@example.org or see https://example.org/a-b?c=d",
    "x_y x.y x-y 3,14 1e-9 C++ #tag",
    "brown quick, the",
    'she said "brown fox" twice, brown fox',
    "世界, 你好",
)
QUERIES = (
    *("quick", "QUICK fox", "fox dog", '"quick brown"', '"brown quick"', "bar*", "bar", "b* q*", "the* fox*"),
    *("grüsse", "köln koln", "naive CAFES", "angstrom", "cafe*", "привет", "МИР", "κόσμε", "ΚΌΣΜΕ"),
    *("oslo", '"12 5"', "12.5", "it's", "get_weather", "weather", "ada@example.org", "example.org", "a-b"),
    *(
        "x_y",
        "x-y",
        "3,14",
        "c++",
        "#tag",
        '"brown fox" twice',
        '"fox twice"',
        "世界",
        "世*",
        "NOT fox",
        "nothing",
    ),
)


async def test_the_same_is_found_as_in_sqlite(store: PostgresStore, tmp_path: Path) -> None:
    other = await SqliteStore.open(tmp_path / "other.sqlite3", searched=True)
    said = {}
    for text in CORPUS:
        turn = a_turn(text=text)
        said[turn.id] = text
        await store.finish(turn)
        await other.finish(turn)
    for query in QUERIES:
        here, there = await sketches(store, query), await sketches(other, query)
        assert [said[each.id] for each in here] == [said[each.id] for each in there], query
        assert [each.excerpt for each in here] == [each.excerpt for each in there], query
    await other.close()


async def sketches(store: PostgresStore | SqliteStore, query: str) -> Sequence[Any]:
    return (await store.lineage.list_turns("default", Page(ascending=False), Wanted(words=terms(query))))[0]


async def test_words_behind_the_places_that_the_database_counts_are_found(store: PostgresStore) -> None:
    long = a_turn(text="hay " * 40_000 + "the needle", output=b"[]")
    await store.finish(long)
    assert await found(store, "needle hay") == [long.id]


# Filling


async def test_what_is_stored_is_added_behind_without_a_search(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "_SOON", 0.0)
    added = watched(monkeypatch)
    async with opened(database) as store:
        await store.finish(a_turn(text=(said := word())))
        async with asyncio.timeout(LIMIT):
            await added.wait()
        assert "words" in await tables_with(database, said)
        assert await rows_in(database, "unworded") == 0


def watched(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set whenever some words were taken and committed."""
    added, fill = asyncio.Event(), Indexing.fill

    async def filled(self: Indexing) -> bool:
        some = await fill(self)
        if some:
            added.set()
        return some

    monkeypatch.setattr(Indexing, "fill", filled)
    return added


async def test_what_a_server_left_is_done_by_the_next(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = a_turn(text=(said := word()))
    async with opened(database, at_work=False) as died:
        await died.finish(turn)
        assert "words" not in await tables_with(database, said)
    added = watched(monkeypatch)
    async with opened(database), asyncio.timeout(LIMIT):
        await added.wait()
    assert "words" in await tables_with(database, said)


async def test_servers_share_what_is_to_be_done(database: TestDatabase) -> None:
    turns = [a_turn(text="needle") for _ in range(200)]
    async with opened(database, at_work=False) as one, opened(database, at_work=False) as other:
        for turn in turns:
            await one.finish(turn)
        while any(await asyncio.gather(indexing_of(one).fill(), indexing_of(other).fill())):
            pass
    assert await rows_in(database, "words") == 200
    assert await rows_in(database, "unworded") == 0


async def test_what_another_server_is_just_taking_is_waited_for(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = a_turn(text="needle")
    async with opened(database, at_work=False) as one, opened(database, at_work=False) as other:
        await one.finish(turn)
        with held_up(monkeypatch) as (begun, go_on):
            async with asyncio.timeout(LIMIT):
                taking = asyncio.create_task(indexing_of(one).fill())
                await asyncio.to_thread(begun.wait)
                searching = asyncio.create_task(found(other, "needle"))
                await waiting_for_a_lock(database)
                go_on.set()
                assert await searching == [turn.id]
                await taking


async def test_a_search_goes_on_without_what_is_taken_too_slowly(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    early, late = a_turn(text="needle"), a_turn(text="needle")
    async with opened(database, at_work=False) as one, opened(database, at_work=False) as other:
        await one.finish(early)
        await found(one, "needle")
        await one.finish(late)
        monkeypatch.setattr(indexing, "_PATIENCE", "SET LOCAL lock_timeout = '1ms'")
        with held_up(monkeypatch) as (begun, go_on):
            async with asyncio.timeout(LIMIT):
                taking = asyncio.create_task(indexing_of(one).fill())
                await asyncio.to_thread(begun.wait)
                assert await found(other, "needle") == [early.id]
                go_on.set()
                await taking
        assert await found(other, "needle") == [late.id, early.id]


@contextlib.contextmanager
def held_up(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Who takes words next stops between having them and writing them, until it is let go on."""
    begun, go_on = threading.Event(), threading.Event()
    vectors: Callable[[Any], Any] = indexing._vectors

    def slow(turns: Any) -> Any:
        begun.set()
        assert go_on.wait(LIMIT)
        return vectors(turns)

    with monkeypatch.context() as patch:
        patch.setattr(indexing, "_vectors", slow)
        try:
            yield begun, go_on
        finally:
            go_on.set()


async def waiting_for_a_lock(database: TestDatabase) -> None:
    while not await database.run("SELECT 1 FROM pg_locks WHERE NOT granted"):
        pass


async def test_large_turns_are_taken_one_by_one(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "_MOST", 1000)
    async with opened(database, at_work=False) as store:
        for text in ("small", "large " * 1000, "larger " * 1000):
            await store.finish(a_turn(text=text))
        left = []
        while await indexing_of(store).fill():
            left.append(await rows_in(database, "unworded"))
        assert left[-1] == 0
        assert len(left) >= 2
        assert [len(await found(store, query)) for query in ("small", "large", "larger")] == [1, 1, 1]


async def test_a_turn_that_cannot_be_read_holds_nothing_up(
    database: TestDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    broken, turn = a_turn(text="needle"), a_turn(text="needle")
    async with opened(database, at_work=False) as store:
        for each in (broken, turn):
            await store.finish(each)
        await database.run("UPDATE turns SET input = 'needle' WHERE number = (SELECT min(number) FROM turns)")
        assert await found(store, "needle") == [turn.id]
        assert await rows_in(database, "unworded") == 0
    assert "needle" not in caplog.text
    assert "cannot be read" in caplog.text


# On and off


async def test_a_store_without_an_index_says_so_and_keeps_none(database: TestDatabase) -> None:
    turn, said = a_turn(text="needle"), word()
    async with opened(database) as store:
        await store.finish(turn)
        assert await found(store, "needle") == [turn.id]
    async with opened(database, searched=False) as store:
        with pytest.raises(NoSearch):
            await found(store, "needle")
        await store.finish(a_turn(text=said))
    assert [await rows_in(database, table) for table in ("words", "unworded", "lookbacks")] == [0, 0, 0]


async def test_words_that_were_kept_in_clear_go_when_contents_are_encrypted(
    database: TestDatabase, tmp_path: Path
) -> None:
    async with opened(database) as store:
        await store.finish(a_turn(text=(said := word())))
        assert len(await found(store, said)) == 1
    key_file = tmp_path / "contents.keys"
    sealing = await PostgresStore.open(database.settings, searched=True, key_file=key_file)
    assert "words" not in await tables_with(database, said)
    with pytest.raises(NoSearch) as refused:
        await found(sealing, said)
    assert refused.value.encrypted
    await sealing.finish(a_turn(text=(sealed := word())))
    assert await tables_with(database, sealed) == set()
    await sealing.close()


async def test_what_was_stored_while_search_was_off_is_found_once_it_is_on(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookback, "_STEP", 3)
    turns = [a_turn(text="needle", project=project) for project in ("a", "b", "b/c") for _ in range(4)]
    gone = a_turn(turns[0], text="needle")
    async with opened(database, searched=False) as store:
        for turn in (*turns, gone):
            await store.finish(turn)
        await store.delete("a", gone.id)
    async with opened(database, at_work=False) as store:
        for project in ("a", "b", "b/c"):
            mine = [turn.id for turn in turns if turn.project == project]
            assert await found(store, "needle", project) == mine[::-1]
    assert await rows_in(database, "words") == len(turns)


async def test_turns_whose_words_were_taken_by_other_rules_are_taken_anew(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = a_turn(text="needle")
    async with opened(database, at_work=False) as store:
        await store.finish(turn)
        assert await found(store, "needle") == [turn.id]
    await database.run("UPDATE words SET vector = '''other'''")
    async with opened(database, at_work=False) as older:
        assert await found(older, "needle") == []
        for module in (lookback, indexing):
            monkeypatch.setattr(module, "VERSION", VERSION + 1)
        async with opened(database, at_work=False) as newer:
            assert await found(newer, "needle") == [turn.id]
        monkeypatch.undo()
        assert await found(older, "needle") == [turn.id]


async def test_words_can_be_spread_over_partitions(postgres: TestDatabase) -> None:
    async with postgres.another("spread_words") as database:
        await run_script(database, f"{spread(SCHEMA)} CREATE TABLE schema_version (version integer)")
        await database.run("INSERT INTO schema_version VALUES ($1)", NEWEST)
        turns = [a_turn(text="needle") for _ in range(40)]
        async with opened(database, searched=False) as before:
            for turn in turns[:20]:
                await before.finish(turn)
        async with opened(database) as store:
            for turn in turns[20:]:
                await store.finish(turn)
            assert set(await found(store, "needle")) == {turn.id for turn in turns}
            await store.delete("default", turns[0].id)
            await store.expire(NOW + 1)
            assert await rows_in(database, "words") == await rows_in(database, "unworded") == 0


# Deletion


async def test_what_was_deleted_is_in_no_table_when_that_is_told(
    store: PostgresStore, database: TestDatabase
) -> None:
    said = [word() for _ in range(20)]
    turns = [a_turn(text=text) for text in said]
    below = a_turn(turns[1], text=(second := word()))
    old = a_turn(text=(third := word()), created_at=NOW - 100)
    unworded = a_turn(text=(fourth := word()))
    for turn in (*turns, below, old):
        await store.finish(turn)
    assert await found(store, said[0]) == [turns[0].id]
    for text in (said[0], said[1], second, third):
        assert await tables_with(database, text) == {"turns", "words"}
    await store.delete("default", turns[0].id)
    assert await tables_with(database, said[0]) == set()
    await store.delete("default", turns[1].id, cascade=True)
    assert await tables_with(database, f"{said[1]}|{second}") == set()
    assert await store.expire(NOW - 1) == 1
    assert await tables_with(database, third) == set()
    await store.finish(unworded)
    await store.delete("default", unworded.id)
    while await indexing_of(store).fill():
        pass
    assert await tables_with(database, fourth) == set()
    assert await tables_with(database, said[2]) == {"turns", "words"}
    assert await found(store, said[19]) == [turns[19].id]


async def test_a_turn_that_is_being_deleted_while_older_ones_are_looked_for_is_not_found_again(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = a_turn(text="secret")
    async with opened(database, searched=False) as before:
        await before.finish(turn)
    erased, go_on = asyncio.Event(), asyncio.Event()
    drop_payloads = removal.drop_payloads

    async def slowly(*what: Any) -> None:
        await drop_payloads(*what)
        erased.set()
        await go_on.wait()

    monkeypatch.setattr(removal, "drop_payloads", slowly)
    async with opened(database, at_work=False) as one, opened(database, at_work=False) as other:
        async with asyncio.timeout(LIMIT):
            deleting = asyncio.create_task(other.delete("default", turn.id))
            await erased.wait()  # and its words, had there been any; nobody else sees that yet
            looking = asyncio.create_task(taken(one))
            waiting = asyncio.create_task(waiting_for_a_lock(database))
            await asyncio.wait([looking, waiting], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            go_on.set()
            await asyncio.gather(deleting, looking)
        assert await rows_in(database, "words") == 0
        assert await tables_with(database, "secret") == set()


async def taken(store: PostgresStore) -> None:
    while await store._database.transaction(look_back) or await indexing_of(store).fill():
        pass


async def test_the_index_is_right_after_anything_that_may_happen(database: TestDatabase) -> None:
    chance = random.Random(5)
    alive: dict[str, Turn] = {}
    async with opened(database) as one, opened(database) as other:
        for step in range(150):
            kind, store = chance.random(), chance.choice((one, other))
            if kind < 0.7 or not alive:
                parent = chance.choice(list(alive.values())) if alive and chance.random() < 0.5 else None
                turn = a_turn(parent, text=f"word{chance.randrange(5)}", created_at=NOW + step)
                await store.finish(turn)
                alive[turn.id] = turn
            elif kind < 0.9:
                which, cascade = chance.choice(list(alive)), chance.random() < 0.3
                for gone in await store.delete("default", which, cascade=cascade):
                    del alive[gone]
            else:
                await store.expire(NOW + step - 20)
                left = {each for each in alive if await store.load("default", each) is not None}
                alive = {each: turn for each, turn in alive.items() if each in left}
            if step % 7 == 0:
                for number in range(5):
                    said = f"word{number}"
                    expected = sorted(each for each, turn in alive.items() if said.encode() in turn.input)
                    assert sorted(await found(chance.choice((one, other)), said)) == expected


# How it is looked for


async def test_a_search_reads_what_it_shows_and_not_what_others_said(database: TestDatabase) -> None:
    async with opened(database, at_work=False) as store:
        few = [a_turn(text=f"needle {number}") for number in range(5)]
        for turn in few:
            await store.finish(turn)
        for _ in range(6):
            await asyncio.gather(*(store.finish(a_turn(text="needle", project="p")) for _ in range(250)))
        await taken(store)
        assert await rows_in(database, "words") == 1505
        for table in ("words", "turns"):
            await database.run(f"VACUUM ANALYZE {table}")
        for project, count in (("default", 5), ("p", 20)):
            with recorded() as asked:
                assert len(await found_on_a_page(store, project)) == count
            assert await read_from(database, asked, "turns") <= 7 * count
            assert await read_from(database, asked, "words") <= 1100


async def found_on_a_page(store: PostgresStore, project: str) -> Sequence[Any]:
    page = Page(limit=20, ascending=False)
    return (await store.lineage.list_turns(project, page, Wanted(words=terms("needle"))))[0]


@contextlib.contextmanager
def recorded() -> Iterator[list[tuple[Statement, Any]]]:
    """What the database is asked within transactions."""
    asked: list[tuple[Statement, Any]] = []
    fetch = Session.fetch

    async def recording(self: Session, statement: Statement, values: Any) -> Any:
        asked.append((statement, values))
        return await fetch(self, statement, values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "fetch", recording)
        yield asked


async def read_from(database: TestDatabase, asked: Sequence[tuple[Statement, Any]], table: str) -> float:
    """The rows of a table that are read when the database is asked all this again, so often that it chooses between
    plans for these values and for any."""
    read = 0.0
    connection = await asyncpg.connect(database.url)
    for number, (statement, values) in enumerate(asked):
        await connection.execute(f"PREPARE asked{number} AS {statement.sql}")
        given = ", ".join(literal(each) for each in statement.arguments(values))
        for _ in range(10):
            await connection.execute(f"EXECUTE asked{number}({given})")
        told = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE asked{number}({given})")
        nodes = executed(msgspec.json.decode(told)[0]["Plan"])
        read += sum(rows_read(node) for node in nodes if node.get("Relation Name") == table)
    await connection.close()
    return read


def literal(value: Any) -> str:
    match value:
        case None:
            return "NULL"
        case bytes():
            return f"'\\x{value.hex()}'::bytea"
        case str():
            return "'{}'".format(value.replace("'", "''"))
        case list():
            return f"ARRAY[{', '.join(map(literal, value))}]::bytea[]"
        case _:
            return str(value)
