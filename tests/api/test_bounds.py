"""What one client may take of the server: large heads, slow requests, replies that nobody reads, deep bodies."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from catena.chunks import Finish, TextDelta, UsageReport
from catena.config import Config, ServerSettings, StreamSettings
from catena.upstream.scripted import ScriptedUpstream
from catena.web.bounds import MAX_HEAD
from catena.wire.request import MOST_ITEMS
from catena.wire.wording import MAX_DEPTH
from tests.conformance.proves import proves
from tests.running import LIMIT, RunningServer, StartServer, until

HEAD = b"POST /v1/responses HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
BODY = b'{"model":"m","input":"hi"}'
IMPATIENT = Config(server=ServerSettings(client_seconds=0.2))


class Line:
    """A bare connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *pieces: bytes) -> None:
        """Each by itself."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def reply(self) -> tuple[int, Any]:
        """The status and the error of the reply that comes before the server hangs up."""
        async with asyncio.timeout(LIMIT):
            answer = await self.reader.read()
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"connection: close" in head.lower()
        return int(head.split(b" ")[1]), msgspec.json.decode(body)["error"]

    async def closed(self) -> bytes:
        """What comes before the server hangs up."""
        async with asyncio.timeout(LIMIT):
            return await self.reader.read()


@asynccontextmanager
async def line_to(server: RunningServer) -> AsyncIterator[Line]:
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Line(reader, writer)
    finally:
        writer.transport.abort()


def padded(size: int, fields: int = 1) -> bytes:
    """A head with so many bytes in values of headers."""
    values = b"".join(b"x-%d: %s\r\n" % (number, b"x" * (size // fields)) for number in range(fields))
    return HEAD + values + b"content-length: %d\r\n\r\n" % len(BODY)


@proves("10.1.bounds")
@pytest.mark.parametrize("fields", [1, 3000])
@pytest.mark.parametrize("cuts", [1, 9])
async def test_a_head_that_is_too_large_is_refused(server: RunningServer, fields: int, cuts: int) -> None:
    head = padded(MAX_HEAD + 1000, fields)
    step = len(head) // cuts + 1
    async with line_to(server) as line:
        await line.send(*(head[start : start + step] for start in range(0, len(head), step)))
        status, error = await line.reply()
    assert (status, error["type"], error["code"]) == (431, "invalid_request_error", "headers_too_large")
    assert server.engine.prompts == []


async def test_a_head_without_an_end_is_refused_before_it_fills_the_memory(server: RunningServer) -> None:
    async with line_to(server) as line:
        await line.send(HEAD + b"x-endless: ")
        for _ in range(20):
            line.writer.write(b"x" * 8192)
        status, error = await line.reply()
    assert (status, error["code"]) == (431, "headers_too_large")


@pytest.mark.parametrize("cuts", [1, 7])
async def test_a_head_within_the_bound_is_not_refused(server: RunningServer, cuts: int) -> None:
    sent = padded(MAX_HEAD - 2000, 10).replace(b"host:", b"connection: close\r\nhost:") + BODY
    step = len(sent) // cuts + 1
    async with line_to(server) as line:
        await line.send(*(sent[start : start + step] for start in range(0, len(sent), step)))
        assert (await line.closed()).startswith(b"HTTP/1.1 200")


async def test_what_is_no_http_gets_an_error_in_the_envelope(server: RunningServer) -> None:
    async with line_to(server) as line:
        await line.send(b"\x16\x03\x01 this is TLS\r\n\r\n")
        status, error = await line.reply()
    assert (status, error["type"], error["code"]) == (400, "invalid_request_error", "invalid_request")


@pytest.mark.parametrize(
    "half",
    [
        HEAD,
        HEAD + b"content-length: 26\r\n\r\n",
        HEAD + b"content-length: 60\r\n\r\n" + BODY,
        HEAD + b"transfer-encoding: chunked\r\n\r\n1a\r\n" + BODY + b"\r\n",
    ],
    ids=["head", "no body", "half a body", "no end"],
)
async def test_a_request_that_does_not_come_on_is_given_up(start_server: StartServer, half: bytes) -> None:
    async with start_server(config=IMPATIENT) as server:
        async with line_to(server) as line:
            await line.send(half)
            status, error = await line.reply()
        assert (status, error["code"]) == (408, "request_timeout")
        assert server.engine.prompts == []
        assert (await server.store.usage()).turns == 0


@proves("10.1.bounds")
async def test_a_trickle_is_no_request(start_server: StartServer) -> None:
    """A byte now and then keeps nothing open."""
    async with start_server(config=IMPATIENT) as server:
        async with line_to(server) as line:
            await line.send(HEAD + b"content-length: 100000\r\n\r\n")

            async def trickle() -> None:
                while not line.reader.at_eof():
                    line.writer.write(b" ")
                    await asyncio.sleep(0.01)

            trickling = asyncio.create_task(trickle())
            status, _ = await line.reply()
            trickling.cancel()
        assert status == 408


async def test_who_connects_and_asks_nothing_is_let_go_of_in_silence(start_server: StartServer) -> None:
    async with start_server(config=IMPATIENT) as server:
        async with line_to(server) as line:
            assert await line.closed() == b""


async def test_a_connection_over_which_nothing_more_is_asked_is_closed_in_silence(
    start_server: StartServer,
) -> None:
    config = Config(server=ServerSettings(keep_alive_seconds=1, client_seconds=0))
    async with start_server(config=config) as server, line_to(server) as line:
        await line.send(HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY)
        head, _, body = (await line.closed()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"connection: close" not in head
    assert msgspec.json.decode(body)["status"] == "completed"


async def test_a_long_answer_is_waited_for_by_a_client_that_says_nothing(start_server: StartServer) -> None:
    """Only who owes something is hurried."""
    go = asyncio.Event()
    engine = ScriptedUpstream(lambda _: [go, TextDelta("at last"), UsageReport(1, 1), Finish("stop")])
    async with start_server(config=IMPATIENT, engine=engine) as server:
        asking = asyncio.create_task(server.post("/responses", {"model": "m", "input": "hi"}))
        async with line_to(server) as line:
            assert await line.closed() == b""  # so long that who owed something would be gone
        go.set()
        assert (await asking).status_code == 200


async def test_who_takes_nothing_of_a_reply_is_let_go_of(start_server: StartServer) -> None:
    words = [TextDelta("x" * 10_000) for _ in range(2_000)]
    engine = ScriptedUpstream(lambda _: [*words, UsageReport(1, 1), Finish("stop")])
    config = Config(server=ServerSettings(client_seconds=0.2), streams=StreamSettings(grace_seconds=0))
    async with start_server(config=config, engine=engine) as server:
        body = b'{"model":"m","input":"hi","stream":true}'
        async with line_to(server) as line:
            await line.send(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
            transport: Any = line.writer.transport
            transport.pause_reading()
            await until(lambda: ("POST", "/v1/responses") in server.app.traffic.routes)
            transport.resume_reading()
            taken = b""
            with contextlib.suppress(ConnectionError):
                taken = await line.closed()
        assert b"response.completed" not in taken


async def test_half_a_request_is_no_request_even_if_it_looks_like_one(server: RunningServer) -> None:
    async with line_to(server) as line:
        await line.send(HEAD + b"content-length: 40\r\n\r\n" + BODY)
        line.writer.write_eof()
        line.writer.close()
    await until(lambda: ("POST", "/v1/responses") in server.app.traffic.routes)
    assert server.engine.prompts == []


# Bodies


@proves("10.1.bounds")
@pytest.mark.parametrize(
    ("path", "field"),
    [("/responses", "input"), ("/chat/completions", "messages"), ("/responses/compact", "input")],
)
async def test_more_items_than_can_be_looked_through_are_refused(
    server: RunningServer, path: str, field: str
) -> None:
    items = [{"role": "user", "content": "x"}] * (MOST_ITEMS + 1)
    refused = await server.post(path, {"model": "m", field: items})
    error = refused.json()["error"]
    assert (refused.status_code, error["param"], error["code"]) == (400, field, "array_above_max_length")
    assert str(MOST_ITEMS) in error["message"]
    assert server.engine.prompts == []


@pytest.mark.parametrize("where", ["input", "metadata", "tools", "text", "bogus"])
@pytest.mark.parametrize("brackets", [(b"[", b"]"), (b'{"a":', b"}")])
async def test_what_is_nested_too_deeply_is_refused_wherever_it_stands(
    server: RunningServer, where: str, brackets: tuple[bytes, bytes]
) -> None:
    deep = brackets[0] * 100_000 + b"1" + brackets[1] * 100_000
    body = b'{"model":"m","input":"hi","%s":%s}' % (where.encode(), deep)
    refused = await server.post("/responses", body)
    assert refused.status_code == 400
    assert str(MAX_DEPTH) in refused.json()["error"]["message"]
    assert server.engine.prompts == []
