"""Connections to PostgreSQL: a pool, bounded in time, whose errors are ours.

What cannot be done within `timeout` seconds is given up, and its connection with it: nobody waits for a server that
does not answer. A connection that broke is replaced by the next use. Behind a transaction pooler, each transaction may
reach another session: then nothing is prepared for longer, and nothing is set for more than a transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, TypeVar

import asyncpg
import msgspec

from catena.errors import StoreUnavailable
from catena.store.cipher import CLEAR, Cipher
from catena.store.postgres.naming import Naming
from catena.store.postgres.statements import Statement
from catena.store.postgres.troubles import trouble

__all__ = ["Database", "DatabaseSettings", "Durability", "Row", "Session", "Values", "is_out_of_reach"]

T = TypeVar("T")

Durability: TypeAlias = Literal["full", "normal"]
Row: TypeAlias = Mapping[str, Any]
Values: TypeAlias = Mapping[str, Any]

_TRIES: Final = 5
"""How often something is begun that gets into the way of others."""

_IN_THE_WAY: Final = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
_FAILURES: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
_GONE: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the database has said goodbye on it
    asyncpg.ReadOnlySQLTransactionError,  # it is another now, and the primary is elsewhere
    asyncpg.TooManyConnectionsError,
    OSError,
    TimeoutError,
)
"""After these nothing more is to be had from the connection."""

_LONG: Final = 3600.0
"""Seconds for what looks through everything."""

_LEAVE: Final = 1.0
"""Seconds to give a connection back, or to say goodbye."""

_STATEMENTS: Final = 200
"""Statements that a connection keeps ready, each with a plan of some 150 KB in the memory of the database."""

_IDLE: Final = "30s"
"""After which a session that stands in the middle of a transaction, as its server froze, holds others up no more."""

_AS_THEY_ARE: Final = "LOCK TABLE ONLY turns IN ACCESS SHARE MODE"
"""Who replaces partitions (see retiring.py) holds all tables of trees, and is kept from that by one."""


class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach the database: so many connections at most, so many seconds for each answer.

    `pooled` says that a transaction pooler stands between.
    """

    url: str
    durability: Durability = "full"
    connections: int = 10
    timeout: float = 5.0
    pooled: bool = False

    def __repr__(self) -> str:
        return "DatabaseSettings()"  # the URL may have a password


class Session:
    """A transaction under way."""

    def __init__(self, connection: Any, timeout: float, cipher: Cipher, naming: Naming | None) -> None:
        self.cipher = cipher
        self._connection = connection
        self._timeout = timeout
        self._naming = naming

    async def fetch(self, statement: Statement, values: Values) -> Sequence[Row]:
        if self._naming is not None:
            statement = self._naming.named(statement, values)
        rows: Sequence[Row] = await self._connection.fetch(
            statement.sql, *statement.arguments(values), timeout=self._timeout
        )
        return rows

    async def fetch_each(self, statement: Statement, values: Sequence[Values]) -> Sequence[Row]:
        """The one row that the statement, as it is, gives for each of these, all sent at once."""
        arguments = [statement.arguments(each) for each in values]
        rows: Sequence[Row] = await self._connection.fetchmany(
            statement.sql, arguments, timeout=self._timeout
        )
        assert len(rows) == len(values)
        return rows

    async def execute(self, sql: str) -> None:
        """Run a script."""
        await self._connection.execute(sql, timeout=self._timeout)


