"""Pieces that are written at once, on the event loop that is there without uvloop, whatever the version of Python."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator

import pytest

from catena.http_server import event_loop
from catena.plain_loop import plain_loop
from tests.running import LIMIT


class Heard(asyncio.Protocol):
    """Knows what happened to its connection."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.paused = False

    def pause_writing(self) -> None:
        self.paused = True

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        far.setblocking(False)
        yield near, far


async def connection(near: socket.socket) -> tuple[asyncio.Transport, Heard]:
    return await asyncio.get_running_loop().create_connection(Heard, sock=near)


@pytest.mark.parametrize("leave", ["close", "abort"])
async def test_what_is_written_after_a_goodbye_is_dropped_and_leaves_no_mark_on_the_next_socket(
    pair: tuple[socket.socket, socket.socket], leave: str
) -> None:
    near, far = pair
    number = near.fileno()
    transport, heard = await connection(near)
    getattr(transport, leave)()
    transport.writelines((b"a", b"b"))
    async with asyncio.timeout(LIMIT):
        await heard.lost.wait()
    assert far.recv(10) == b""
    assert not asyncio.get_running_loop().remove_writer(number)


async def test_an_empty_piece_does_not_keep_a_connection_from_ending(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    near, far = pair
    transport, heard = await connection(near)
    transport.writelines((b"a", b""))
    assert transport.get_write_buffer_size() == 0
    transport.close()
    async with asyncio.timeout(LIMIT):
        await heard.lost.wait()
    assert far.recv(10) == b"a"


async def test_who_writes_more_than_is_read_is_told_to_pause(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    transport, heard = await connection(pair[0])
    transport.writelines([bytes(1_000_000)] * 4)
    assert heard.paused
    transport.abort()
    async with asyncio.timeout(LIMIT):
        await heard.lost.wait()


def test_a_server_without_uvloop_runs_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with asyncio.Runner(loop_factory=plain_loop) as plain, asyncio.Runner(loop_factory=event_loop) as found:
        assert type(found.get_loop()) is type(plain.get_loop())
