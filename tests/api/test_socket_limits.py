"""WebSocket connections at their limits: every client event, clients that do not answer or read, and many at once."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import socket as plain
import struct
from collections.abc import AsyncIterator, Iterable
from typing import Any, get_args

import msgspec
import pytest
from openai.types.beta import beta_responses_client_event
from openai.types.responses import responses_client_event

import catena.http_server
import catena.web.websocket
from catena.chunks import Finish, TextDelta, UsageReport
from catena.config import Config, StreamSettings, WebSocketSettings
from catena.lanes import Connection
from catena.upstream import Prompt
from catena.upstream.scripted import ScriptedUpstream
from tests.api.sockets import Socket, socket, text_of
from tests.conformance.proves import proves
from tests.running import LIMIT, RunningServer, StartServer


class Plain:
    """A connection that does nothing by itself: it answers no pings, and reads only when it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    def send(self, message: Any) -> None:
        payload = msgspec.json.encode(message)
        assert 125 < len(payload) < 2**16
        # Without a mask: that of four zeros changes nothing.
        self.writer.write(b"\x81\xfe" + struct.pack("!H", len(payload)) + bytes(4) + payload)

    async def frame(self) -> tuple[int, bytes]:
        """The next frame: what kind it is of, and its payload."""
        async with asyncio.timeout(LIMIT):
            first, length = await self._reader.readexactly(2)
            if length == 126:
                (length,) = struct.unpack("!H", await self._reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", await self._reader.readexactly(8))
            return first & 15, await self._reader.readexactly(length)


@contextlib.asynccontextmanager
async def plain_socket(server: RunningServer) -> AsyncIterator[Plain]:
    host, port = server.url.removeprefix("http://").split(":")
    raw = plain.socket()
    raw.setsockopt(plain.SOL_SOCKET, plain.SO_RCVBUF, 4096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=raw, limit=4096)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET /v1/responses HTTP/1.1\r\nhost: {host}:{port}\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        f"sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n\r\n".encode()
    )
    try:
        async with asyncio.timeout(LIMIT):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        yield Plain(reader, writer)
    finally:
        writer.transport.abort()


def events_of(module: Any, union: str) -> set[str]:
    """The types of the client events that an SDK knows."""
    members = get_args(get_args(getattr(module, union))[0])
    return {get_args(member.model_fields["type"].annotation)[0] for member in members}


@proves("7.2.10")
async def test_every_client_event_of_the_sdk_is_known_or_refused_by_name(server: RunningServer) -> None:
    stable = events_of(responses_client_event, "ResponsesClientEvent")
    assert stable == {"response.create", "response.steer"}
    beta = events_of(beta_responses_client_event, "BetaResponsesClientEvent")
    assert beta - stable == {"response.inject"}
    async with socket(server) as ws:
        output = {"type": "function_call_output", "call_id": "call_1", "output": "x"}
        error = await ws.error(
            {"type": "response.inject", "response_id": "resp_1", "input": [output], "stream_id": "a"}
        )
        assert (error["status"], error["error"]["code"]) == (400, "unsupported_value")
        assert error["error"]["param"] == "type"
        assert "'response.inject'" in error["error"]["message"]
        assert text_of(await ws.answer("still here")) == "1: still here"


@proves("7.5.19")
async def test_every_code_of_the_guide_comes_from_what_it_says(start_server: StartServer) -> None:
    codes = []
    config = Config(websocket=WebSocketSettings(lanes=1))
    async with start_server(config=config) as server, socket(server) as ws:
        create = {"type": "response.create", "model": "m", "input": "hi"}
        await ws.answer("hi", stream_id="a")
        for wrong in (
            {"previous_response_id": f"resp_{'0' * 50}"},
            {"stream_id": ""},
            {"stream_id": "b"},
        ):
            error = await ws.error({**create, **wrong})
            assert error["status"] == 400
            codes.append(error["error"]["code"])
    config = Config(websocket=WebSocketSettings(lifetime_seconds=0.1))
    async with start_server(config=config) as server, socket(server) as ws:
        codes.append((await ws.frame())["error"]["code"])
    assert codes == [
        "previous_response_not_found",
        "invalid_stream_id",
        "websocket_stream_limit_reached",
        "websocket_connection_limit_reached",
    ]


