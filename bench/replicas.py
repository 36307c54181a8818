"""`python -m bench replicas [--stored N] [--rounds N]`: servers on one PostgreSQL, as it is by default, with `fsync`.

Chains go from server to server, turn by turn. With `--stored`, so many turns are there before anything is measured:
the database makes them out of a few that a server stored, so that a million takes about a minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence

import asyncpg
from rich.console import Console

from bench.choosing import Choice
from bench.filling import fill, prose
from bench.large import reading_times
from bench.load import Connection
from bench.report import Report
from bench.systems import ON_POSTGRES, Process, engine, postgres, replica
from bench.workloads import Figures, chain
from catena.store.postgres import DatabaseSettings, PostgresStore

__all__ = ["measure"]

_MOST_SERVERS = 3
_DEPTHS = (200, 1000)
_SEED_TURNS = 10
_CHAINS_READ = 5
_SAID = 1_200
"""Characters of such a turn, as on SQLite."""

_AT_ONCE = 50_000
"""Turns that are put in by one statement."""

_MULTIPLY = """
INSERT INTO turns (tree, id, parent, created_at, door, status, listed, project, model, labels, fields, input, output,
  cuts)
SELECT substr(sha256(int8send(n)), 1, 8), id, parent, created_at, door, status, listed, project, model, labels, fields,
  input, output, cuts
FROM generate_series($2::bigint, $3::bigint) n CROSS JOIN turns t WHERE t.tree = $1 ORDER BY n, number
"""
_SIZE = """
SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""
_COMMITS = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"


class _Everywhere:
    """Asks another server each time."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        self._connections = connections
        self._turn = 0

    @classmethod
    async def open(cls, servers: Sequence[Process]) -> _Everywhere:
        return cls([await Connection.open(server.port) for server in servers])

    async def ask(self, path: str, body: object = None, *, method: str = "POST") -> bytes:
        self._turn += 1
        return await self._connections[self._turn % len(self._connections)].ask(path, body, method=method)

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


async def measure(console: Console, report: Report, only: Choice, *, rounds: int, stored: int) -> None:
    """Add the rows of replicas, and of a PostgreSQL that has much stored, to the report."""
    async with contextlib.AsyncExitStack() as stack:
        direct = await stack.enter_async_context(engine())
        url = (await stack.enter_async_context(postgres())).url
        database = await asyncpg.connect(url)
        stack.push_async_callback(database.close)
        servers = [
            await stack.enter_async_context(replica(direct, url, number)) for number in range(_MOST_SERVERS)
        ]
        console.print(f"[dim]W8, PostgreSQL: {stored:,} turns before[/]")
        report.add("W8 stored before", ON_POSTGRES, await _fill(database, servers[0], stored))
        for count in range(1, _MOST_SERVERS + 1):
            name = f"replicas: chains, servers: {count}"
            if name in only:
                console.print(f"[dim]{name}[/]")
                for _ in range(rounds):
                    figures = await _chains(database, servers[:count], at_once=16, turns=50)
                    report.add(name, ON_POSTGRES, figures)
                    report.noise.look()
        for depth in _DEPTHS if only.takes_any("W8") else ():
            name = f"W8 chain of {depth} read"
            report.add(name, ON_POSTGRES, await _read(url, depth))
            report.noise.look()


async def _chains(
    database: asyncpg.Connection, servers: Sequence[Process], *, at_once: int, turns: int
) -> Figures:
    """Chains that grow side by side, each from server to server."""
    commits, size = await _commits(database), await database.fetchval(_SIZE)
    cpu, begun = sum(server.cpu() for server in servers), time.perf_counter()

    async def one() -> None:
        everywhere = await _Everywhere.open(servers)
        await chain(everywhere, turns)
        everywhere.close()

    await asyncio.gather(*(one() for _ in range(at_once)))
    took, count = time.perf_counter() - begun, at_once * turns
    commits = await _commits(database) - commits
    return {
        "per_s": count / took,
        "cpu_us": (sum(server.cpu() for server in servers) - cpu) / count * 1e6,
        "commits_per_s": commits / took,
        "commits_per_turn": commits / count,
        "bytes_per_turn": float(await database.fetchval(_SIZE) - size) / count,
    }


async def _commits(database: asyncpg.Connection) -> int:
    """Transactions of all sessions so far, those that only read among them.

    Sessions report now and then, so this is asked for when all are idle.
    """
    await asyncio.sleep(1.2)
    return int(await database.fetchval(_COMMITS))


async def _read(url: str, depth: int) -> Figures:
    """How long it takes until all turns of a chain are there. What the database has in memory stays there."""
    store = await PostgresStore.open(DatabaseSettings(url=url), searched=True)
    try:
        filled = await fill(store, 0, chains={depth: _CHAINS_READ})
        return await reading_times(store, filled.tips[depth])
    finally:
        await store.close()


async def _fill(database: asyncpg.Connection, server: Process, turns: int) -> Figures:
    """Have so many turns there, in trees of a few."""
    connection = await Connection.open(server.port)
    (*_, (last, _)) = await chain(connection, _SEED_TURNS, prose(_SAID))
    connection.close()
    tree = bytes.fromhex(last.removeprefix("resp_")[:16])
    begun = time.perf_counter()
    for first in range(0, turns, _AT_ONCE):
        trees = min(_AT_ONCE, turns - first) // _SEED_TURNS
        await database.execute(_MULTIPLY, tree, first, first + trees - 1, timeout=600)
    await database.execute("VACUUM ANALYZE turns", timeout=600)
    took = time.perf_counter() - begun
    count = await database.fetchval("SELECT count(*) FROM turns")
    size = float(await database.fetchval(_SIZE))
    return {
        "turns": count,
        "put_in_per_s": count / took,
        "bytes_per_turn": size / count,
        "bytes_over_content": size / count / _SAID,
    }
