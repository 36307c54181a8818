"""The adapters over real sockets: what is sent, what is tried again, what ends when, and what is told of it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any

import pytest

from catena.chunks import Chunk, Finish, TextDelta, UsageReport
from catena.errors import UpstreamError
from catena.upstream import Prompt, Upstream
from catena.upstream.chat import ChatUpstream
from catena.upstream.http import HttpClient, Timeouts
from catena.upstream.responses import ResponsesUpstream
from catena.upstream.retry import RetryPolicy
from tests.upstream.playback import RECORDINGS
from tests.upstream.raw_engine import Engine, Peer, Script, answering, raw_engine

AT_ONCE = RetryPolicy(first_pause=0.0)
NEVER_AGAIN = RetryPolicy(tries=1)
PROMPT = Prompt("m", [b'{"role":"user","content":"Hi"}'], {}, tree="00112233445566aa")
KEY = "sk-verysecret"


def reply(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {"content-type": "application/json"}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunked(*pieces: bytes, end: bool = True) -> bytes:
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return framed + (b"0\r\n\r\n" if end else b"")


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
)


def event(text: str | None = None, finish: str | None = None) -> bytes:
    delta = {} if text is None else {"content": text}
    body = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


ANSWER = STREAM_HEAD + chunked(event("Hi"), event(None, "stop"), b"data: [DONE]\n\n")
ANSWERED = [TextDelta("Hi"), Finish("stop")]


def asked(engine: Engine) -> list[Any]:
    return [json.loads(request.partition(b"\r\n\r\n")[2]) for request in engine.requests]


async def read(upstream: Upstream, prompt: Prompt = PROMPT) -> list[Chunk]:
    async with aclosing(upstream.stream(prompt)) as answer:
        return [chunk async for batch in answer for chunk in batch]


async def read_until_error(upstream: Upstream) -> tuple[list[Chunk], UpstreamError]:
    chunks: list[Chunk] = []
    with pytest.raises(UpstreamError) as caught:
        async with aclosing(upstream.stream(PROMPT)) as answer:
            async for batch in answer:
                chunks += batch
    assert KEY not in caught.value.message
    assert "127.0.0.1" not in caught.value.message
    return chunks, caught.value


@pytest.fixture
async def closing() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def chat(closing: AsyncExitStack) -> Callable[..., ChatUpstream]:
    def make(*urls: str, **settings: Any) -> ChatUpstream:
        upstream = ChatUpstream("lab", urls, **{"key": KEY, "retry": NEVER_AGAIN, **settings})
        closing.push_async_callback(upstream.close)
        return upstream

    return make


def unused_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


class TestRequests:
    async def test_a_chat_engine_is_asked_for_a_stream_with_usage(
        self, chat: Callable[..., ChatUpstream]
    ) -> None:
        async with raw_engine(answering(ANSWER)) as engine:
            upstream = chat(f"{engine.url}/v1/")
            prompt = Prompt("gpt", [b'{"a":1},{"b":2}', b'{"c":3}'], {"temperature": 0.5, "max_tokens": 7})
            assert await read(upstream, prompt) == ANSWERED
            head = engine.requests[0].partition(b"\r\n\r\n")[0].decode().split("\r\n")
            assert head[0] == "POST /v1/chat/completions HTTP/1.1"
            assert {"content-type: application/json", f"authorization: Bearer {KEY}"} <= set(head)
            assert asked(engine) == [
                {
                    "model": "gpt",
                    "messages": [{"a": 1}, {"b": 2}, {"c": 3}],
                    "temperature": 0.5,
                    "max_tokens": 7,
                    "stream": True,
                    "stream_options": {"include_usage": True},
                }
            ]

    async def test_a_responses_engine_is_asked_in_its_own_dialect(self, closing: AsyncExitStack) -> None:
        recording = (RECORDINGS / "openai_responses_text.sse").read_bytes()
        async with raw_engine(answering(STREAM_HEAD + chunked(recording))) as engine:
            upstream = ResponsesUpstream("lab", [engine.url], retry=NEVER_AGAIN)
            closing.push_async_callback(upstream.close)
            prompt = Prompt("gpt", [b'{"type":"message"}'], {"store": False})
            chunks = await read(upstream, prompt)
            assert "".join(chunk.text for chunk in chunks if isinstance(chunk, TextDelta)) == "Hello wörld"
            assert chunks[-2:] == [UsageReport(11, 3, 4), Finish("stop")]
            assert engine.requests[0].startswith(b"POST /responses HTTP/1.1\r\n")
            assert asked(engine) == [
                {"model": "gpt", "input": [{"type": "message"}], "store": False, "stream": True}
            ]

    async def test_the_limit_goes_by_the_name_that_the_engine_knows(
        self, chat: Callable[..., ChatUpstream]
    ) -> None:
        async with raw_engine(answering(ANSWER)) as engine:
            upstream = chat(engine.url, max_tokens_field="max_completion_tokens")
            await read(upstream, Prompt("m", [], {"max_tokens": 7}))
            (body,) = asked(engine)
            assert (body.get("max_tokens"), body["max_completion_tokens"]) == (None, 7)

    @pytest.mark.parametrize(
        ("url", "name"),
        [("https://api.openai.com/v1", "max_completion_tokens"), ("http://127.0.0.1:8000/v1", "max_tokens")],
    )
    def test_openais_own_host_is_known_to_take_the_new_name(self, url: str, name: str) -> None:
        assert ChatUpstream("lab", [url])._limit == name

    async def test_a_base_url_keeps_its_query_and_without_a_key_none_is_sent(
        self, chat: Callable[..., ChatUpstream]
    ) -> None:
        async with raw_engine(answering(ANSWER)) as engine:
            upstream = chat(f"{engine.url}/deployments/d?api-version=1", key=None)
            await read(upstream)
            head = engine.requests[0].partition(b"\r\n\r\n")[0].decode().split("\r\n")
            assert head[0] == "POST /deployments/d/chat/completions?api-version=1 HTTP/1.1"
            assert not [line for line in head if line.startswith("authorization")]

    @pytest.mark.parametrize("url", ["ftp://x/v1", "http://user:pass@x/v1", "x:8000", "http://"])
    def test_a_base_url_that_cannot_be_asked_is_refused_at_once(self, url: str) -> None:
        with pytest.raises(ValueError):
            ChatUpstream("lab", [url])

    def test_a_key_that_cannot_be_sent_is_refused_at_once_and_not_shown(self) -> None:
        with pytest.raises(ValueError) as caught:
            ChatUpstream("lab", ["http://x/v1"], key="sk-\n1")
        assert "sk-" not in str(caught.value)

    def test_an_upstream_needs_a_base_url(self) -> None:
        with pytest.raises(ValueError):
            ChatUpstream("lab", [])


class TestAnswers:
    async def test_a_batch_is_what_arrived_together(self, chat: Callable[..., ChatUpstream]) -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(STREAM_HEAD + chunked(event("a"), event("b"), end=False))
            await peer.request()

        async with raw_engine(script) as engine, aclosing(chat(engine.url).stream(PROMPT)) as answer:
            assert await anext(answer) == [TextDelta("a"), TextDelta("b")]

    async def test_the_connection_serves_again_after_an_answer(
        self, chat: Callable[..., ChatUpstream]
    ) -> None:
        async with raw_engine(answering(ANSWER)) as engine:
            upstream = chat(engine.url)
            assert [await read(upstream) for _ in range(3)] == [ANSWERED] * 3
            assert (engine.connections, len(engine.requests)) == (1, 3)

    async def test_a_whole_completion_is_taken_though_a_stream_was_asked_for(
        self, chat: Callable[..., ChatUpstream]
    ) -> None:
        whole = {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}
        async with raw_engine(answering(reply(200, json.dumps(whole).encode()))) as engine:
            assert await read(chat(engine.url)) == ANSWERED

    async def test_an_answer_of_which_only_the_count_of_tokens_is_missing_is_whole(
        self, chat: Callable[..., ChatUpstream]
    ) -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(STREAM_HEAD + chunked(event("Hi"), event(None, "stop"), end=False))

        async with raw_engine(script) as engine:
            assert await read(chat(engine.url)) == ANSWERED

    async def test_an_event_without_its_blank_line_counts_at_the_end(
        self, chat: Callable[..., ChatUpstream]
    ) -> None:
        pieces = (event("Hi"), event(None, "stop").rstrip())
        async with raw_engine(answering(STREAM_HEAD + chunked(*pieces))) as engine:
            assert await read(chat(engine.url)) == ANSWERED

    async def test_an_event_of_ten_megabytes_is_taken(self, chat: Callable[..., ChatUpstream]) -> None:
        text = "x" * 10_000_000
        answer = STREAM_HEAD + chunked(event(text), event(None, "stop"), b"data: [DONE]\n\n")
        async with raw_engine(answering(answer)) as engine:
            assert await read(chat(engine.url)) == [TextDelta(text), Finish("stop")]

    async def test_an_event_over_the_limit_is_an_error_and_ends_the_answer(
        self, chat: Callable[..., ChatUpstream]
    ) -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(STREAM_HEAD + chunked(event("x" * 2000), end=False))
            await peer.hung_up()

        async with raw_engine(script) as engine:
            chunks, error = await read_until_error(chat(engine.url, event_limit=1000))
            await engine.scripts_done()
        assert (chunks, error.code) == ([], "upstream_protocol_error")
        assert "an event of more than 1000 bytes" in error.message


class TestEarlyEnds:
    async def test_closing_an_answer_closes_the_connection_at_once(
        self, chat: Callable[..., ChatUpstream]
    ) -> None:
        async with raw_engine(endless) as engine:
            answer = chat(engine.url).stream(PROMPT)
            assert await anext(answer) == [TextDelta("a")]
            await answer.aclose()
            await engine.scripts_done()

    async def test_cancelling_the_reader_closes_the_connection_at_once(
        self, chat: Callable[..., ChatUpstream]
    ) -> None:
        async with raw_engine(endless) as engine:
            begun = asyncio.Event()

            async def consume() -> None:
                async with aclosing(chat(engine.url).stream(PROMPT)) as answer:
                    async for _ in answer:
                        begun.set()

            reading = asyncio.create_task(consume())
            await begun.wait()
            reading.cancel()
            await asyncio.wait([reading])
            assert reading.cancelled()
            await engine.scripts_done()

    async def test_cancelling_before_the_first_chunk_closes_the_connection_at_once(
        self, chat: Callable[..., ChatUpstream]
    ) -> None:
        heard = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.request()
            heard.set()
            await peer.hung_up()

        async with raw_engine(script) as engine:
            reading = asyncio.create_task(read(chat(engine.url)))
            await heard.wait()
            reading.cancel()
            await asyncio.wait([reading])
            await engine.scripts_done()


async def endless(peer: Peer) -> None:
    await peer.request()
    await peer.send(STREAM_HEAD + chunked(event("a"), end=False))
    await peer.hung_up()


def mute_after(*pieces: bytes) -> Script:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"".join(pieces))
        await peer.hung_up()

    return script


def ending_after(*pieces: bytes) -> Script:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"".join(pieces))

    return script


BUSY = json.dumps({"error": {"message": "Loading model", "code": 503}}).encode()

FAILURES: list[tuple[str, Script, list[Chunk], int, str | None]] = [
    ("no key", answering(reply(401, b'{"error":"Bad key"}')), [], 502, "upstream_authentication_error"),
    ("unknown model", answering(reply(404, b'{"error":"model m not found"}')), [], 404, "model_not_found"),
    ("wrong address", answering(reply(404, b"404 page not found")), [], 502, "upstream_protocol_error"),
    ("too many", answering(reply(429, b"{}", {"retry-after": "7"})), [], 429, "rate_limit_exceeded"),
    ("a failure", answering(reply(500, b'{"error":"boom"}')), [], 502, "upstream_error"),
    ("not ready", answering(reply(503, BUSY)), [], 503, "upstream_error"),
    ("refused", answering(reply(400, b'{"error":"Bad role"}')), [], 400, None),
    ("a refusal without end", mute_after(b"HTTP/1.1 500 No\r\ncontent-length: 9\r\n\r\nx"), [], 502, "upstream_error"),
    ("a page", answering(reply(200, b"<html>", {"content-type": "text/html"})), [], 502, "upstream_protocol_error"),
    ("no HTTP", answering(b"SSH-2.0-OpenSSH_9.9\r\n"), [], 502, "upstream_protocol_error"),
    (
        "no JSON",
        answering(STREAM_HEAD + chunked(event("a"), b"data: garbage\n\n")),
        [TextDelta("a")],
        502,
        "upstream_protocol_error",
    ),
    ("no completion", answering(reply(200, b'{"status":"ok"}')), [], 502, "upstream_protocol_error"),
    ("whole, but cut", ending_after(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"),
     [], 502, "upstream_disconnected"),
    ("cut before the head", ending_after(), [], 502, "upstream_disconnected"),
    ("cut after the head", ending_after(STREAM_HEAD), [], 502, "upstream_disconnected"),
    ("cut in the middle", ending_after(STREAM_HEAD, chunked(event("a"), end=False)), [TextDelta("a")], 502,
     "upstream_disconnected"),
    ("ended in the middle", answering(STREAM_HEAD + chunked(event("a"))), [TextDelta("a")], 502,
     "upstream_disconnected"),
    ("ended before anything", answering(STREAM_HEAD + chunked()), [], 502, "upstream_disconnected"),
    (
        "an error in the stream",
        answering(STREAM_HEAD + chunked(event("a") + b'data: {"error":{"message":"boom","code":500}}\n\n')),
        [TextDelta("a")],
        502,
        "upstream_error",
    ),
    ("mute before the head", mute_after(), [], 504, "upstream_timeout"),
    ("mute after the head", mute_after(STREAM_HEAD), [], 504, "upstream_timeout"),
    ("mute in the middle", mute_after(STREAM_HEAD, chunked(event("a"), end=False)), [TextDelta("a")], 504,
     "upstream_timeout"),
]  # fmt: skip


class TestFailures:
    @pytest.mark.parametrize(
        ("script", "told", "status", "code"),
        [case[1:] for case in FAILURES],
        ids=[case[0] for case in FAILURES],
    )
    async def test_what_arrived_is_told_and_then_whose_fault_the_end_was(
        self,
        chat: Callable[..., ChatUpstream],
        script: Script,
        told: list[Chunk],
        status: int,
        code: str | None,
    ) -> None:
        async with raw_engine(script) as engine:
            upstream = chat(engine.url, timeouts=Timeouts(first=0.1, between=0.1))
            chunks, error = await read_until_error(upstream)
        assert (chunks, error.http_status, error.code) == (told, status, code)
        if told:
            assert not error.retryable

    async def test_nobody_listens(self, chat: Callable[..., ChatUpstream]) -> None:
        chunks, error = await read_until_error(chat(f"http://127.0.0.1:{unused_port()}/v1"))
        assert (chunks, error.http_status, error.code) == ([], 502, "upstream_unreachable")

    async def test_the_host_is_unknown(
        self, chat: Callable[..., ChatUpstream], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def unknown(*_: Any, **__: Any) -> Any:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
        chunks, error = await read_until_error(chat("http://no-such-host.invalid/v1"))
        assert (chunks, error.http_status, error.code) == ([], 502, "upstream_unreachable")
        assert "no-such-host" not in error.message

    async def test_the_operator_reads_the_address_in_the_log_and_nothing_that_was_said(
        self, chat: Callable[..., ChatUpstream], caplog: pytest.LogCaptureFixture
    ) -> None:
        port = unused_port()
        await read_until_error(chat(f"http://127.0.0.1:{port}/v1"))
        assert caplog.messages == [
            f"engine lab, try 1: upstream_unreachable (127.0.0.1:{port} refused the connection)"
        ]

    async def test_the_client_hears_how_long_to_wait(self, chat: Callable[..., ChatUpstream]) -> None:
        async with raw_engine(answering(reply(429, b"{}", {"retry-after": "7"}))) as engine:
            _, error = await read_until_error(chat(engine.url))
        assert error.headers == {"retry-after": "7"}


class TestAgain:
    @pytest.mark.parametrize(
        "first",
        [
            reply(503, BUSY),
            reply(500, b"{}"),
            reply(429, b"{}", {"retry-after-ms": "0"}),
            STREAM_HEAD + chunked(b'data: {"error":{"message":"busy","code":503}}\n\n'),
            STREAM_HEAD + chunked(),
        ],
        ids=["not ready", "failed", "too many", "failed in the stream", "ended before anything"],
    )
    async def test_what_may_go_better_is_tried_again(
        self, chat: Callable[..., ChatUpstream], first: bytes
    ) -> None:
        async with raw_engine(answering(first, first, ANSWER)) as engine:
            assert await read(chat(engine.url, retry=AT_ONCE)) == ANSWERED
            assert len(engine.requests) == 3
            assert len(set(engine.requests)) == 1

    @pytest.mark.parametrize("status", [400, 401, 404, 422])
    async def test_what_cannot_go_better_is_not_tried_again(
        self, chat: Callable[..., ChatUpstream], status: int
    ) -> None:
        async with raw_engine(answering(reply(status, b"{}"), ANSWER)) as engine:
            await read_until_error(chat(engine.url, retry=AT_ONCE))
            assert len(engine.requests) == 1

    async def test_what_was_told_is_never_asked_for_again(self, chat: Callable[..., ChatUpstream]) -> None:
        async with raw_engine(answering(STREAM_HEAD + chunked(event("a")), ANSWER)) as engine:
            chunks, error = await read_until_error(chat(engine.url, retry=AT_ONCE))
            assert (chunks, error.retryable, len(engine.requests)) == ([TextDelta("a")], False, 1)

    async def test_a_role_alone_is_no_answer_yet(self, chat: Callable[..., ChatUpstream]) -> None:
        role = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'

        async def script(peer: Peer) -> None:
            await peer.request()
            if peer.engine.connections == 1:
                await peer.send(STREAM_HEAD + chunked(role, end=False))
            else:
                await peer.send(ANSWER)

        async with raw_engine(script) as engine:
            assert await read(chat(engine.url, retry=AT_ONCE)) == ANSWERED
            assert engine.connections == 2

    async def test_when_all_tries_fail_the_last_error_is_told(
        self, chat: Callable[..., ChatUpstream]
    ) -> None:
        async with raw_engine(answering(reply(503, BUSY))) as engine:
            _, error = await read_until_error(chat(engine.url, retry=AT_ONCE))
            assert (error.http_status, len(engine.requests)) == (503, 3)


class TestReplicas:
    async def test_another_base_url_answers_where_one_is_down(
        self, chat: Callable[..., ChatUpstream]
    ) -> None:
        async with raw_engine(answering(ANSWER)) as engine:
            down = f"http://127.0.0.1:{unused_port()}"
            upstream = chat(down, engine.url, retry=AT_ONCE)
            trees = [f"{number:016x}" for number in range(20)]
            answers = [await read(upstream, Prompt("m", [], {}, tree=tree)) for tree in trees]
            assert answers == [ANSWERED] * 20

    async def test_another_base_url_answers_where_one_fails(self, chat: Callable[..., ChatUpstream]) -> None:
        async with (
            raw_engine(answering(reply(500, b"{}"))) as failing,
            raw_engine(answering(ANSWER)) as engine,
        ):
            upstream = chat(failing.url, engine.url, retry=AT_ONCE)
            trees = [f"{number:016x}" for number in range(20)]
            assert [await read(upstream, Prompt("m", [], {}, tree=tree)) for tree in trees] == [ANSWERED] * 20
            assert len(failing.requests) == 1, "one that failed sits out for a while"

    async def test_requests_of_one_tree_go_to_one_base_url(self, chat: Callable[..., ChatUpstream]) -> None:
        async with raw_engine(answering(ANSWER)) as one, raw_engine(answering(ANSWER)) as other:
            upstream = chat(one.url, other.url)
            for tree in (f"{number:016x}" for number in range(12)):
                before = len(one.requests)
                for _ in range(3):
                    await read(upstream, Prompt("m", [], {}, tree=tree))
                assert len(one.requests) - before in (0, 3)
            assert one.requests
            assert other.requests

    async def test_a_wrong_key_is_no_reason_to_ask_elsewhere(self, chat: Callable[..., ChatUpstream]) -> None:
        async with raw_engine(answering(reply(401))) as one, raw_engine(answering(reply(401))) as other:
            _, error = await read_until_error(chat(one.url, other.url, retry=AT_ONCE))
            assert error.code == "upstream_authentication_error"
            assert len(one.requests) + len(other.requests) == 1


def listing(*names: str) -> bytes:
    return reply(200, json.dumps({"object": "list", "data": [{"id": name} for name in names]}).encode())


class TestModels:
    async def test_models_are_asked_for_once_in_a_while(self, chat: Callable[..., ChatUpstream]) -> None:
        async with raw_engine(answering(listing("a", "b"), listing("c"))) as engine:
            upstream = chat(f"{engine.url}/v1")
            listed = [[model.id for model in await upstream.models()] for _ in range(3)]
            assert listed == [["a", "b"]] * 3
            assert [request.partition(b" HTTP")[0] for request in engine.requests] == [b"GET /v1/models"]

    @pytest.mark.parametrize(
        ("answer", "status", "code"),
        [
            (reply(200, b"<html>"), 502, "upstream_protocol_error"),
            (reply(401, b"{}"), 502, "upstream_authentication_error"),
            (reply(500, b"{}"), 502, "upstream_error"),
        ],
    )
    async def test_a_list_that_cannot_be_had(
        self, chat: Callable[..., ChatUpstream], answer: bytes, status: int, code: str
    ) -> None:
        async with raw_engine(answering(answer)) as engine:
            with pytest.raises(UpstreamError) as caught:
                await chat(engine.url).models()
            assert (caught.value.http_status, caught.value.code) == (status, code)

    async def test_a_failure_is_not_remembered(self, chat: Callable[..., ChatUpstream]) -> None:
        async with raw_engine(answering(reply(500), listing("a"))) as engine:
            upstream = chat(engine.url)
            with pytest.raises(UpstreamError):
                await upstream.models()
            assert [model.id for model in await upstream.models()] == ["a"]


class TestForward:
    async def test_a_request_is_passed_on_as_it_is(self, chat: Callable[..., ChatUpstream]) -> None:
        answer = reply(200, b'{"data":[]}', {"content-type": "application/json; charset=utf-8"})
        async with raw_engine(answering(answer)) as engine:
            passed = await chat(f"{engine.url}/v1").forward("/embeddings", b'{"input":"x"}')
            assert passed == (200, "application/json; charset=utf-8", b'{"data":[]}')
            head, _, body = engine.requests[0].partition(b"\r\n\r\n")
            assert (head.split(b"\r\n")[0], body) == (b"POST /v1/embeddings HTTP/1.1", b'{"input":"x"}')

    async def test_a_refusal_of_the_request_is_passed_on_too(self, chat: Callable[..., ChatUpstream]) -> None:
        async with raw_engine(answering(reply(400, b'{"error":"x"}'))) as engine:
            assert (await chat(engine.url).forward("/rerank", b"{}"))[0] == 400

    @pytest.mark.parametrize(("status", "told"), [(401, 502), (403, 502), (429, 429), (500, 502), (503, 503)])
    async def test_what_is_not_the_clients_fault_is_told_as_such(
        self, chat: Callable[..., ChatUpstream], status: int, told: int
    ) -> None:
        async with raw_engine(answering(reply(status, b"{}"))) as engine:
            with pytest.raises(UpstreamError) as caught:
                await chat(engine.url).forward("/embeddings", b"{}")
            assert caught.value.http_status == told

    async def test_it_is_tried_again_where_that_may_help(self, chat: Callable[..., ChatUpstream]) -> None:
        async with raw_engine(answering(reply(503), reply(200, b"{}"))) as engine:
            assert (await chat(engine.url, retry=AT_ONCE).forward("/embeddings", b"{}"))[0] == 200


async def test_a_client_that_is_shared_is_left_open() -> None:
    client = HttpClient()
    async with raw_engine(answering(ANSWER)) as engine:
        one = ChatUpstream("one", [engine.url], client=client)
        other = ChatUpstream("other", [engine.url], client=client)
        await one.close()
        assert await read(other) == ANSWERED
        await client.close()


def test_the_adapters_are_upstreams() -> None:
    upstreams: Sequence[Upstream] = [ChatUpstream("a", ["http://x"]), ResponsesUpstream("b", ["http://x"])]
    described: Iterable[tuple[str, str]] = [(upstream.name, upstream.dialect) for upstream in upstreams]
    assert list(described) == [("a", "chat"), ("b", "responses")]
