"""Writers that hold what another one wants: nobody waits for a row while holding others, or it is done again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg
import pytest
from msgspec.structs import replace as changed

from catena.store import Turn
from catena.store.counters import Place
from catena.store.postgres import PostgresStore, migrate
from catena.store.postgres.statements import Statement
from catena.store.rows import key_of
from tests.postgres import TestDatabase
from tests.running import LIMIT
from tests.store.turns import ids_of, replace, running

HURRIED = "10ms"
PATIENT = "1h"
"""How long a session waits before it looks whether it waits for ever. Who looks first is the one that fails."""

WRITING = "SELECT 1 FROM turns WHERE tree = $1 AND id = $2 FOR SHARE"
ENDING = "SELECT 1 FROM turns WHERE tree = $1 AND id = $2 FOR UPDATE"


class Rival:
    """Another server in the middle of a transaction."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    async def hold(self, turn: Turn, how: str = WRITING) -> None:
        """As its writer does: one turn of a group after another."""
        await self.connection.fetch(how, *(key_of(turn.id) or ()))

    async def commit(self) -> None:
        await self.connection.execute("COMMIT")


@contextlib.asynccontextmanager
async def rival(postgres: TestDatabase, patience: str) -> AsyncIterator[Rival]:
    settings = {"deadlock_timeout": patience}
    connection = await asyncpg.connect(postgres.url, server_settings=settings)
    await connection.execute("BEGIN")
    try:
        yield Rival(connection)
    finally:
        await connection.close()


async def waiting(postgres: TestDatabase, sessions: int = 1) -> None:
    """Return when so many sessions wait for what others hold."""
    look = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
    while [(sessions,)] != [tuple(row) for row in await postgres.run(look)]:
        await asyncio.sleep(0.01)


@pytest.fixture
async def store(postgres: TestDatabase) -> AsyncIterator[PostgresStore]:
    """One whose sessions fail first, should it come to that."""
    await postgres.empty()
    url = f"{postgres.url}&deadlock_timeout={HURRIED}"
    opened = await PostgresStore.open(changed(postgres.settings, url=url))
    yield opened
    await opened.close()


async def some_runs(store: PostgresStore, count: int) -> list[Turn]:
    """In the order of their keys."""
    runs = sorted((running() for _ in range(count)), key=lambda turn: key_of(turn.id) or ())
    for run in runs:
        await store.begin(run, owner="me", lease=60)
    return runs


@pytest.mark.parametrize("places", [(0, 1), (1, 0)], ids=["in order", "against it"])
async def test_leases_are_renewed_around_a_writer_that_holds_one_run_and_wants_another(
    postgres: TestDatabase, store: PostgresStore, places: tuple[int, int]
) -> None:
    """Which of two rows a statement comes to first nobody says. So it must not matter."""
    runs = await some_runs(store, 2)
    held, wanted = (runs[place] for place in places)
    # It looks at once: were there a circle, this one would fail.
    async with rival(postgres, HURRIED) as writer, asyncio.timeout(LIMIT):
        await writer.hold(held)
        renewing = asyncio.create_task(store.renew("me", 60, ids_of(runs)))
        await waiting(postgres)
        await writer.hold(wanted)
        await writer.commit()
        assert sorted(await renewing) == sorted(ids_of(runs))


async def test_what_is_being_ended_while_leases_are_renewed_is_not_renewed(
    postgres: TestDatabase, store: PostgresStore
) -> None:
    ended, other = await some_runs(store, 2)
    key = key_of(ended.id)
    assert key is not None
    async with rival(postgres, PATIENT) as writer, asyncio.timeout(LIMIT):
        await writer.hold(ended, ENDING)
        renewing = asyncio.create_task(store.renew("me", 60, ids_of([ended, other])))
        await waiting(postgres)
        await writer.connection.execute("UPDATE turns SET status = 2 WHERE id = $1", key[1])
        await writer.commit()
        assert await renewing == [other.id]


async def test_a_group_of_writes_that_gets_into_a_circle_is_done_again(
    postgres: TestDatabase, store: PostgresStore
) -> None:
    first, second, third = await some_runs(store, 3)
    async with rival(postgres, PATIENT) as one, rival(postgres, PATIENT) as two, asyncio.timeout(LIMIT):
        await one.hold(second)
        await two.hold(third)
        ends = [replace(turn, status="completed") for turn in (first, second, third)]
        writing = asyncio.gather(*(store.finish(turn) for turn in ends))  # they share a transaction
        await waiting(postgres)  # which has the first, and wants the second
        wanting = asyncio.create_task(two.hold(first))
        await waiting(postgres, 2)
        await one.commit()
        await wanting  # it was let go, as it is wanted by who has the third
        await two.commit()
        await writing
        assert store.writes == 6
        assert [await store.load("default", turn.id) for turn in ends] == ends


async def test_a_single_statement_that_gets_into_a_circle_is_done_again(
    postgres: TestDatabase, store: PostgresStore
) -> None:
    places = [Place(name, 1) for name in ("a", "b", "c")]
    await store.counters.hold("me", places, 60)
    row = "SELECT 1 FROM places WHERE name = $1 FOR UPDATE"
    async with rival(postgres, PATIENT) as one, rival(postgres, PATIENT) as two, asyncio.timeout(LIMIT):
        await one.connection.fetch(row, b"b")
        await two.connection.fetch(row, b"c")
        letting = asyncio.create_task(store.counters.let_go("me"))
        await waiting(postgres)
        wanting = asyncio.create_task(two.connection.fetch(row, b"a"))
        await waiting(postgres, 2)
        await one.commit()
        await wanting
        await two.commit()
        await letting
    assert await store.counters.hold("another", places, 60) is None


@pytest.mark.parametrize("pooled", [False, True])
async def test_a_role_that_wants_other_transactions_changes_nothing(
    postgres: TestDatabase, pooled: bool
) -> None:
    """What is written counts on seeing what others have committed before each statement."""
    async with postgres.another("serializable") as database:
        await database.run("ALTER DATABASE serializable SET default_transaction_isolation = 'serializable'")
        await migrate(database.settings)
        store = await PostgresStore.open(changed(database.settings, pooled=pooled))
        ask = Statement("SHOW transaction_isolation", [])
        ((level,),) = await store._database.transaction(lambda session: session.fetch(ask, {}))
        await store.close()
        assert level == "read committed"


# What comes late


async def test_a_claim_that_the_database_does_late_claims_nothing(
    postgres: TestDatabase, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stood still meanwhile, and so could nobody renew the lease."""
    turn = running()
    await store.begin(turn, owner="me", lease=-1)
    asked_at = await store._clock.now()
    monkeypatch.setattr(store._clock, "now", lambda: given(asked_at - 30))
    assert await store.claim("late", 100, limit=5) == []
    monkeypatch.setattr(store._clock, "now", lambda: given(asked_at))
    (claim,) = await store.claim("in time", 100, limit=5)
    assert claim.turn.id == turn.id


async def given(value: float) -> float:
    return value


async def test_the_clock_of_the_database_is_known_without_asking_each_time(
    postgres: TestDatabase, store: PostgresStore
) -> None:
    ((before,),) = await postgres.run("SELECT extract(epoch FROM clock_timestamp())::float8")
    first = await store._clock.now()
    await store.close()
    again = await store._clock.now()  # nobody is there to be asked
    assert before <= first + 0.25
    assert first <= again
