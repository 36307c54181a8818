"""Trees in partitions by the day on which they began: made ahead, and dropped as one without a loss."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace as changed

from catena.errors import PreviousResponseNotFound, StoreUnavailable
from catena.ids import DAY, RING, new_tree
from catena.store import Store, Turn
from catena.store.housekeeping import Expiry, Whose
from catena.store.moving import TreeCopy, TreeName
from catena.store.postgres import Layout, PostgresStore, migrate, partitions, retiring
from catena.store.postgres import store as store_module
from catena.store.postgres.database import Session
from catena.store.postgres.naming import Naming
from catena.store.postgres.partitions import Busy
from catena.store.postgres.periods import TREE_TABLES, day_of, period_called, whole_days
from catena.store.postgres.retiring import Retiring, Sweep
from catena.store.postgres.statements import Q, Statement
from catena.store.rows import key_of
from tests.postgres import TestDatabase, looked_back
from tests.store.contract import Chains, Deletion, Logs, Payloads, Reopen, Retention
from tests.store.contract_housekeeping import HousekeepingContract
from tests.store.contract_search import SearchContract, found
from tests.store.test_conversation_verbs import below, opened
from tests.store.test_postgres_schema import NEWEST, executed, explained, hot, values_for
from tests.store.turns import NOW, a_turn, ids_of, items, message, replace

LIMIT = 60
"""Seconds within which everything here is over."""

DAILY = Layout(days=1)
TODAY = DAILY.period_of(NOW)
IMAGE = "data:image/png;base64," + "A" * 4000


@pytest.fixture(autouse=True)
def at_that_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The days of these tests have statements of their own."""
    monkeypatch.setattr(store_module, "Naming", partial(Naming, clock=lambda: NOW + 7 * DAY))


@pytest.fixture
def few_days(monkeypatch: pytest.MonkeyPatch) -> None:
    """To be done soon."""
    monkeypatch.setattr(partitions, "_AHEAD_DAYS", 1)


@pytest.fixture(scope="session")
def weekly(postgres: TestDatabase) -> list[TestDatabase]:
    """A database in partitions of weeks, once it was made."""
    return []


@pytest.fixture
async def reopen(postgres: TestDatabase, weekly: list[TestDatabase]) -> AsyncIterator[Reopen]:
    if not weekly:
        await postgres.run("CREATE DATABASE weekly")
        weekly.append(postgres.beside("weekly", Layout(days=7)))
    (database,) = weekly
    await database.empty()
    opened: list[PostgresStore] = []

    async def again() -> Store:
        if opened:
            await opened[-1].close()
        opened.append(await PostgresStore.open(database.settings, searched=True))
        await opened[-1].sweep([], now=NOW)
        return await looked_back(opened[-1])

    yield again
    await opened[-1].close()


@pytest.fixture
async def store(reopen: Reopen) -> Store:
    return await reopen()


class TestPartitionedChains(Chains, Deletion, Payloads, Retention, Logs): ...


class TestPartitionedHousekeeping(HousekeepingContract): ...


class TestPartitionedSearch(SearchContract): ...


# Which keys are in which