async def test_a_client_that_does_not_answer_pings_is_let_go(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catena.http_server, "_PONG_WITHIN", 0.1)
    config = Config(streams=StreamSettings(ping_seconds=0.1))
    async with start_server(config=config) as server, plain_socket(server) as silent:
        kind, _ = await silent.frame()
        assert kind == 9  # a ping
        while kind == 9:
            kind, payload = await silent.frame()
        assert (kind, struct.unpack("!H", payload[:2])[0]) == (8, 1011)


BLOCK = 100_000
BLOCKS = 80


def flood(prompt: Prompt) -> Iterable[Any]:
    for _ in range(BLOCKS):
        yield TextDelta("x" * BLOCK)
    yield UsageReport(1, 1)
    yield Finish("stop")


async def test_a_client_that_never_reads_holds_back_its_own_events_only(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that waits for it is what the sockets take; the rest is in the response, which is there once."""
    taken: list[int] = []
    ended = asyncio.Event()

    class Watched(Connection):
        def __init__(self, runs: Any, project: str, send: Any, **more: Any) -> None:
            async def counted(text: str) -> None:
                await send(text)
                taken.append(len(text))
                if '"type":"response.completed"' in text[:60]:
                    ended.set()

            super().__init__(runs, project, counted, **more)

    engine = ScriptedUpstream(lambda prompt: [*flood(prompt)])
    async with start_server(engine=engine) as server:
        with monkeypatch.context() as patch:
            patch.setattr(catena.web.websocket, "Connection", Watched)
            connecting = plain_socket(server)
            deaf = await connecting.__aenter__()
        deaf.send({"type": "response.create", "model": "m", "input": "hi", "metadata": {"padding": "x" * 64}})
        # The engine said everything, and the turn is stored, though nobody reads.
        async with asyncio.timeout(LIMIT):
            while not (await server.store.usage()).turns:
                await asyncio.sleep(0)
        assert not ended.is_set()
        async with socket(server) as ws:
            engine.script = lambda prompt: [TextDelta("quick"), UsageReport(1, 1), Finish("stop")]
            assert text_of(await ws.answer("hi")) == "quick"
        assert not ended.is_set()
        assert sum(taken) < BLOCK * BLOCKS
        # When it reads again it misses nothing.
        said, numbers = "", []
        while "response.completed" not in said:
            _, payload = await deaf.frame()
            event = msgspec.json.decode(payload)
            said = event["type"]
            numbers.append(event["sequence_number"])
        assert numbers == list(range(len(numbers)))
        assert len(numbers) > BLOCKS
        await connecting.__aexit__(None, None, None)


async def test_many_connections_have_turns_at_once_and_each_its_own_chain(server: RunningServer) -> None:
    async def talk(ws: Socket, number: int) -> str:
        first = await ws.answer(f"I am {number}.", store=False)
        second = await ws.answer("Who?", store=False, previous_response_id=first["id"])
        third = await ws.answer("Sure?", store=False, previous_response_id=second["id"])
        return text_of(third)

    async with contextlib.AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(socket(server)) for _ in range(60)]
        answers = await asyncio.gather(*(talk(ws, number) for number, ws in enumerate(sockets)))
    assert answers == ["5: Sure?"] * 60
    histories = [[message["content"] for message in server.seen(place)] for place in range(180)]
    whole = [history for history in histories if len(history) == 5]
    assert sorted(history[0] for history in whole) == sorted(f"I am {number}." for number in range(60))
    assert all(history[1] == f"1: {history[0]}" for history in whole)
    assert (await server.store.usage()).turns == 0
