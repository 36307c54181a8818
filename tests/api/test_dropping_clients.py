"""Hundreds of clients that hang up in the middle, some of whom come back: they miss nothing, nothing stays behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from catena.chunks import Chunk, Finish, TextDelta, UsageReport
from catena.config import Config, StreamSettings
from catena.feed import Feed
from catena.runs import Runs
from catena.upstream import Prompt
from catena.upstream.scripted import ScriptedUpstream, prompt_items
from tests.light import Exchange, exchange
from tests.running import RunningServer, StartServer, until

STREAMS: Final = 500
WAVES: Final = 8
WORDS: Final = 3
"""Words that every stream says in one wave."""

OPENING: Final = 4
"""Events of a stream before its first word."""

LONG: Final = 60.0
"""Seconds after which a test that waits for something gives up."""


class Tide:
    """An engine that says a few words on all its streams with every wave that comes."""

    def __init__(self) -> None:
        self.waves = [asyncio.Event() for _ in range(WAVES)]
        self.engine = ScriptedUpstream(self.script)

    def script(self, prompt: Prompt) -> Iterable[Chunk | Exception | asyncio.Event]:
        name = prompt_items(prompt)[-1]["content"]
        for number, wave in enumerate(self.waves):
            yield wave
            for word in range(WORDS):
                yield TextDelta(f"{name}:{number}.{word} ")
        yield UsageReport(1, WAVES * WORDS)
        yield Finish("stop")


class Client:
    """Hears one stream: `told` are the events as they were on the wire."""

    def __init__(
        self, server: RunningServer, name: str, *, stored: bool = True, background: bool = False
    ) -> None:
        self.told: list[bytes] = []
        self.stored = stored
        self.named = asyncio.Event()
        self._server = server
        self._body = {"model": "m", "input": name, "stream": True, "store": stored, "background": background}

    @property
    def id(self) -> str:
        response_id: str = json.loads(self.told[0])["response"]["id"]
        return response_id

    async def begin(self, hang_up_after: int | None = None) -> None:
        """Begin a stream, and hang up after so many events; None hears it to its end."""
        async with exchange(self._server.url, "POST", "/v1/responses", self._body) as opened:
            await self.hear(opened, hang_up_after)

    async def come_back(self) -> None:
        """Pick the stream up where it was left."""
        await self.follow(self.id, f"&starting_after={len(self.told) - 1}")

    async def follow(self, response_id: str, place: str = "") -> None:
        """Follow a stream that somebody began, from its beginning or another place."""
        path = f"/v1/responses/{response_id}?stream=true{place}"
        async with exchange(self._server.url, "GET", path) as opened:
            assert opened.status == 200, await opened.body()
            await self.hear(opened)

    async def hear(self, opened: Exchange, hang_up_after: int | None = None) -> None:
        async for event in opened.events():
            self.told.append(event.data)
            self.named.set()
            if len(self.told) == hang_up_after:
                return


def some_events(random: Random) -> int:
    """A number of events after which at least one wave is yet to come."""
    return random.randrange(1, OPENING + (WAVES - 1) * WORDS)


async def come_back_later(server: RunningServer, tide: Tide, client: Client, random: Random) -> None:
    """Hang up somewhere, come back with some wave, and have heard then what one heard who was there all the time."""
    witness = Client(server, "")
    left_after, back_with = some_events(random), random.choice(tide.waves)
    async with asyncio.TaskGroup() as group:
        hearing = group.create_task(client.begin(left_after))
        await client.named.wait()
        group.create_task(witness.follow(client.id))
        await hearing
        await back_with.wait()
        await client.come_back()
    assert json.loads(client.told[-1])["type"] == "response.completed"
    assert client.told == witness.told


def runs_of(server: RunningServer) -> Runs:
    handler = server.app.routes.find("/v1/responses").methods["POST"].handler
    runs: Runs = handler.__self__._runs
    return runs


def open_files(kind: str = "socket:") -> int:
    """How many of a kind this process has open. The readers of the database open theirs when they are first needed, and
    keep them."""
    count = 0
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # it was closed meanwhile
            count += kind in str(each.readlink())
    return count


def feeds() -> int:
    gc.collect()
    return sum(isinstance(each, Feed) for each in gc.get_objects())


async def test_hundreds_hang_up_and_come_back_and_nothing_stays_behind(start_server: StartServer) -> None:
    tide, random = Tide(), Random(500)
    config = Config(streams=StreamSettings(grace_seconds=-1))
    async with start_server(engine=tide.engine, config=config) as server, asyncio.timeout(LONG):
        files_before, feeds_before = open_files(), feeds()
        clients = [Client(server, f"s{number}", stored=number % 8 != 3) for number in range(STREAMS)]
        stay = [client for number, client in enumerate(clients) if number % 2 == 0]
        come_back = [client for number, client in enumerate(clients) if number % 4 == 1]
        leave = [client for number, client in enumerate(clients) if number % 4 == 3]
        unstored = sum(not client.stored for client in leave)

        async with asyncio.TaskGroup() as group:
            for client in stay:
                group.create_task(client.begin())
            for client in leave:
                group.create_task(client.begin(some_events(random)))
            for client in come_back:
                group.create_task(come_back_later(server, tide, client, random))
            for number, wave in enumerate(tide.waves):
                await until(partial(all_heard, stay, OPENING - 2 + number * WORDS))
                if number == WAVES - 1:
                    # What is not stored has no reason to go on when its client has left.
                    await until(lambda: tide.engine.closed_early == unstored)
                assert open_files("-logs/") < 10  # however many runs there are
                wave.set()

        await until(lambda: not runs_of(server).active)
        assert tide.engine.closed_early == unstored
        for client in leave:
            if client.stored:
                again = Client(server, "")
                await again.follow(client.id)
                assert json.loads(again.told[-1])["type"] == "response.completed"
                assert again.told[: len(client.told)] == client.told
        await until(lambda: open_files() <= files_before)
        assert feeds() == feeds_before


def all_heard(clients: Iterable[Client], events: int) -> bool:
    return all(len(client.told) >= events for client in clients)


# One who is slow

WORD: Final = "x" * 2000
MANY: Final = 8000
"""Words: more than all buffers between a server and a client that does not read can hold."""


async def test_who_is_slow_delays_nobody_and_costs_no_memory_beyond_the_log(
    start_server: StartServer,
) -> None:
    never = asyncio.Event()
    engine = ScriptedUpstream(lambda _: [*(TextDelta(WORD) for _ in range(MANY)), never])
    async with start_server(engine=engine) as server, asyncio.timeout(LONG):
        quick, slow = Client(server, "hi", background=True), Client(server, "")
        async with asyncio.TaskGroup() as group:
            group.create_task(quick.begin())
            await quick.named.wait()
            place = f"/v1/responses/{quick.id}"
            async with exchange(server.url, "GET", f"{place}?stream=true") as opened:
                await until(
                    lambda: len(quick.told) == OPENING + MANY + 1
                )  # all, while the other reads nothing
                assert 0 < max(held_back()) < 1_000_000
                await server.http.post(f"{place.removeprefix('/v1')}/cancel")
                await slow.hear(opened)
        assert json.loads(quick.told[-1])["response"]["status"] == "cancelled"
        assert slow.told == quick.told


def held_back() -> list[int]:
    """Bytes that wait in this process to be written, for each connection of a server."""
    protocols = [each for each in gc.get_objects() if isinstance(each, HttpToolsProtocol)]
    return [each.transport.get_write_buffer_size() for each in protocols]
