"""The tables of PostgreSQL: what migrations make of them, who may use which, and that a tree is in one place."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Iterator, Set
from importlib import resources
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from catena.errors import StoreUnavailable
from catena.store import Turn
from catena.store.postgres import PostgresStore, migrate
from catena.store.postgres.rows import those
from catena.store.postgres.statements import Q
from catena.store.rows import key_of
from catena.store.sql import load_migrations
from tests.postgres import TestDatabase
from tests.store.test_conversation_verbs import below, opened
from tests.store.turns import a_turn, items, replace, running

NEWEST = len(load_migrations("catena.store.postgres"))
SCHEMA = (resources.files("catena.store.postgres") / "schema.sql").read_text()

SHAPE = """
SELECT 'column', table_name, column_name, data_type, is_nullable, column_default, collation_name, ordinal_position::text
FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'schema_version'
UNION ALL
SELECT 'index', tablename, indexname, indexdef, '', '', '', '' FROM pg_indexes
WHERE schemaname = 'public' AND tablename <> 'schema_version'
UNION ALL
SELECT 'sequence', sequencename, data_type::text, '', '', '', '', '' FROM pg_sequences WHERE schemaname = 'public'
ORDER BY 1, 2, 3
"""

PARTS = 8
SPREAD = (
    "turns",
    "payloads",
    "payload_uses",
    "foreign_items",
    "logs",
    "conversations",
    "signals",
    "removals",
    "words",
    "unworded",
)


async def test_the_schema_is_what_all_migrations_make(postgres: TestDatabase) -> None:
    async with postgres.another("migrated") as migrated, postgres.another("written") as written:
        assert await migrate(migrated.settings) == (0, NEWEST)
        await run_script(written, SCHEMA)
        assert await migrated.run(SHAPE) == await written.run(SHAPE)


async def run_script(database: TestDatabase, script: str) -> None:
    connection = await asyncpg.connect(database.url)
    await connection.execute(script)
    await connection.close()


async def test_to_migrate_again_changes_nothing(postgres: TestDatabase) -> None:
    async with postgres.another("twice") as database:
        await migrate(database.settings)
        turn = a_turn()
        store = await PostgresStore.open(database.settings)
        await store.finish(turn)
        assert await migrate(database.settings) == (NEWEST, NEWEST)
        assert await store.load("default", turn.id) == turn
        await store.close()


async def test_a_database_without_tables_is_refused_with_the_command_that_makes_them(
    postgres: TestDatabase,
) -> None:
    async with postgres.another("empty") as database:
        with pytest.raises(StoreUnavailable, match=r"has no tables of Catena.* Run: catena migrate"):
            await PostgresStore.open(database.settings)


async def test_an_older_database_is_refused_with_the_command_that_helps(postgres: TestDatabase) -> None:
    async with postgres.another("older") as database:
        await migrate(database.settings)
        await database.run("UPDATE schema_version SET version = 1")
        with pytest.raises(StoreUnavailable, match=rf"schema 1.*needs schema {NEWEST}. Run: catena migrate"):
            await PostgresStore.open(database.settings)


async def test_a_newer_database_is_refused_and_not_migrated(postgres: TestDatabase) -> None:
    async with postgres.another("newer") as database:
        await migrate(database.settings)
        await database.run("UPDATE schema_version SET version = 99")
        for use in (PostgresStore.open, migrate):
            with pytest.raises(StoreUnavailable, match=r"newer Catena.*schema 99"):
                await use(database.settings)


def spread(schema: str) -> str:
    """The schema with everything that is found by its tree in partitions."""
    for table in SPREAD:
        made = re.compile(rf"(CREATE TABLE {table} \(.*?\n\));", re.DOTALL)
        parts = "".join(
            f"\nCREATE TABLE {table}_part{part} PARTITION OF {table}"
            f" FOR VALUES WITH (MODULUS {PARTS}, REMAINDER {part});"
            for part in range(PARTS)
        )
        schema, count = made.subn(rf"\1 PARTITION BY HASH (tree);{parts}", schema)
        assert count == 1
    return schema


async def test_the_script_that_spreads_a_new_database_makes_the_tables_of_this_version(
    postgres: TestDatabase,
) -> None:
    process = await asyncio.create_subprocess_exec(
        Path(__file__).parents[2] / "deploy" / "shards.sh",
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    made, _ = await process.communicate()
    parts = "SELECT count(*) FROM pg_inherits WHERE inhparent = to_regclass($1)"
    async with postgres.another("script") as database:
        await run_script(database, made.decode())
        assert await migrate(database.settings) == (NEWEST, NEWEST)
        for table in SPREAD:
            assert (await database.run(parts, table))[0][0] == PARTS
        store = await PostgresStore.open(database.settings)
        await store.finish(turn := a_turn())
        assert await store.load("default", turn.id) == turn
        await store.close()


HOT = (
    "begin",
    "finish",
    "append_log",
    "load",
    "load_chain",
    "conversation_chain",
    "conversation",
    "state",
    "load_log",
    "progress",
    "removals",
    "renew",
    "release",
    "erase",
    "erase_around",
    "lock_payloads",
    "load_tree",
    "drop_words",
    "drop_unworded_turns",
    "hold_trees",
    "judged_trees",
    "drop_trees",
    "drop_words_of_trees",
    "drop_unworded_trees",
)
"""The statements by which turns are made, read and removed."""

OF_MANY = {
    "renew",
    "hold_trees",
    "judged_trees",
    "drop_trees",
    "drop_words_of_trees",
    "drop_unworded_trees",
}
"""Those about several trees at once. They are planned for the ones at hand: a plan for any would look everywhere, and
costs so much that PostgreSQL does not keep it by itself."""


@pytest.mark.parametrize("plans", ["force_custom_plan", "force_generic_plan"])
async def test_each_hot_statement_stays_in_the_partition_of_its_tree(
    postgres: TestDatabase, plans: str
) -> None:
    async with postgres.another("spread") as database:
        await run_script(database, f"{spread(SCHEMA)} CREATE TABLE schema_version (version integer)")
        await database.run("INSERT INTO schema_version VALUES ($1)", NEWEST)
        store = await PostgresStore.open(database.settings)
        conversation = await opened(store)
        image = items({"id": "own", "image_url": "data:" + "x" * 5000})
        turn = replace(below(conversation), input=image, foreign_ids=["own"])
        for _ in range(40):
            await store.finish(a_turn())
        await store.begin(turn, owner="me", lease=100)
        await store.append_log(turn, 0, b"chunks")
        connection = await asyncpg.connect(database.url)
        await connection.execute(f"SET plan_cache_mode = {plans}")
        values = await values_for(store, turn)
        named = {**values, "id": (key_of(conversation.id) or (b"", b""))[1]}
        for name in hot(plans):
            of = named if name.startswith("conversation") else values
            assert len(await touched(connection, name, of)) == 1, name
        assert len(await touched(connection, "waiting", {})) == PARTS  # as it is about all trees
        await connection.close()
        await store.close()


@pytest.mark.parametrize("plans", ["force_custom_plan", "force_generic_plan"])
async def test_a_chain_is_read_along_its_keys_though_the_planner_knows_nothing_of_the_table(
    postgres: TestDatabase, plans: str
) -> None:
    async with postgres.another("unknown") as database:
        await migrate(database.settings)
        await leave_unknown(database)
        store = await PostgresStore.open(database.settings)
        turns = [a_turn()]
        for _ in range(199):
            turns.append(a_turn(turns[-1]))
        for turn in turns:
            await store.finish(turn)
        await store.close()
        connection = await asyncpg.connect(database.url)
        await connection.execute(f"SET plan_cache_mode = {plans}")
        tree, rest = key_of(turns[-1].id) or (b"", b"")
        which = {"tree": tree, "id": rest, "project": "default"}
        for most, least, greatest in ((None, 190, 210), (10, 10, 12)):
            plan = await explained(connection, "load_chain", {**which, "most": most})
            read = sum(rows_read(node) for node in executed(plan) if node.get("Relation Name") == "turns")
            assert least <= read <= greatest
        await connection.close()


@pytest.mark.parametrize("plans", ["force_custom_plan", "force_generic_plan"])
async def test_a_statement_about_one_turn_reads_no_other_though_the_planner_knows_nothing_of_the_table(
    postgres: TestDatabase, plans: str
) -> None:
    async with postgres.another("many") as database:
        await migrate(database.settings)
        await leave_unknown(database)
        store = await PostgresStore.open(database.settings)
        image = items({"id": "own", "image_url": "data:" + "x" * 5000})
        turns = [running(input=image) for _ in range(100)]
        for turn in turns:
            await store.begin(turn, owner="me", lease=100)
            await store.finish(a_turn(listed=True))
            await opened(store)
        values = await values_for(store, turns[50])
        await store.close()
        connection = await asyncpg.connect(database.url)
        await connection.execute(f"SET plan_cache_mode = {plans}")
        for name in hot(plans) - {"load_tree", "renew"}:  # which are about many turns
            plan = await explained(connection, name, values)
            read = sum(rows_read(node) for node in executed(plan) if "Relation Name" in node)
            assert read < 10, name
        await connection.close()


async def leave_unknown(database: TestDatabase) -> None:
    """Keep the server from counting rows by itself: in a table of two pages it would rightly read them all."""
    tables = await database.run(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    for (name,) in tables:
        await database.run(f"ALTER TABLE {name} SET (autovacuum_enabled = off)")


def rows_read(node: dict[str, Any]) -> float:
    kept: float = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    loops: float = node["Actual Loops"]
    return kept * loops


def hot(plans: str) -> Set[str]:
    """The statements that may have such plans."""
    return {*HOT} - (OF_MANY if plans == "force_generic_plan" else set())


async def values_for(store: PostgresStore, turn: Turn) -> dict[str, Any]:
    """What every statement may want to know about a turn that runs."""
    tree, rest = key_of(turn.id) or (b"", b"")
    begun = await store._turns.begun(replace(turn, conversation=None))
    more = {"batch": 0, "chunks": b"more", "notify_at": 1.0, "event_type": "response.completed", "lease": 1.0}
    many = {**those([(tree, rest)]), "owner": "me", "but": [], "most": None}
    terms: dict[str, Any] = {"projects": [], "befores": [], "before": ""}
    return {**begun, **more, **many, **terms, "request": b"", "conversation": None}


async def touched(connection: Any, name: str, values: dict[str, Any]) -> set[str]:
    """The partitions that a statement looks into or writes to."""
    plan = await explained(connection, name, values)
    relations = {node["Relation Name"] for node in executed(plan) if "Relation Name" in node}
    assert relations & {f"{table}_part{part}" for table in SPREAD for part in range(PARTS)}, name
    return {found[1] for relation in relations if (found := re.search(r"_part(\d)$", relation))}


async def explained(connection: Any, name: str, values: dict[str, Any]) -> dict[str, Any]:
    """How a statement was carried out, and taken back.

    It is one that was prepared: of any other, whatever `plan_cache_mode` says, the plan is for the values at hand.
    """
    statement = Q[name]
    kinds = dict(re.findall(r"\$(\d+)::(\w+(?:\[\])?)", statement.sql))
    literals = [
        await connection.fetchval(f"SELECT quote_nullable($1::{kinds[number]}::text)", value)
        for number, value in zip(sorted(kinds, key=int), statement.arguments(values), strict=True)
    ]
    given = f"({', '.join(literals)})" if literals else ""
    await connection.execute(f"PREPARE explained AS {statement.sql}")
    transaction = connection.transaction()
    await transaction.start()
    try:
        told = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE explained{given}")
    finally:
        await transaction.rollback()
        await connection.execute("DEALLOCATE explained")
    (found,) = msgspec.json.decode(told)
    plan: dict[str, Any] = found["Plan"]
    return plan


def executed(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if node.get("Actual Loops"):
        yield node
        for inner in node.get("Plans", ()):
            yield from executed(inner)
