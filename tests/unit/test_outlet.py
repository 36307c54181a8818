"""The way out of a stream, to a web server that sometimes makes it wait."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from catena.web.outlet import PING, ByAsgi, Outlet

LIMIT = 5.0
END = b""


class WebServer:
    """Takes pieces; while it is `full` it makes who sends wait, as uvicorn does."""

    def __init__(self) -> None:
        self.told: list[bytes] = []
        self.room = asyncio.Event()
        self.room.set()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if not self.room.is_set():
            await self.room.wait()
            await asyncio.sleep(0)  # and once more
        self.told.append(message["body"] if message.get("more_body") else END)


@pytest.fixture
async def web() -> WebServer:
    return WebServer()


async def test_what_is_pushed_is_sent_at_once(web: WebServer) -> None:
    outlet = Outlet(ByAsgi(web.send))
    asyncio.get_running_loop().call_soon(outlet.push, b"from no task")
    await outlet.send(b"one")
    assert outlet.push(b"two")
    assert web.told == [b"one", b"two"]
    await asyncio.sleep(0)
    assert web.told == [b"one", b"two", b"from no task"]


async def test_one_piece_waits_for_the_client_and_no_other_is_taken(web: WebServer) -> None:
    outlet = Outlet(ByAsgi(web.send))
    web.room.clear()
    assert outlet.push(b"one")
    assert not outlet.push(b"two")
    sending = asyncio.create_task(outlet.send(b"two"))
    await asyncio.sleep(0)
    assert not outlet.push(b"three")
    assert web.told == []
    web.room.set()
    async with asyncio.timeout(LIMIT):
        await sending
    assert outlet.push(b"three")
    assert web.told == [b"one", b"two", b"three"]


async def test_a_piece_that_waits_leaves_although_nothing_comes_behind_it(web: WebServer) -> None:
    outlet = Outlet(ByAsgi(web.send))
    web.room.clear()
    outlet.push(b"one")
    web.room.set()
    async with asyncio.timeout(LIMIT):
        await outlet.close()
    assert web.told == [b"one", END]


async def test_a_piece_that_waits_is_given_up_with_its_stream(web: WebServer) -> None:
    with Outlet(ByAsgi(web.send)) as outlet:
        web.room.clear()
        outlet.push(b"one")
        await asyncio.sleep(0)
    web.room.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert web.told == []


async def test_comments_come_only_while_nothing_else_does(web: WebServer) -> None:
    outlet = Outlet(ByAsgi(web.send), 60.0)
    tick = outlet._tick
    with outlet:
        outlet.push(b"one")
        tick()  # the first interval, in which there was something
        await asyncio.sleep(0)
        assert web.told == [b"one"]
        tick()
        await asyncio.sleep(0)
        assert web.told == [b"one", PING]
        web.room.clear()
        outlet.push(b"two")
        tick()
        tick()
        await asyncio.sleep(0)
        web.room.set()
        async with asyncio.timeout(LIMIT):
            await outlet.close()
        assert web.told == [b"one", PING, b"two", END]
