"""Whole replies, as bytes on a connection of this server, and under a server that has nothing but ASGI."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, MutableMapping
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from catena.chunks import Finish, TextDelta
from catena.upstream.scripted import ScriptedUpstream
from catena.web.line import Line
from tests.running import LIMIT, RunningServer, StartServer

BODY = b'{"model":"m","input":"hi","store":false}'
STREAMED = b'{"model":"m","input":"hi","store":false,"stream":true}'


def request(first: bytes, *fields: bytes, body: bytes = BODY) -> bytes:
    lines = (first, b"host: localhost", b"content-length: %d" % len(body), *fields)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def connection(server: RunningServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = server.url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def answer(server: RunningServer, *requests: bytes) -> bytes:
    """All that comes until the server hangs up."""
    reader, writer = await connection(server)
    async with asyncio.timeout(LIMIT):
        writer.write(b"".join(requests))
        answered = await reader.read()
    writer.close()
    return answered


def parted(reply: bytes) -> tuple[bytes, list[bytes], bytes]:
    """The status line, the names of the fields, the rest."""
    head, _, rest = reply.partition(b"\r\n\r\n")
    status, *fields = head.split(b"\r\n")
    return status, [field.split(b":")[0] for field in fields], rest


async def test_a_reply_has_its_fields_in_their_order_and_its_length(server: RunningServer) -> None:
    asked = request(b"POST /v1/responses HTTP/1.1", b"connection: close", b"x-client-request-id: mine")
    status, fields, body = parted(await answer(server, asked))
    assert status == b"HTTP/1.1 200 OK"
    assert fields == [
        b"content-type",
        b"x-request-id",
        b"x-client-request-id",
        b"openai-processing-ms",
        b"openai-version",
        b"content-length",
        b"connection",
    ]
    assert msgspec.json.decode(body)["status"] == "completed"


async def test_requests_that_come_at_once_are_answered_one_after_another(server: RunningServer) -> None:
    first = request(b"POST /v1/responses HTTP/1.1")
    last = request(b"POST /v1/responses HTTP/1.1", b"connection: close")
    answered = await answer(server, first, first, last)
    assert answered.count(b"HTTP/1.1 200 OK\r\n") == 3
    assert answered.count(b"connection: close\r\n") == 1
    assert len(server.engine.prompts) == 3


@pytest.mark.parametrize("body", [BODY, STREAMED], ids=["plain", "streamed"])
async def test_who_leaves_with_a_request_still_waiting_is_written_nothing(
    start_server: StartServer, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    engine, asked, ended = an_engine_that_never_ends()
    async with start_server(engine=engine) as server, asyncio.timeout(LIMIT):
        _, writer = await connection(server)
        asking = request(b"POST /v1/responses HTTP/1.1", body=body)
        writer.write(asking + asking)
        await asked.wait()
        writer.transport.abort()
        await ended.wait()
    assert engine.closed_early == len(engine.prompts) == 1
    assert [each.message for each in caplog.records if each.levelname == "ERROR"] == []


async def test_who_is_turned_away_while_it_is_answered_ends_the_run(
    start_server: StartServer, caplog: pytest.LogCaptureFixture
) -> None:
    engine, asked, ended = an_engine_that_never_ends()
    async with start_server(engine=engine) as server, asyncio.timeout(LIMIT):
        reader, writer = await connection(server)
        writer.write(request(b"POST /v1/responses HTTP/1.1"))
        await asked.wait()
        writer.write(b"no request\r\n\r\n")
        answered = await reader.read()
        await ended.wait()
        writer.close()
    assert answered.count(b"HTTP/1.1 ") == answered.count(b"HTTP/1.1 400 ") == 1
    assert [each.message for each in caplog.records if each.levelname == "ERROR"] == []


def an_engine_that_never_ends() -> tuple[ScriptedUpstream, asyncio.Event, asyncio.Event]:
    """It, and events for when it is asked and left."""
    asked, ended, never = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def script(_: Any) -> Any:
        try:
            yield TextDelta("so")
            asked.set()
            yield never
        finally:
            ended.set()

    return ScriptedUpstream(script), asked, ended


async def test_an_old_client_is_left_after_its_reply(server: RunningServer) -> None:
    status, fields, body = parted(await answer(server, request(b"POST /v1/responses HTTP/1.0")))
    assert (status, fields[-1]) == (b"HTTP/1.1 200 OK", b"connection")
    assert msgspec.json.decode(body)["object"] == "response"


async def test_an_old_client_gets_a_stream_without_the_frames_that_it_does_not_know(
    server: RunningServer,
) -> None:
    asked = request(b"POST /v1/responses HTTP/1.0", body=STREAMED)
    status, fields, body = parted(await answer(server, asked))
    assert status == b"HTTP/1.1 200 OK"
    assert b"transfer-encoding" not in fields
    assert body.startswith(b"event: response.created\ndata: {")
    assert body.endswith(b"}\n\n")


@pytest.mark.parametrize("cut", [1, 30, 120, -len(BODY), -1], ids=str)
async def test_a_wish_for_another_protocol_takes_nothing_of_the_body(server: RunningServer, cut: int) -> None:
    """Java's HTTP client asks for HTTP/2 with every request."""
    wish = (b"connection: Upgrade, HTTP2-Settings", b"upgrade: h2c", b"http2-settings: AAMAAABkAAQAoAAA")
    asked = request(b"POST /v1/responses HTTP/1.1", *wish)
    last = request(b"POST /v1/responses HTTP/1.1", b"connection: close")
    reader, writer = await connection(server)
    async with asyncio.timeout(LIMIT):
        writer.write(asked[:cut])
        await writer.drain()
        await server.http.get("/nothing")  # the first piece has been read by then
        writer.write(asked[cut:] + last)
        answered = await reader.read()
    writer.close()
    assert answered.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert server.seen(0) == server.seen(1) == [{"role": "user", "content": "hi"}]


