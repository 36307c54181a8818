"""`python -m bench replicas [--stored N] [--rounds N]`: servers on one PostgreSQL, as it is by default, with `fsync`.

Chains go from server to server, turn by turn. With `--stored`, so many turns are there before anything is measured:
the database makes them out of a few that a server stored, so that a million takes about a minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import Sequence

import asyncpg
from rich.console import Console

from bench.load import Connection
from bench.report import Report
from bench.systems import Process, engine, postgres, replica
from bench.workloads import Figures, chain

__all__ = ["measure"]

_MOST_SERVERS = 3
_DEPTHS = (200, 1000)
_SEED_TURNS = 10
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


async def measure(console: Console, report: Report, *, rounds: int, stored: int, quick: bool) -> None:
    """Add the rows of PostgreSQL to the report."""
    async with contextlib.AsyncExitStack() as stack:
        direct = await stack.enter_async_context(engine())
        url = await stack.enter_async_context(postgres())
        database = await asyncpg.connect(url)
        stack.push_async_callback(database.close)
        servers = [
            await stack.enter_async_context(replica(direct, url, number)) for number in range(_MOST_SERVERS)
        ]
        if stored:
            console.print(f"[dim]{stored:,} turns before[/]")
            report.add("P0 stored before", "catena", await _fill(database, servers[0], stored))
        for count in range(1, _MOST_SERVERS + 1):
            console.print(f"[dim]chains at {count} of {_MOST_SERVERS}[/]")
            for _ in range(rounds):
                figures = await _chains(database, servers[:count], at_once=16, turns=10 if quick else 50)
                report.add(f"P1 chains, servers: {count}", "catena", figures)
        for depth in _DEPTHS:
            console.print(f"[dim]a chain of {depth}[/]")
            figures = await _read(servers, depth=depth, times=20 * rounds)
            report.add(f"P2 chain of {depth} read", "catena", figures)


async def _chains(
    database: asyncpg.Connection, servers: Sequence[Process], *, at_once: int, turns: int
) -> Figures:
    """Chains that grow side by side, each from server to server."""
    commits, size = await _commits(database), await database.fetchval(_SIZE)
    cpu, begun = sum(server.cpu() for server in servers), time.perf_counter()

    async def one() -> None:
        everywhere = await _Everywhere.open(servers)
        await chain(everywhere, turns, "A turn of the chain, number")
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


async def _read(servers: Sequence[Process], *, depth: int, times: int) -> Figures:
    """How long it takes until the items behind the last turn of a chain are there, all of it read, in milliseconds."""
    everywhere = await _Everywhere.open(servers)
    *_, (last, _) = await chain(everywhere, depth, "A turn of the chain, number")
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        await everywhere.ask(f"/responses/{last}/input_items", method="GET")
        taken.append((time.perf_counter() - begun) * 1e3)
    everywhere.close()
    return {"ms_p50": statistics.median(taken), "ms_p99": sorted(taken)[int(len(taken) * 0.99)]}


async def _fill(database: asyncpg.Connection, server: Process, turns: int) -> Figures:
    """Have so many turns there, in trees of a few."""
    connection = await Connection.open(server.port)
    (*_, (last, _)) = await chain(connection, _SEED_TURNS, "A turn that was there before, number")
    connection.close()
    tree = bytes.fromhex(last.removeprefix("resp_")[:16])
    begun = time.perf_counter()
    for first in range(0, turns, _AT_ONCE):
        trees = min(_AT_ONCE, turns - first) // _SEED_TURNS
        await database.execute(_MULTIPLY, tree, first, first + trees - 1, timeout=600)
    await database.execute("VACUUM ANALYZE turns", timeout=600)
    took = time.perf_counter() - begun
    count = await database.fetchval("SELECT count(*) FROM turns")
    return {
        "turns": count,
        "put_in_per_s": count / took,
        "bytes_per_turn": float(await database.fetchval(_SIZE)) / count,
    }
