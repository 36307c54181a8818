"""A PostgreSQL that is there and cannot be used: what is told, what can be done about it, and that it is gone on with
once it can be."""

from __future__ import annotations

import asyncpg
import pytest
from msgspec.structs import replace as changed

from catena.errors import StoreUnavailable
from catena.store.postgres import PostgresStore, migrate
from catena.store.postgres.database import is_out_of_reach
from catena.store.postgres.troubles import trouble
from tests.postgres import TestDatabase
from tests.store.turns import a_turn

READ_ONLY = 'ALTER DATABASE "{}" SET default_transaction_read_only = {}'


@pytest.mark.parametrize(
    ("options", "why", "advice"),
    [
        ("postgresql://postgres@127.0.0.1:1/x", "refused the connection", "Is it running"),
        ("postgresql://postgres@nowhere.invalid/x", "its host is not known", "Correct the host"),
        ("postgresql:///x?host=/nowhere", "its socket is not there", "Is it running"),
        ("postgresql://postgres@127.0.0.1/x?sslmode=quite", "`sslmode` parameter", "USER@HOST:PORT/NAME"),
        ("postgresql://postgres@127.0.0.1:port/x", "URL cannot be used", "USER@HOST:PORT/NAME"),
    ],
)
async def test_a_url_that_leads_nowhere_is_told_with_what_to_correct(
    postgres: TestDatabase, options: str, why: str, advice: str
) -> None:
    with pytest.raises(StoreUnavailable) as error:
        await PostgresStore.open(changed(postgres.settings, url=options))
    assert why in error.value.message
    assert advice in error.value.advice
    assert str(error.value) == f"{error.value.message} {error.value.advice}"
    assert error.value.body()["message"] == error.value.message  # which is all that clients hear


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE turns (number integer)",
        "CREATE TABLE schema_version (version text); INSERT INTO schema_version VALUES ('1.0')",
        "CREATE TABLE schema_version (version integer); INSERT INTO schema_version VALUES (3)",
        "CREATE TABLE schema_version (number integer); INSERT INTO schema_version VALUES (3)",
    ],
)
async def test_tables_of_another_program_are_left_as_they_are(postgres: TestDatabase, made: str) -> None:
    async with postgres.another("others") as database:
        for statement in made.split("; "):
            await database.run(statement)
        tables = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        before = await database.run(tables)
        for use in (migrate, PostgresStore.open):
            with pytest.raises(StoreUnavailable) as error:
                await use(database.settings)
            assert "search_path" in error.value.advice or "catena migrate" in error.value.advice
        assert await database.run(tables) == before


async def test_a_schema_of_its_own_is_beside_the_tables_of_another_program(postgres: TestDatabase) -> None:
    async with postgres.another("beside") as database:
        await database.run("CREATE TABLE turns (number integer)")
        # A session's settings do not come through a pooler.
        own = changed(database.settings, url=f"{database.url}&search_path=own", pooled=False)
        with pytest.raises(StoreUnavailable, match="CREATE SCHEMA"):
            await migrate(own)
        await database.run("CREATE SCHEMA own")
        await migrate(own)
        store = await PostgresStore.open(own)
        await store.finish(turn := a_turn())
        assert await store.load("default", turn.id) == turn
        await store.close()


async def test_a_database_that_can_only_be_read_is_left_for_the_one_that_can_be_written(
    postgres: TestDatabase,
) -> None:
    """As after a failover, when the name of the primary leads to what was a standby before."""
    async with postgres.another("standby") as database:
        await migrate(database.settings)
        await postgres.run(READ_ONLY.format("standby", "on"))
        straight = changed(database.settings, url=database.url, pooled=False, connections=1)
        store = await PostgresStore.open(straight)
        with pytest.raises(StoreUnavailable, match="can only be read") as error:
            await store.finish(a_turn())
        assert is_out_of_reach(error.value)
        assert "target_session_attrs=read-write" in error.value.advice
        await postgres.run(READ_ONLY.format("standby", "off"))
        await store.finish(turn := a_turn())
        assert await store.load("default", turn.id) == turn
        await store.close()


def test_what_is_not_known_is_told_by_its_class_and_number_and_never_by_what_the_database_says() -> None:
    told = trouble("The store could not be written", asyncpg.DataError("invalid input: secret"))
    assert told.message == "The store could not be written: DataError (22000)."
    assert trouble("It failed", asyncpg.TooManyConnectionsError("x")).message == (
        "It failed: no connection is left (53300)."
    )