async def test_a_head_alone_has_no_body(server: RunningServer) -> None:
    asked = request(b"HEAD /v1/models HTTP/1.1", b"connection: close", body=b"")
    status, fields, body = parted(await answer(server, asked))
    assert status.startswith(b"HTTP/1.1 405")
    assert b"content-length" in fields
    assert body == b""


async def test_without_a_line_the_same_is_told_by_asgi(server: RunningServer) -> None:
    told = await by_asgi(server.app, BODY)
    assert told[0]["status"] == 200
    assert [name for name, _ in told[0]["headers"]][-1] == b"content-length"
    assert msgspec.json.decode(told[1]["body"])["status"] == "completed"


async def test_without_a_line_a_run_ends_when_its_client_goes_away(start_server: StartServer) -> None:
    asked, never = asyncio.Event(), asyncio.Event()

    def script(_: Any) -> Any:
        asked.set()
        yield never
        yield TextDelta("too late")
        yield Finish("stop")

    engine = ScriptedUpstream(script)
    async with start_server(engine=engine) as server, asyncio.timeout(LIMIT):
        await by_asgi(server.app, BODY, gone=asked)
    assert engine.closed_early == 1


async def by_asgi(app: Any, body: bytes, gone: asyncio.Event | None = None) -> list[Any]:
    """The messages to a client that stays, or goes away at an event."""
    told: list[Any] = []
    pieces = [body]

    async def receive() -> MutableMapping[str, Any]:
        if pieces:
            return {"type": "http.request", "body": pieces.pop(), "more_body": False}
        await (gone or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        told.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/responses", "query_string": b""}
    await app({**scope, "headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1)}, receive, send)
    return told


@pytest.mark.parametrize("body", [BODY, STREAMED], ids=["plain", "streamed"])
async def test_a_request_leaves_no_circles_for_the_collector(server: RunningServer, body: bytes) -> None:
    first = request(b"POST /v1/responses HTTP/1.1", body=body)
    last = request(b"POST /v1/responses HTTP/1.1", b"connection: close", body=body)
    await answer(server, *[first] * 20, last)
    gc.collect()
    gc.disable()
    try:
        await answer(server, *[first] * 100, last)
        left = gc.collect()
    finally:
        gc.enable()
    assert left < 100  # what is of the client's connection


class Below:
    """A connection and what goes on over it, without a socket."""

    def __init__(self, *, lost: bool) -> None:
        self.flow = cast("Any", SimpleNamespace(resume_reading=lambda: None, write_paused=False))
        self.lost = lost
        self.watched: Line | None = None
        self.written: list[bytes] = []

    def line(self) -> Line:
        cycle = SimpleNamespace(
            flow=self.flow,
            disconnected=self.lost,
            default_headers=[],
            transport=SimpleNamespace(writelines=self.written.extend, write=self.written.append),
            scope={"method": "POST"},
            keep_alive=True,
            waiting_for_100_continue=False,
            message_event=asyncio.Event(),
            on_response=lambda: None,
        )
        return Line(self, cast("Any", cycle))


async def test_who_watches_for_a_client_that_has_left_before_is_told_too() -> None:
    told = asyncio.Event()
    with Below(lost=True).line().watch(told.set):
        async with asyncio.timeout(LIMIT):
            await told.wait()


async def test_who_does_not_watch_any_more_is_told_nothing() -> None:
    told: list[str] = []
    callback: Callable[[], object] = lambda: told.append("gone")  # noqa: E731
    below = Below(lost=False)
    with below.line().watch(callback):
        watched = below.watched
        assert watched is not None
        watched.gone()
    assert below.watched is None
    await asyncio.sleep(0)
    assert told == []


async def test_nothing_is_written_to_a_client_that_has_left() -> None:
    below = Below(lost=True)
    await below.line().reply(200, [(b"content-length", b"2")], b"{}")
    assert below.written == []


async def test_a_field_cannot_smuggle_in_another() -> None:
    below = Below(lost=False)
    with pytest.raises(ValueError, match="cannot have this value"):
        await below.line().reply(200, [(b"x-tools", b"a\r\nset-cookie: b")], b"{}")
    assert below.written == []


async def test_a_stream_is_framed_as_by_asgi_and_left_open(server: RunningServer) -> None:
    asked = request(b"POST /v1/responses HTTP/1.1", body=STREAMED)
    last = request(b"POST /v1/responses HTTP/1.1", b"connection: close", body=STREAMED)
    status, fields, rest = parted(await answer(server, asked, last))
    assert status == b"HTTP/1.1 200 OK"
    assert fields[-3:] == [b"cache-control", b"x-accel-buffering", b"transfer-encoding"]
    first, _, second = rest.partition(b"0\r\n\r\n")
    size, _, piece = first.partition(b"\r\n")
    assert piece[int(size, 16) :].startswith(b"\r\n")
    status, fields, rest = parted(second)
    assert status == b"HTTP/1.1 200 OK"
    assert fields[-2:] == [b"connection", b"transfer-encoding"]
    assert rest.endswith(b"\r\n0\r\n\r\n")


async def test_what_a_task_sends_in_one_go_leaves_as_one() -> None:
    below = Below(lost=False)
    line = below.line()
    await line.open([(b"x-kind", b"stream")])
    await line.send(b"one")
    assert below.written == []
    await asyncio.sleep(0)
    assert below.written == [
        b"HTTP/1.1 200 OK\r\nx-kind: stream\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n"
    ]
    assert line.push(b"pushed")
    await line.send(b"last")
    await line.close()
    assert below.written[1:] == [b"6\r\npushed\r\n", b"4\r\nlast\r\n0\r\n\r\n"]
    await asyncio.sleep(0)
    assert len(below.written) == 3


async def test_no_piece_is_taken_while_the_client_does_not_keep_up() -> None:
    below = Below(lost=False)
    line = below.line()
    await line.open([])
    below.flow.write_paused = True
    assert not line.push(b"one")
    below.flow.write_paused = False
    assert line.push(b"one")
    assert below.written[0].endswith(b"\r\n\r\n3\r\none\r\n")


async def test_much_is_not_held_until_the_task_waits() -> None:
    below = Below(lost=False)
    line = below.line()
    await line.open([])
    for _ in range(10):
        await line.send(b"x" * 10_000)
    assert sum(map(len, below.written)) > 80_000
    line.abandon()
    assert sum(map(len, below.written)) > 100_000
