"""Engines that fail in every way they can, as clients of the whole server see it: whose fault it was, what is left."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from catena.config import Config, StreamSettings
from catena.sse import Decoder
from catena.upstream import Upstream
from catena.upstream.chat import ChatUpstream
from catena.upstream.engine import Access
from catena.upstream.http import Timeouts
from catena.upstream.retry import RetryPolicy
from tests.light import exchange
from tests.running import LIMIT, RunningServer, StartServer
from tests.upstream.raw_engine import Peer, Script, answering, raw_engine

KEY = "sk-secret-of-the-operator"
ONCE = RetryPolicy(tries=1)
AT_ONCE = RetryPolicy(tries=3, first_pause=0.0)
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def piece(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(packet: Any) -> bytes:
    return piece(b"data: " + json.dumps(packet).encode() + b"\n\n")


def says(word: str) -> bytes:
    return event({"choices": [{"index": 0, "delta": {"content": word}}]})


END = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
ANSWER = STREAM + says("fine") + END + piece(b"data: [DONE]\n\n") + b"0\r\n\r\n"


def refusing(status: int, body: Any, *headers: str) -> Script:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} No", f"content-length: {len(content)}", *headers, "", ""]
    return answering("\r\n".join(lines).encode() + content)


def sending(*pieces: bytes) -> Script:
    """Sends this and hangs up."""

    async def script(peer: Peer) -> None:
        if await peer.request():
            for each in pieces:
                await peer.send(each)

    return script


def stalling(*pieces: bytes) -> Script:
    """Sends this and then nothing more, until the other side has had enough."""

    async def script(peer: Peer) -> None:
        if await peer.request():
            for each in pieces:
                await peer.send(each)
            await peer.hung_up()

    return script


async def deaf(peer: Peer) -> None:
    """Accepts a connection, and takes no part in its TLS handshake."""
    await peer.reader.read()


class Fault(NamedTuple):
    """What an engine does, and what a client hears of it; `half` says that the engine had begun to answer."""

    script: Script
    status: int
    code: str | None
    message: str
    half: bool = False
    headers: Mapping[str, str] = MappingProxyType({})
    access: Access = Access()
    scheme: str = "http"


FAULTS = {
    "refused connection": Fault(answering(ANSWER), 502, "upstream_unreachable", "cannot be reached."),
    "401": Fault(
        refusing(401, {"error": {"message": f"Incorrect API key provided: {KEY}"}}),
        502,
        "upstream_authentication_error",
        "does not let this server in (HTTP 401): its key for the engine is wrong or too weak. Your own key is not the "
        "cause; the operator of this server can repair it.",
        headers={"x-should-retry": "false"},
    ),
    "404": Fault(
        refusing(404, b"<html>nginx at 10.0.0.7</html>", "content-type: text/html"),
        502,
        "upstream_protocol_error",
        "is not at the address that this server asks (HTTP 404). The request is not the cause: the operator of this "
        "server should check the engine's base URL.",
        headers={"x-should-retry": "false"},
    ),
    "404 for the model": Fault(
        refusing(404, {"error": {"message": "model 'bad' not found", "code": "model_not_found"}}),
        404,
        "model_not_found",
        "does not have this model: model 'bad' not found",
    ),
    "429": Fault(
        refusing(429, {"error": {"message": "slow down"}}, "retry-after: 30"),
        429,
        "rate_limit_exceeded",
        "has too many requests. Please try again later.",
        headers={"retry-after": "30"},
    ),
    "500": Fault(
        refusing(500, {"error": {"message": "oops"}}), 502, "upstream_error", "failed (HTTP 500): oops"
    ),
    "503": Fault(refusing(503, b""), 503, "upstream_error", "cannot take requests now."),
    "cut in the middle": Fault(
        sending(STREAM, says("half")),
        502,
        "upstream_disconnected",
        "closed the connection in the middle of its answer.",
        half=True,
    ),
    "end without an end": Fault(
        sending(STREAM, says("half"), b"0\r\n\r\n"),
        502,
        "upstream_disconnected",
        "ended its answer in the middle.",
        half=True,
    ),
    "stall of the connection": Fault(
        deaf,
        504,
        "upstream_timeout",
        "did not accept a connection in time.",
        access={"timeouts": Timeouts(connect=0.05)},
        scheme="https",
    ),
    "stall before the first chunk": Fault(
        stalling(STREAM),
        504,
        "upstream_timeout",
        "did not begin its answer in time.",
        access={"timeouts": Timeouts(first=0.05)},
    ),
    "stall between chunks": Fault(
        stalling(STREAM, says("half")),
        504,
        "upstream_timeout",
        "fell silent within its answer.",
        access={"timeouts": Timeouts(between=0.05)},
        half=True,
    ),
    "garbage instead of HTTP": Fault(
        sending(b"220 mail.example ESMTP\r\n"),
        502,
        "upstream_protocol_error",
        "does not speak HTTP as it should. This server cannot use its answer.",
    ),
    "garbage in the stream": Fault(
        sending(STREAM, says("half"), piece(b"data: {nonsense\n\n")),
        502,
        "upstream_protocol_error",
        "sent what is not a chat completion. This server cannot use its answer.",
        half=True,
    ),
    "error within the stream": Fault(
        sending(STREAM, says("half"), event({"error": {"message": "out of memory", "code": 500}})),
        502,
        "upstream_error",
        "failed: out of memory",
        half=True,
    ),
    "wrong content type": Fault(
        refusing(200, b"<html>a portal</html>", "content-type: text/html"),
        502,
        "upstream_protocol_error",
        "sent 'text/html' instead of a stream of events. This server cannot use its answer.",
    ),
    "huge chunk": Fault(
        sending(STREAM, says("x" * 5000)),
        502,
        "upstream_protocol_error",
        "sent an event of more than 4000 bytes. This server cannot use its answer.",
        access={"event_limit": 4000},
    ),
}
OFFICIAL = {429: "rate_limit_exceeded", 404: "invalid_prompt"}
"""The codes of a failed response, by what the status would have been; any other is a server_error."""


@contextlib.asynccontextmanager
async def engine_of(fault: Fault) -> AsyncIterator[str]:
    async with raw_engine(fault.script) as engine:
        if fault is FAULTS["refused connection"]:
            await engine.refuse()
        yield engine.url.replace("http:", f"{fault.scheme}:")


@contextlib.asynccontextmanager
async def chat_upstream(*urls: str, **access: Any) -> AsyncIterator[ChatUpstream]:
    upstream = ChatUpstream("bad", [f"{url}/v1" for url in urls], key=KEY, **access)
    try:
        yield upstream
    finally:
        await upstream.close()


async def events_of(server: RunningServer, body: Any) -> list[dict[str, Any]]:
    reply = await server.post("/responses", {**body, "stream": True})
    assert reply.status_code == 200, reply.text
    return [json.loads(each.data) for each in Decoder().feed(reply.content)]


async def ended(server: RunningServer, response_id: str) -> dict[str, Any]:
    async with asyncio.timeout(LIMIT):
        while True:
            response: dict[str, Any] = (await server.http.get(f"/responses/{response_id}")).json()
            if response["status"] not in ("queued", "in_progress"):
                return response


def text_of(response: dict[str, Any]) -> str:
    return "".join(part["text"] for item in response["output"] for part in item["content"])


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_is_told_as_whose_it_was_and_the_chain_goes_on(
    start_server: StartServer, name: str
) -> None:
    fault = FAULTS[name]
    message = f"The engine 'bad' {fault.message}"
    access: Access = {"retry": ONCE, **fault.access}
    async with (
        engine_of(fault) as url,
        chat_upstream(url, **access) as bad,
        start_server(routes={"bad": bad}) as server,
    ):
        good = (await server.post("/responses", {"model": "m", "input": "hello"})).json()
        below = {"model": "bad", "previous_response_id": good["id"]}
        body = {**below, "input": "again"}
        chat = {**below, "messages": [{"role": "user", "content": "again"}]}

        # A plain request: its own status, and nothing of it is stored
        stored = (await server.store.usage()).turns
        for path, given in (("/responses", body), ("/chat/completions", chat)):
            reply = await server.post(path, given)
            error = reply.json()["error"]
            assert (reply.status_code, error["code"], error["message"]) == (fault.status, fault.code, message)
            assert fault.headers.items() <= dict(reply.headers).items()
            assert KEY not in reply.text
        assert (await server.store.usage()).turns == stored

        # A stream, and a run in the background: a failed response, which is stored with what it had
        events = await events_of(server, body)
        assert [each["sequence_number"] for each in events] == list(range(len(events)))
        error, failed = events[-2:]
        assert (error["type"], error["code"], error["message"]) == ("error", fault.code, message)
        assert failed["type"] == "response.failed"
        queued = (await server.post("/responses", {**body, "background": True})).json()
        for response in (failed["response"], await ended(server, queued["id"])):
            assert response["status"] == "failed"
            assert response["error"] == {
                "code": OFFICIAL.get(fault.status, "server_error"),
                "message": message,
            }
            assert text_of(response) == ("half" if fault.half else "")
            assert (await server.http.get(f"/responses/{response['id']}")).json() == response
            assert KEY not in json.dumps(response)

        # The chain goes on from the last good turn, and knows nothing of those that failed
        await server.post("/responses", {**body, "model": "m", "input": "and then?"})
        assert [each["content"] for each in server.seen()] == ["hello", "1: hello", "and then?"]


# Again, and elsewhere


async def failing(peer: Peer) -> None:
    if await peer.request():
        peer.reset()


MODES = {"plain": {}, "streamed": {"stream": True}, "behind": {"background": True}}


@pytest.mark.parametrize(
    "script",
    [failing, refusing(503, b""), refusing(500, b""), sending(STREAM), refusing(429, b"", "retry-after: 60")],
    ids=["hangs up", "503", "500", "cut before the first word", "429"],
)
async def test_a_second_base_url_is_asked_before_anything_was_told(
    start_server: StartServer, script: Script
) -> None:
    async with (
        raw_engine(script) as broken,
        raw_engine(answering(ANSWER)) as well,
        contextlib.AsyncExitStack() as stack,
    ):
        routes: dict[str, Upstream] = {}
        for model in MODES:
            upstream = chat_upstream(broken.url, well.url, retry=AT_ONCE)
            routes[model] = await stack.enter_async_context(upstream)
        server = await stack.enter_async_context(start_server(routes=routes))
        for times, (model, mode) in enumerate(MODES.items(), 1):
            while len(broken.requests) < times:  # which one is asked first is decided by the tree
                response = await answer(server, {"model": model, "input": "hello", **mode})
                assert (response["status"], text_of(response)) == ("completed", "fine")
            assert body_of(broken.requests[-1]) == body_of(well.requests[-1])
        assert len(broken.requests) == len(MODES)


async def answer(server: RunningServer, body: dict[str, Any]) -> dict[str, Any]:
    """The response to `body` as it ended, however it is told."""
    if body.get("stream"):
        response: dict[str, Any] = (await events_of(server, body))[-1]["response"]
        return response
    return await ended(server, (await server.post("/responses", body)).json()["id"])


def body_of(request: bytes) -> bytes:
    return request.partition(b"\r\n\r\n")[2]


async def test_after_the_first_word_no_other_base_url_is_asked(start_server: StartServer) -> None:
    async with (
        raw_engine(sending(STREAM, says("half"))) as broken,
        raw_engine(answering(ANSWER)) as well,
        chat_upstream(broken.url, well.url, retry=AT_ONCE) as upstream,
        start_server(routes={"bad": upstream}) as server,
    ):
        while not broken.requests:
            before = len(well.requests)
            events = await events_of(server, {"model": "bad", "input": "hello"})
        assert events[-1]["type"] == "response.failed"
        assert text_of(events[-1]["response"]) == "half"
        assert (len(broken.requests), len(well.requests)) == (1, before)


async def test_a_single_engine_is_asked_again_where_that_is_safe(start_server: StartServer) -> None:
    answers = iter([failing, answering(ANSWER)])

    async def script(peer: Peer) -> None:
        await next(answers)(peer)

    async with (
        raw_engine(script) as engine,
        chat_upstream(engine.url, retry=AT_ONCE) as upstream,
        start_server(routes={"bad": upstream}) as server,
    ):
        reply = await server.post("/responses", {"model": "bad", "input": "hello"})
        assert text_of(reply.json()) == "fine"
        assert len(engine.requests) == 2


# Nobody wants the answer any more


class Talker:
    """An engine that says `pieces`, and then notices that nobody listens any more."""

    def __init__(self, *pieces: bytes) -> None:
        self.asked = asyncio.Event()
        self.left = asyncio.Event()
        self._pieces = pieces

    async def __call__(self, peer: Peer) -> None:
        if await peer.request():
            for each in self._pieces:
                await peer.send(each)
            self.asked.set()
            await peer.hung_up()
            self.left.set()


@contextlib.asynccontextmanager
async def request_under_way(server: RunningServer, path: str, body: dict[str, Any]) -> AsyncIterator[None]:
    """A request whose connection is cut at the end."""

    async def ask() -> None:
        async with exchange(server.url, "POST", f"/v1{path}", body) as opened:
            await opened.body()

    asking = asyncio.create_task(ask())
    try:
        yield
    finally:
        asking.cancel()
        await asyncio.wait([asking])


CHAT = {"model": "bad", "messages": [{"role": "user", "content": "hello"}]}
RESPONSE = {"model": "bad", "input": "hello"}


REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("/responses", RESPONSE),
    ("/responses", {**RESPONSE, "stream": True}),
    ("/responses", {**RESPONSE, "stream": True, "store": False}),
    ("/chat/completions", CHAT),
    ("/chat/completions", {**CHAT, "stream": True}),
]


@pytest.mark.parametrize(
    "pieces", [(), (STREAM,), (STREAM, says("half"))], ids=["nothing", "a head", "a word"]
)
async def test_an_engine_is_left_at_once_when_its_client_is_gone(
    start_server: StartServer, pieces: tuple[bytes, ...]
) -> None:
    talkers = [Talker(*pieces) for _ in REQUESTS]
    waiting = iter(talkers)

    async def script(peer: Peer) -> None:
        await next(waiting)(peer)

    config = Config(streams=StreamSettings(grace_seconds=0))
    async with (
        raw_engine(script) as engine,
        chat_upstream(engine.url) as upstream,
        start_server(routes={"bad": upstream}, config=config) as server,
        asyncio.timeout(LIMIT),
    ):
        for (path, body), talker in zip(REQUESTS, talkers, strict=True):
            async with request_under_way(server, path, body):
                await talker.asked.wait()
            await talker.left.wait()
        assert engine.connections == len(REQUESTS)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_engine_is_left_at_once_when_its_run_is_cancelled(
    start_server: StartServer, stream: bool
) -> None:
    talker = Talker(STREAM, says("half"))
    async with (
        raw_engine(talker) as engine,
        chat_upstream(engine.url) as upstream,
        start_server(routes={"bad": upstream}) as server,
        asyncio.timeout(LIMIT),
    ):
        body = {**RESPONSE, "background": True, "stream": stream}
        async with exchange(server.url, "POST", "/v1/responses", body) as opened:
            if stream:
                first = await anext(opened.events())
                response_id = json.loads(first.data)["response"]["id"]
            else:
                response_id = json.loads(await opened.body())["id"]
            await talker.asked.wait()
            cancelled = (await server.http.post(f"/responses/{response_id}/cancel")).json()
            assert cancelled["status"] == "cancelled"
            await talker.left.wait()