@pytest.mark.parametrize("days", [1, 7])
def test_the_periods_of_a_ring_of_keys_are_next_to_each_other(days: int) -> None:
    layout = Layout(days=days)
    periods = layout.periods(NOW, ahead=2 * RING // days)
    for one, other in itertools.pairwise(periods):
        assert one.end == other.day * DAY
        assert one.bounds[1] == other.bounds[0] or (one.bounds[1] is None and other.day % RING == 0)
        assert not one.overlaps(other)
    assert periods[0].overlaps(periods[1 + RING // days if RING % days else RING // days])
    assert len({period.name for period in periods}) == len(periods)


@pytest.mark.parametrize("days", [1, 7])
def test_a_partition_is_known_by_its_name(days: int) -> None:
    layout = Layout(days=days)
    for period in layout.periods(NOW, ahead=1500):
        assert period_called(period.table("turns"), layout) == period
    assert period_called("turns_rest", layout) is None


# Made ahead


async def names_of(database: TestDatabase, table: str) -> set[str]:
    rows = await database.run(
        "SELECT relname::text FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = $1::regclass",
        table,
    )
    return {row[0] for row in rows}


async def homes(database: TestDatabase, turn: Turn) -> set[str]:
    """The tables that have a row of the tree of a turn."""
    tree = bytes.fromhex(turn.tree)
    found: set[str] = set()
    for table in TREE_TABLES:
        rows = await database.run(
            f"SELECT DISTINCT tableoid::regclass::text FROM {table} WHERE tree = $1", tree
        )
        found |= {row[0] for row in rows}
    return found


async def test_partitions_of_all_tables_are_made_ahead_once(postgres: TestDatabase) -> None:
    async with postgres.another("ahead") as database:
        assert await migrate(database.settings, DAILY) == (0, NEWEST)
        one, other = [await PostgresStore.open(database.settings) for _ in range(2)]
        there = await names_of(database, "turns")
        assert len(there) == 9  # this day and seven more, and the rest
        async with asyncio.timeout(LIMIT):
            await asyncio.gather(one.sweep([], now=NOW), other.sweep([], now=NOW))
        await one.sweep([], now=NOW)
        made = {period.table("turns") for period in DAILY.periods(NOW, ahead=7)}
        assert await names_of(database, "turns") == there | made
        for table in TREE_TABLES:
            names = {name.replace("turns", table) for name in there | made}
            assert await names_of(database, table) == names
        for each in (one, other):
            await each.close()


@pytest.mark.usefixtures("few_days")
async def test_trees_that_came_before_their_partition_move_into_it(postgres: TestDatabase) -> None:
    async with postgres.another("late") as database:
        await migrate(database.settings, DAILY)
        store = await PostgresStore.open(database.settings, searched=True)
        image = items({"id": "own", "image_url": IMAGE})
        turn, foreign = a_turn(input=image, foreign_ids=["own"]), a_turn(created_at=NOW + 20 * DAY)
        for each in (turn, foreign):
            await store.finish(each)
        assert {name.rpartition("_")[2] for name in await homes(database, turn)} == {"rest"}
        await store.sweep([], now=NOW)
        assert {name.rpartition("_")[2] for name in await homes(database, turn)} == {TODAY.name}
        assert {name.rpartition("_")[2] for name in await homes(database, foreign)} == {"rest"}
        assert await store.load("default", turn.id) == replace(turn, foreign_ids=())
        await store.close()


@pytest.mark.usefixtures("few_days")
async def test_a_table_that_is_new_gets_partitions_for_the_days_there_are(postgres: TestDatabase) -> None:
    async with postgres.another("newer") as database:
        await migrate(database.settings, DAILY)
        before = await names_of(database, "words")
        for name in before - {"words_rest"}:
            await database.run(f"DROP TABLE {name}")
        await migrate(database.settings)
        assert await names_of(database, "words") == before


@pytest.mark.usefixtures("few_days")
async def test_a_database_that_has_tables_is_not_partitioned_afterwards(postgres: TestDatabase) -> None:
    async with postgres.another("plain") as database:
        await migrate(database.settings)
        with pytest.raises(StoreUnavailable, match="for a new database"):
            await migrate(database.settings, DAILY)
    async with postgres.another("other") as database:
        await migrate(database.settings, DAILY)
        with pytest.raises(StoreUnavailable, match="for a new database"):
            await migrate(database.settings, Layout(days=7))
        for again in (DAILY, None):
            assert await migrate(database.settings, again) == (NEWEST, NEWEST)


# Where statements look


@pytest.mark.usefixtures("few_days")
@pytest.mark.parametrize("plans", ["force_custom_plan", "force_generic_plan"])
async def test_each_hot_statement_stays_in_the_partition_of_its_day(
    postgres: TestDatabase, plans: str
) -> None:
    async with postgres.another("daily") as database:
        await migrate(database.settings, DAILY)
        store = await PostgresStore.open(database.settings)
        await store.sweep([], now=NOW)
        conversation = await opened(store)
        image = items({"id": "own", "image_url": IMAGE})
        turn = replace(below(conversation), input=image, foreign_ids=["own"])
        for day in range(3):
            await store.finish(a_turn(created_at=NOW + day * DAY))
        await store.begin(turn, owner="me", lease=100)
        await store.append_log(turn, 0, b"chunks")
        connection = await asyncpg.connect(database.url)
        await connection.execute(f"SET plan_cache_mode = {plans}")
        values = await values_for(store, turn)
        named = {**values, "id": (key_of(conversation.id) or (b"", b""))[1]}
        home = DAILY.period_of(turn.created_at).name
        for name in hot(plans):
            plan = await explained(connection, name, named if name.startswith("conversation") else values)
            looked = {node["Relation Name"] for node in executed(plan) if "Relation Name" in node}
            days = {match[1] for each in looked if (match := re.search(r"_(\d{8}|rest)$", each))}
            assert days == {home}, name
        await connection.close()
        await store.close()


def test_statements_about_one_tree_name_its_period_for_some_periods() -> None:
    time = [NOW]
    naming = Naming(Layout(days=7), clock=lambda: time[0])
    week = Layout(days=7).period_of(NOW)

    def named(name: str, day: int) -> str:
        tree = bytes.fromhex(new_tree((week.day + day) * DAY))
        return naming.named(Q[name], {"tree": tree}).sql

    plain = Q["load_chain"].sql
    assert named("load_chain", 0) is named("load_chain", 6)
    assert named("load_chain", 0).count(week.bounds[0]) == plain.count("tree = $")
    assert named("load_chain", -1) not in (plain, named("load_chain", 0))
    assert named("load_chain", 7) == named("load_chain", -1000) == plain
    assert named("unsealed_turns", 0) == Q["unsealed_turns"].sql  # which goes on from there
    time[0] = week.end
    assert named("load_chain", 7) == plain  # its tables have just begun to grow
    time[0] += 600
    assert named("load_chain", 7) != plain
    assert named("load_chain", 0) != plain


@pytest.mark.parametrize("before", [0, 1, 4095, 4096])
def test_a_key_is_in_the_days_that_it_begins_with(before: int) -> None:
    tree = bytes.fromhex(new_tree(NOW - before * DAY))
    assert day_of(tree) == (NOW // DAY - before) % RING
    assert day_of(tree) in DAILY.period_of(NOW - before * DAY).keys
    first, last = whole_days([tree])
    assert first <= tree <= last
    assert day_of(first) == day_of(last) == day_of(tree)


@pytest.mark.usefixtures("few_days")
@pytest.mark.parametrize("plans", ["force_custom_plan", "force_generic_plan"])
async def test_a_plan_for_a_named_period_has_no_other_partition_in_it(
    postgres: TestDatabase, plans: str
) -> None:
    async with postgres.another("named") as database:
        await migrate(database.settings, DAILY)
        store = await PostgresStore.open(database.settings)
        await store.sweep([], now=NOW)
        turn = a_turn(input=items({"id": "own", "image_url": IMAGE}), foreign_ids=["own"])
        await store.begin(turn, owner="me", lease=100)
        values = await values_for(store, turn)
        naming = Naming(DAILY, clock=lambda: NOW)
        connection = await asyncpg.connect(database.url)
        await connection.execute(f"SET plan_cache_mode = {plans}")
        for name in hot(plans):
            if "tree = ANY" in Q[name].sql:
                continue  # of many trees, and a sweep's
            which = values if "tree" in Q[name].names else values | {"tree": None}
            held = await locked(connection, naming.named(Q[name], which), values)
            days = {match[1] for each in held if (match := re.search(r"_(\d{8}|rest)", each))}
            assert days == {TODAY.name}, name
        await connection.close()
        await store.close()


async def locked(connection: Any, statement: Statement, values: dict[str, Any]) -> set[str]:
    """What is held by who carries out a statement: all tables and indexes that its plan has in it."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.fetch(statement.sql, *statement.arguments(values))
        rows = await connection.fetch(
            "SELECT relation::regclass::text FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'"
        )
    finally:
        await transaction.rollback()
    return {row[0] for row in rows}


@pytest.fixture
async def single(database: TestDatabase) -> AsyncIterator[PostgresStore]:
    """On one connection, which keeps what is prepared on it."""
    store = await PostgresStore.open(changed(database.settings, connections=1))
    await store.sweep([], now=NOW)
    yield store
    await store.close()


PREPARED = Statement(
    "SELECT statement, generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE '%tree%'",
    [],
)


async def kept(store: PostgresStore) -> set[str]:
    """The statements whose plans are kept."""
    rows = await store._database.fetch(PREPARED, {})
    return {row["statement"] for row in rows if row["generic_plans"]}


async def grown(store: PostgresStore, root: Turn) -> Turn:
    """The end of a chain that was read and continued, so often that plans are kept."""
    tip = root
    for _ in range(12):
        tip = a_turn(tip)
        await store.finish(tip)
        await store.load_chain("default", tip.id)
    return tip


@pytest.mark.skipif("CATENA_TEST_PGBOUNCER" in os.environ, reason="behind a pooler nothing is prepared")
async def test_plans_for_trees_of_these_days_are_kept_and_outlive_their_partition(
    database: TestDatabase, single: PostgresStore, other: PostgresStore, new_tables: None
) -> None:
    for day in range(2):
        await a_day(single, 40, NOW + day * DAY)
    await database.run("ANALYZE")
    root = a_turn()
    await single.finish(root)
    tip = await grown(single, root)
    naming = Naming(DAILY, clock=lambda: NOW)
    values = {"tree": bytes.fromhex(root.tree)}
    assert {naming.named(Q[name], values).sql for name in ("finish", "load_chain")} <= await kept(single)
    late = a_turn(tip, created_at=NOW + 5 * DAY)
    await single.finish(late)
    await other.sweep(after(1), now=NOW)  # it stays, in a new table
    assert len(await homes(database, tip)) == 1
    after_that = a_turn(late, created_at=NOW + 5 * DAY)
    await single.finish(after_that)
    assert len(await single.load_chain("default", after_that.id)) == 15
    await other.sweep(after(30), now=NOW)
    assert await single.load("default", tip.id) is None
    with pytest.raises(PreviousResponseNotFound):
        await single.finish(a_turn(after_that))
    again = a_turn()  # of a day that has no partition any more
    await single.finish(again)
    assert await single.load("default", again.id) == again
    assert await homes(database, again) == {"turns_rest"}


# Dropped


@pytest.fixture
async def database(
    request: pytest.FixtureRequest, postgres: TestDatabase, few_days: None
) -> AsyncIterator[TestDatabase]:
    layout = Layout(days=1, shards=getattr(request, "param", 1))
    async with postgres.another("dropping") as database:
        await migrate(database.settings, layout)
        yield database


spread = pytest.mark.parametrize("database", [2], indirect=True)
"""Each partition is spread over two more."""


@pytest.fixture
async def one(database: TestDatabase) -> AsyncIterator[PostgresStore]:
    store = await PostgresStore.open(database.settings, searched=True)
    await store.sweep([], now=NOW)
    yield store
    await store.close()


@pytest.fixture
async def other(database: TestDatabase) -> AsyncIterator[PostgresStore]:
    store = await PostgresStore.open(database.settings, searched=True)
    yield store
    await store.close()


@pytest.fixture
def new_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stays is copied, though it would be less work to remove the rest."""
    monkeypatch.setattr(retiring, "_FEW", 0)


def after(days: int) -> list[Expiry]:
    return [Expiry(older_than=TODAY.end + (days - 1) * DAY)]


async def a_day(store: PostgresStore, count: int = 20, created_at: int = NOW) -> list[Turn]:
    """Trees of two turns with all that a turn can have."""
    stored: list[Turn] = []
    for number in range(count):
        image = items({"id": f"own{number}", "image_url": IMAGE}, message("msg_1", f"said{number} always"))
        root = a_turn(input=image, foreign_ids=[f"own{number}"], created_at=created_at)
        stored += [root, a_turn(root)]
        for turn in stored[-2:]:
            await store.finish(turn)
    return stored


async def test_a_day_whose_trees_are_all_over_is_dropped(database: TestDatabase, one: PostgresStore) -> None:
    turns = await a_day(one)
    tomorrow = a_turn(created_at=NOW + DAY, text="always")
    await one.finish(tomorrow)
    assert await one.sweep([Expiry(older_than=NOW + 1)], now=NOW) == 0  # the day is not over
    assert await one.sweep(after(1), now=NOW) == len(turns)
    assert TODAY.table("turns") not in await names_of(database, "turns")
    assert await one.load("default", turns[0].id) is None
    assert await one.load_item("default", "own0") is None
    assert await homes(database, turns[0]) == set()
    assert await found(one, "always") == [tomorrow.id]
    with pytest.raises(PreviousResponseNotFound):
        await one.finish(a_turn(turns[0]))
    left = await database.run("SELECT relname FROM pg_class WHERE relname LIKE $1", f"%{TODAY.name}%")
    assert left == []


@pytest.mark.parametrize(("few", "database"), [(0, 1), (0, 2), (10_000, 1)], indirect=["database"])
async def test_what_lives_on_stays_whole(
    database: TestDatabase, one: PostgresStore, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(retiring, "_FEW", few)
    turns = await a_day(one)
    continued = a_turn(turns[0], created_at=NOW + 5 * DAY)
    conversation = await opened(one)
    said = below(conversation)
    longer = a_turn(None, project="longer/ann", text="always")
    await one.begin(said, owner="me", lease=100)
    await one.finish(replace(said, status="completed"))
    for turn in (continued, longer, a_turn(None, project="shorter")):
        await one.finish(turn)
    terms = [
        Expiry(older_than=TODAY.end, whose=Whose(but={"longer", "shorter"})),
        Expiry(older_than=TODAY.end + 2 * DAY, whose=Whose(only={"shorter"})),
    ]
    assert await one.sweep(terms, now=NOW) == len(turns) - 2 + 1
    chain = await one.load_chain("default", continued.id)
    assert ids_of(chain) == [turns[0].id, continued.id]
    assert chain[0].input == turns[0].input
    assert await one.load_item("default", "own0") is not None
    assert await one.load_item("default", "own1") is None
    assert ids_of(await one.conversation_chain(said.project, conversation.id))[-1] == said.id
    assert await one.load("longer/ann", longer.id) == longer
    assert await found(one, "always") == [turns[0].id]
    assert await homes(database, turns[2]) == set()
    assert TODAY.table("turns") in await names_of(database, "turns")
    await one.finish(a_turn(continued, created_at=NOW + 6 * DAY))
    assert await one.sweep(terms, now=NOW) == 0
    terms = [Expiry(older_than=NOW + 30 * DAY)]
    await one.sweep(terms, now=NOW)
    assert await one.load("default", continued.id) is None
    assert await one.load_conversation(said.project, conversation.id) is not None


@spread
@pytest.mark.usefixtures("new_tables")
async def test_what_is_written_while_a_day_is_copied_is_there_afterwards(
    database: TestDatabase, one: PostgresStore, other: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = await a_day(one, 8)
    living = a_turn(turns[0], created_at=NOW + 5 * DAY)
    await one.finish(living)
    late = a_turn(turns[2], created_at=NOW + 6 * DAY, text="late")
    again = a_turn(living, created_at=NOW + 6 * DAY, text="again")
    lock = Retiring._lock

    async def first(self: Retiring, session: Any) -> None:
        if not await other.load("default", late.id):
            await other.finish(late)  # continues what is not copied
            await other.finish(again)
            await other.delete("default", turns[1].id)  # of what is copied
        await lock(self, session)

    monkeypatch.setattr(Retiring, "_lock", first)
    async with asyncio.timeout(LIMIT):
        await one.sweep(after(1), now=NOW)
    assert ids_of(await one.load_chain("default", late.id)) == [turns[2].id, late.id]
    assert ids_of(await one.load_chain("default", again.id)) == [turns[0].id, living.id, again.id]
    assert await one.load("default", turns[1].id) is None
    assert (await one.tree("default", turns[0].id))[1].deleted
    assert await homes(database, turns[4]) == set()
    assert await found(one, "late") == [late.id]


@pytest.mark.usefixtures("new_tables")
async def test_new_tables_that_another_server_made_meanwhile_are_left_alone(
    one: PostgresStore, other: PostgresStore
) -> None:
    turns = await a_day(one, 4)
    living = a_turn(turns[0], created_at=NOW + 5 * DAY)
    await one.finish(living)
    late = Retiring(DAILY, TODAY, after(1))
    await one._database.transaction(late.watch)
    assert await other.sweep(after(1), now=NOW) == len(turns) - 2
    with pytest.raises(Busy):  # nothing notes what is written to those
        await one._database.transaction(late.replace)
    await other.sweep(after(30), now=NOW)
    for step in (late.weigh, late.watch, late.replace):
        with pytest.raises(Busy):  # it is gone
            await one._database.transaction(step)


@pytest.mark.usefixtures("new_tables")
async def test_trees_that_are_continued_meanwhile_go_on_whole_or_are_gone(
    one: PostgresStore, other: PostgresStore
) -> None:
    turns = await a_day(one, 40)
    living = a_turn(turns[0], created_at=NOW + 5 * DAY)
    await one.finish(living)
    kept: list[Turn] = []
    done = asyncio.Event()

    async def go_on() -> None:
        tips = list(turns[1::2])
        while not done.is_set() and tips:
            place = random.randrange(len(tips))
            child = a_turn(tips[place], created_at=NOW + 5 * DAY)
            try:
                await other.finish(child)
            except PreviousResponseNotFound:
                del tips[place]
            else:
                tips[place] = child
                kept.append(child)

    async def sweep() -> None:
        await one.sweep(after(1), now=NOW)
        done.set()

    async with asyncio.timeout(LIMIT):
        await asyncio.gather(sweep(), go_on())
    assert kept
    for turn in kept:
        chain = await one.load_chain("default", turn.id)
        assert chain[-1].id == turn.id
        assert chain[0].parent is None
        assert IMAGE.encode() in chain[0].input


async def test_while_somebody_reads_everything_nothing_is_dropped_and_nobody_waits_for_it(
    database: TestDatabase, one: PostgresStore, other: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retiring, "_TRIES", 2)
    monkeypatch.setattr(retiring, "_PAUSE", 0)
    turns = await a_day(one, 3)
    reader = await asyncpg.connect(database.url)
    transaction = reader.transaction()
    await transaction.start()
    await reader.fetch("SELECT count(*) FROM turns")
    async with asyncio.timeout(LIMIT):
        assert await one.sweep(after(1), now=NOW) == 0
        assert await other.load("default", turns[1].id) == turns[1]
        await transaction.rollback()
        assert await one.sweep(after(1), now=NOW) == len(turns)
    await reader.close()


@pytest.mark.parametrize("database", [1, 2], indirect=True)
async def test_a_sweep_that_was_put_off_is_put_off_again_while_somebody_reads_on(
    database: TestDatabase, one: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retiring, "_TRIES", 1)
    turns = await a_day(one, 3)
    reader = await asyncpg.connect(database.url)
    async with asyncio.timeout(LIMIT):
        async with reader.transaction():
            await reader.fetch("SELECT count(*) FROM turns")
            for _ in range(2):
                assert await one.sweep(after(1), now=NOW) == 0
        assert await one.sweep(after(1), now=NOW) == len(turns)
    assert await database.run("SELECT 1 FROM touched_trees") == []
    await reader.close()


@pytest.mark.usefixtures("new_tables")
async def test_what_is_read_as_of_one_moment_waits_for_the_change_and_misses_nothing(
    database: TestDatabase, one: PostgresStore, other: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = await a_day(one, 4)
    living = a_turn(turns[0], created_at=NOW + 5 * DAY)
    await one.finish(living)
    reading: list[asyncio.Task[TreeCopy]] = []
    lock = Retiring._lock

    async def then_read(self: Retiring, session: Any) -> None:
        await lock(self, session)
        reading.append(asyncio.create_task(other.copy_tree(TreeName(living.tree, "default"))))
        while not await database.run("SELECT 1 FROM pg_locks WHERE NOT granted"):
            assert not reading[0].done()

    monkeypatch.setattr(Retiring, "_lock", then_read)
    async with asyncio.timeout(LIMIT):
        await one.sweep(after(1), now=NOW)
        copy = await reading[0]
    assert {turn.id for turn in copy.turns} == {turns[0].id, turns[1].id, living.id}


async def test_who_reads_statistics_of_a_table_puts_off_the_partition_and_not_the_sweep(
    database: TestDatabase, one: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "_WAIT", "50ms")
    old = a_turn(created_at=NOW - 100 * DAY)  # in no partition
    await one.finish(old)
    reader = await asyncpg.connect(database.url)
    async with asyncio.timeout(LIMIT), reader.transaction():
        await reader.execute("LOCK TABLE ONLY turns IN SHARE UPDATE EXCLUSIVE MODE")  # as ANALYZE does
        assert await one.sweep(after(0), now=NOW + 9 * DAY) == 1
    await reader.close()


async def test_a_partition_that_another_server_drops_meanwhile_ends_no_sweep(
    one: PostgresStore, other: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = await a_day(one, 2)
    tomorrow = a_turn(created_at=NOW + DAY)
    for turn in (a_turn(turns[0], created_at=NOW + 5 * DAY), tomorrow):
        await one.finish(turn)
    walk = Sweep._walk

    async def then_walk(self: Sweep, place: str) -> int:
        monkeypatch.setattr(Sweep, "_walk", walk)
        assert await other.sweep([Expiry(older_than=TODAY.end + 9 * DAY)], now=NOW) == 6
        return await walk(self, place)

    async def rest_first(self: Sweep, place: str) -> int:
        monkeypatch.setattr(Sweep, "_walk", then_walk)
        return await walk(self, place)

    monkeypatch.setattr(Sweep, "_walk", rest_first)
    async with asyncio.timeout(LIMIT):
        assert await one.sweep(after(1), now=NOW) == 0


@pytest.mark.usefixtures("new_tables")
async def test_new_tables_have_the_indexes_of_those_before(
    database: TestDatabase, one: PostgresStore
) -> None:
    turns = await a_day(one, 4)

    async def indexes() -> set[tuple[str, str]]:
        rows = await database.run(
            "SELECT tablename::text, regexp_replace(indexdef, '^.* USING ', '') FROM pg_indexes "
            "WHERE tablename LIKE $1",
            f"%{TODAY.name}",
        )
        return {(row[0], row[1]) for row in rows}

    async def checks() -> int:
        ((count,),) = await database.run("SELECT count(*) FROM pg_constraint WHERE contype = 'c'")
        return int(count)

    before, checked = await indexes(), await checks()
    for days in (5, 6):
        await one.finish(a_turn(turns[0], created_at=NOW + days * DAY))
        assert await one.sweep(after(1), now=NOW) > 0 or days > 5
    assert (await indexes(), await checks()) == (before, checked)


@pytest.mark.usefixtures("new_tables")
async def test_what_is_done_while_all_wait_looks_into_no_other_day_and_reads_what_stays_no_more(
    database: TestDatabase, one: PostgresStore, other: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = await a_day(one, 4)
    await one.finish(a_turn(created_at=NOW + DAY))
    await one.finish(a_turn(turns[0], created_at=NOW + 5 * DAY))
    looked: set[str] = set()
    told: list[str] = []
    catch_up, lock, attach = Retiring._catch_up, Retiring._lock, partitions.attach

    async def continued(self: Retiring, session: Any) -> None:
        if not looked:
            await other.finish(a_turn(turns[2], created_at=NOW + 5 * DAY))
        await lock(self, session)

    async def watched(self: Retiring, session: Any) -> None:
        before = await scans(session)
        await catch_up(self, session)
        looked.update(name for name, count in (await scans(session)).items() if count > before[name])
        await session.execute("SET LOCAL client_min_messages = debug1")

    async def attached(session: Any, *which: Any) -> None:
        def listen(_: object, message: Any) -> None:
            told.append(message.message)

        session._connection.add_log_listener(listen)
        await attach(session, *which)
        session._connection.remove_log_listener(listen)

    monkeypatch.setattr(retiring, "attach", attached)
    monkeypatch.setattr(Retiring, "_lock", continued)
    monkeypatch.setattr(Retiring, "_catch_up", watched)
    async with asyncio.timeout(LIMIT):
        await one.sweep(after(1), now=NOW)
    days = {match[1] for name in looked if (match := re.search(r"_(\d{8})", name))}
    assert days == {TODAY.name}
    implied = [line for line in told if "is implied by existing constraints" in line and TODAY.name in line]
    assert len(implied) >= len(TREE_TABLES)


async def scans(session: Any) -> dict[str, int]:
    """How often each table and each of its indexes was gone through in the transaction."""
    rows = await session._connection.fetch(
        "SELECT relname::text AS name, pg_stat_get_xact_numscans(oid) AS count FROM pg_class "
        "WHERE relkind IN ('r', 'i')"
    )
    return {row["name"]: row["count"] for row in rows}


async def test_partitions_are_replaced_one_after_another_and_who_waits_holds_no_table(
    database: TestDatabase, one: PostgresStore, other: PostgresStore
) -> None:
    """Else two servers would keep each other from the tables that each has to have alone, and all requests wait."""
    turns = await a_day(one, 3)
    sweeping: list[asyncio.Task[int]] = []

    async def replacing(session: Session) -> None:
        await session.fetch(Q["await_name"], {"kind": "replace"})
        sweeping.append(asyncio.create_task(one.sweep(after(1), now=NOW)))
        waiting = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while not (rows := await database.run(waiting)):
            assert not sweeping[0].done()
        held = await database.run(
            "SELECT 1 FROM pg_locks WHERE pid = $1 AND relation = ANY($2::regclass[])",
            rows[0]["pid"],
            [*TREE_TABLES, *(f"{table}_rest" for table in TREE_TABLES)],
        )
        assert held == []

    async with asyncio.timeout(LIMIT):
        await other._database.transaction(replacing)
        assert await sweeping[0] == len(turns)


async def test_servers_that_sweep_at_the_same_time_remove_each_tree_once(
    one: PostgresStore, other: PostgresStore
) -> None:
    stored = 0
    for day in range(3):
        for _ in range(5):
            root = a_turn(created_at=NOW + day * DAY)
            await one.finish(root)
            stored += 1
    for _ in range(20):
        await one.finish(a_turn(created_at=NOW - 100 * DAY))  # in no partition
        stored += 1
    async with asyncio.timeout(LIMIT):
        removed = await asyncio.gather(one.sweep(after(4), now=NOW), other.sweep(after(4), now=NOW))
    removed_later = await one.sweep(after(4), now=NOW)
    assert sum(removed) + removed_later == stored
    assert (await one.usage()).turns == 0
