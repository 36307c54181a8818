"""Which connections are kept, and for how long."""

from __future__ import annotations

import asyncio

import pytest

from catena.upstream.http.connection import Connection
from catena.upstream.http.head import Origin
from catena.upstream.http.pool import Pool
from tests.upstream.virtual_clock import VirtualClock
from tests.upstream.wire import Wire

ENGINE = Origin("engine", 80, False)


def opened(pool: Pool, origin: Origin = ENGINE) -> tuple[Connection, Wire]:
    connection, wire = Connection(origin, pool), Wire()
    connection.connection_made(wire)
    return connection, wire


async def test_the_one_that_was_used_last_is_taken_first() -> None:
    pool = Pool(max_idle=2)
    (first, _), (second, _) = opened(pool), opened(pool)
    pool.freed(first)
    pool.freed(second)
    assert [pool.take(ENGINE), pool.take(ENGINE), pool.take(ENGINE)] == [second, first, None]


@pytest.mark.parametrize(
    "other", [Origin("other", 80, False), Origin("engine", 81, False), Origin("engine", 80, True)]
)
async def test_a_connection_serves_its_own_origin_only(other: Origin) -> None:
    pool = Pool(max_idle=2)
    connection, _ = opened(pool)
    pool.freed(connection)
    assert pool.take(other) is None
    assert pool.take(ENGINE) is connection


async def test_one_that_is_about_to_close_is_not_taken() -> None:
    pool = Pool(max_idle=2)
    (first, _), (second, wire) = opened(pool), opened(pool)
    pool.freed(first)
    pool.freed(second)
    wire.abort()
    assert pool.take(ENGINE) is first


async def test_one_that_is_lost_makes_room_for_another() -> None:
    pool = Pool(max_idle=1)
    (first, _), (second, wire) = opened(pool), opened(pool)
    pool.freed(first)
    first.connection_lost(None)
    pool.freed(second)
    assert not wire.is_closing()
    assert pool.take(ENGINE) is second


async def test_one_that_is_not_needed_is_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = VirtualClock(monkeypatch)
    pool = Pool(max_idle=2)
    connection, wire = opened(pool)
    pool.freed(connection)
    await clock.pass_by(14)
    assert not wire.is_closing()
    await clock.pass_by(2)
    assert wire.is_closing()


async def test_closing_waits_until_the_last_one_is_gone() -> None:
    pool = Pool(max_idle=2)
    (free, free_wire), (used, used_wire) = opened(pool), opened(pool)
    pool.freed(free)
    closing = asyncio.create_task(pool.close())
    await asyncio.sleep(0)
    assert free_wire.is_closing()
    assert used_wire.is_closing()
    free.connection_lost(None)
    await asyncio.sleep(0)
    assert not closing.done()
    used.connection_lost(None)
    await closing


async def test_one_that_is_freed_after_closing_is_not_kept() -> None:
    pool = Pool(max_idle=2)
    await pool.close()
    connection, wire = opened(pool)
    pool.freed(connection)
    assert wire.is_closing()