class Database:
    """See the module. It belongs to the event loop in which it was opened. All methods raise StoreUnavailable."""

    cipher: Cipher = CLEAR
    """How contents stand in the tables: who reads and writes them opens and seals."""

    naming: Naming | None = None
    """What statements about a tree name beside it, if it makes them cheaper."""

    def __init__(self, pool: Any, settings: DatabaseSettings, *, answer_within: float | None = None) -> None:
        self._pool = pool
        self._settings = settings
        self._answer_within = answer_within or settings.timeout

    @classmethod
    async def open(cls, settings: DatabaseSettings) -> Database:
        """With a first connection made, so that it is known to be there."""
        pooled = settings.pooled
        pool = asyncpg.create_pool(
            settings.url,
            min_size=0,
            max_size=settings.connections,
            timeout=settings.timeout,
            command_timeout=settings.timeout,  # of what begins and ends transactions
            reset=_nothing,  # no statement of ours outlives its transaction
            statement_cache_size=0 if pooled else _STATEMENTS,
            max_cached_statement_lifetime=0,
            server_settings={} if pooled else _session(settings),
        )
        database = cls(pool, settings)
        try:
            with _ours("The database cannot be reached"):
                await pool
                async with database._connection() as connection:
                    await connection.execute("SELECT 1", timeout=settings.timeout)
        except ValueError as error:
            raise StoreUnavailable(
                "The database's URL cannot be used.",
                advice="Correct store.database: postgresql://USER@HOST:PORT/NAME",
            ) from error
        except StoreUnavailable:
            await database.close()
            raise
        return database

    def patient(self) -> Database:
        """The same for what looks through everything, and may take long."""
        patient = Database(self._pool, self._settings, answer_within=_LONG)
        patient.cipher = self.cipher
        patient.naming = self.naming
        return patient

    async def close(self) -> None:
        with contextlib.suppress(*_FAILURES):
            async with asyncio.timeout(_LEAVE):
                await self._pool.close()
                return
        self._pool.terminate()

    async def fetch(self, statement: Statement, values: Values) -> Sequence[Row]:
        """The rows that one statement gives, in one round trip."""

        async def send() -> Sequence[Row]:
            async with self._connection() as connection:
                return await self._session(connection).fetch(statement, values)

        return await _unhindered(send, "The store could not be reached")

    async def fetch_each(self, statement: Statement, values: Sequence[Values]) -> Sequence[Row]:
        """The one row that a statement, as it is, gives for each of these, in one transaction and one round trip."""
        if self._settings.pooled:
            return await self.transaction(lambda session: session.fetch_each(statement, values))

        async def send() -> Sequence[Row]:
            async with self._connection() as connection:
                return await self._session(connection).fetch_each(statement, values)

        return await _unhindered(send)

    async def transaction(self, job: Callable[[Session], Awaitable[T]]) -> T:
        """Have a job done whole or not at all. Raises what the job raises.

        It is done again if it got into the way of others, so it must do the same again.
        """
        return await _unhindered(lambda: self._attempt(job))

    async def snapshot(self, job: Callable[[Session], Awaitable[T]]) -> T:
        """Have a job read that sees everything as it is at one moment. Raises what the job raises.

        From that moment on no tables take the place of others: what is in those is not seen from before.
        """
        with _ours("The store could not be read"):
            async with (
                self._connection() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                session = self._session(connection)
                await session.execute(_AS_THEY_ARE)  # before the first query, which begins the moment
                return await job(session)

    async def _attempt(self, job: Callable[[Session], Awaitable[T]]) -> T:
        isolation = "read_committed" if self._settings.pooled else None  # else it is set for the session
        async with self._connection() as connection, connection.transaction(isolation=isolation):
            if self._settings.pooled and self._settings.durability == "normal":
                await connection.execute("SET LOCAL synchronous_commit = off")
            return await job(self._session(connection))

    def _session(self, connection: Any) -> Session:
        return Session(connection, self._answer_within, self.cipher, self.naming)

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        connection = await self._pool.acquire(timeout=self._settings.timeout)
        try:
            yield connection
        except BaseException as error:
            if isinstance(error, (*_GONE, asyncio.CancelledError)):
                connection.terminate()  # what it is doing is not waited for
            raise
        finally:
            await self._pool.release(connection, timeout=_LEAVE)


async def _unhindered(
    work: Callable[[], Awaitable[T]], otherwise: str = "The store could not be written"
) -> T:
    """What this gives, which is done again if it got into the way of others."""
    for remaining in reversed(range(_TRIES)):
        try:
            with _ours(otherwise):
                return await work()
        except StoreUnavailable as error:
            if not remaining or not isinstance(error.__cause__, _IN_THE_WAY):
                raise
    raise AssertionError


def is_out_of_reach(error: StoreUnavailable) -> bool:
    """Whether the database did not answer, rather than that it refused what it was asked."""
    return not isinstance(error.__cause__, asyncpg.PostgresError) or isinstance(error.__cause__, _GONE)


def _session(settings: DatabaseSettings) -> dict[str, str]:
    """What is set for each connection. Statements here are short: to compile them would take longer."""
    return {
        "application_name": "catena",
        "jit": "off",
        "default_transaction_isolation": "read committed",  # what the statements count on, whatever the role has
        "idle_in_transaction_session_timeout": _IDLE,
        "synchronous_commit": "on" if settings.durability == "full" else "off",
    }


async def _nothing(connection: Any) -> None: ...


@contextlib.contextmanager
def _ours(what: str) -> Iterator[None]:
    try:
        yield
    except _FAILURES as error:
        raise trouble(what, error) from error
