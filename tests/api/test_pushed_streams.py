"""Words that go from an engine's socket to a client's in one go, and what may come in between."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from catena.chunks import TextDelta
from catena.run_log import decode_log
from catena.store import LeaseLost
from catena.upstream.chat import ChatUpstream
from catena.web.outlet import Outlet
from tests.light import Exchange, exchange
from tests.running import LIMIT, RunningServer, StartServer
from tests.upstream.raw_engine import Peer, raw_engine

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
DELTA = "response.output_text.delta"


def told(choice: dict[str, Any]) -> bytes:
    data = b"data: " + json.dumps({"choices": [{"index": 0, **choice}]}).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


class Teller:
    """An engine that says what it is given; None ends its answer."""

    def __init__(self) -> None:
        self.words: asyncio.Queue[str | None] = asyncio.Queue()
        self.left = asyncio.Event()

    async def script(self, peer: Peer) -> None:
        await peer.request()
        await peer.send(STREAM)
        watching = asyncio.create_task(self._watch(peer))
        with contextlib.suppress(ConnectionError):
            while (word := await self.words.get()) is not None:
                await peer.send(told({"delta": {"content": word}}))
            await peer.send(told({"delta": {}, "finish_reason": "stop"}) + b"0\r\n\r\n")
        await watching

    async def _watch(self, peer: Peer) -> None:
        await peer.hung_up()
        self.left.set()


@contextlib.asynccontextmanager
async def telling(start_server: StartServer) -> AsyncIterator[tuple[Teller, RunningServer]]:
    teller = Teller()
    async with raw_engine(teller.script, within=LIMIT) as engine:
        upstream = ChatUpstream("teller", [f"{engine.url}/v1"])
        async with start_server(routes={"m": upstream}) as server:
            yield teller, server
        await upstream.close()


class Client:
    """Hears a stream, event by event."""

    def __init__(self, opened: Exchange) -> None:
        self.events: list[dict[str, Any]] = []
        self._opened = opened
        self._told = opened.events()

    async def next(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads((await anext(self._told)).data)
        self.events.append(event)
        return event

    async def until(self, delta: str) -> None:
        while (event := await self.next())["type"] != DELTA or event["delta"] != delta:
            pass

    async def rest(self) -> None:
        with contextlib.suppress(StopAsyncIteration):
            while True:
                await self.next()

    @property
    def id(self) -> str:
        response_id: str = self.events[0]["response"]["id"]
        return response_id


@contextlib.asynccontextmanager
async def created(server: RunningServer, **more: Any) -> AsyncIterator[Client]:
    body = {"model": "m", "input": "Go on.", "stream": True, **more}
    async with exchange(server.url, "POST", "/v1/responses", body) as opened:
        yield Client(opened)


@contextlib.asynccontextmanager
async def following(server: RunningServer, response_id: str, after: int = -1) -> AsyncIterator[Client]:
    place = f"/v1/responses/{response_id}?stream=true" + (f"&starting_after={after}" if after >= 0 else "")
    async with exchange(server.url, "GET", place) as opened:
        yield Client(opened)


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each piece that was pushed, whether it was taken."""
    outcomes: list[bool] = []
    push = Outlet.push

    def noted(outlet: Outlet, piece: bytes) -> bool:
        outcomes.append(push(outlet, piece))
        return outcomes[-1]

    monkeypatch.setattr(Outlet, "push", noted)
    return outcomes


@pytest.mark.parametrize("store", [True, False], ids=["stored", "not stored"])
async def test_each_word_comes_when_it_is_said_and_none_is_missing(
    start_server: StartServer, pushed: list[bool], store: bool
) -> None:
    words = [f"word{number} " for number in range(50)]
    async with telling(start_server) as (teller, server), asyncio.timeout(LIMIT):
        async with created(server, store=store) as client:
            for word in words:
                teller.words.put_nowait(word)
                await client.until(word)
            teller.words.put_nowait(None)
            await client.rest()
        assert [event["sequence_number"] for event in client.events] == list(range(len(client.events)))
        assert [event["delta"] for event in client.events if event["type"] == DELTA] == words
        final = client.events[-1]
        assert (final["type"], final["response"]["status"]) == ("response.completed", "completed")
        assert final["response"]["output"][0]["content"][0]["text"] == "".join(words)
        assert pushed.count(True) >= len(words) - 1
        if store:
            async with following(server, client.id) as again:
                await again.rest()
            assert again.events == client.events


@pytest.mark.parametrize("refusing", [False, True], ids=["taken", "every second one refused"])
async def test_a_chat_stream_has_each_word_once(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch, refusing: bool
) -> None:
    pushed: list[bytes] = []
    push = Outlet.push

    def taken(outlet: Outlet, piece: bytes) -> bool:
        pushed.append(piece)
        return push(outlet, piece) if not refusing or len(pushed) % 2 else False

    monkeypatch.setattr(Outlet, "push", taken)
    words = [f"word{number} " for number in range(20)]
    body = {"model": "m", "messages": [{"role": "user", "content": "Go on."}], "stream": True}
    async with telling(start_server) as (teller, server), asyncio.timeout(LIMIT):
        teller.words.put_nowait(words[0])  # without one there is no reply yet
        async with exchange(server.url, "POST", "/v1/chat/completions", body) as opened:
            told = opened.events()
            heard: list[str] = []
            for word in words:
                if word != words[0]:
                    teller.words.put_nowait(word)
                while not heard or heard[-1] != word:
                    heard.append(json.loads((await anext(told)).data)["choices"][0]["delta"]["content"])
            teller.words.put_nowait(None)
            ending = [event.data async for event in told]
    assert [word for word in heard if word] == words
    assert json.loads(ending[0])["choices"][0]["finish_reason"] == "stop"
    assert len(pushed) >= len(words) // 2


async def test_what_is_told_was_on_record_before(start_server: StartServer) -> None:
    async with telling(start_server) as (teller, server), asyncio.timeout(LIMIT):
        async with created(server) as client:
            said = ""
            for word in ("one ", "two ", "three "):
                teller.words.put_nowait(word)
                await client.until(word)
                said += word
                chunks = decode_log(await server.store.load_log("default", client.id))
                assert "".join(chunk.text for chunk in chunks if isinstance(chunk, TextDelta)) == said
            teller.words.put_nowait(None)
            await client.rest()
        assert await server.store.load_log("default", client.id) == []


async def test_who_does_not_read_delays_nobody_and_misses_nothing(
    start_server: StartServer, pushed: list[bool]
) -> None:
    large = "x" * 400_000
    async with telling(start_server) as (teller, server), asyncio.timeout(LIMIT):
        async with created(server) as quick:
            teller.words.put_nowait("begin")
            await quick.until("begin")
            async with following(server, quick.id) as slow:
                await slow.until("begin")
                number = 0
                while False not in pushed:  # until no buffer on the way to the slow one has room
                    number += 1
                    teller.words.put_nowait(f"{number}{large}")
                    await quick.until(f"{number}{large}")
                for word in ("that", "was", "all"):
                    teller.words.put_nowait(word)
                    await quick.until(word)
                teller.words.put_nowait(None)
                await quick.rest()
                await slow.rest()
        assert slow.events == quick.events


async def test_who_comes_back_in_the_middle_hears_the_rest(start_server: StartServer) -> None:
    async with telling(start_server) as (teller, server), asyncio.timeout(LIMIT):
        async with created(server, background=True) as first:
            for word in ("one", "two"):
                teller.words.put_nowait(word)
                await first.until(word)
            async with following(server, first.id, after=first.events[-2]["sequence_number"]) as second:
                await second.until("two")
                teller.words.put_nowait("three")
                await asyncio.gather(first.until("three"), second.until("three"))
                teller.words.put_nowait(None)
                await asyncio.gather(first.rest(), second.rest())
        assert second.events == first.events[-len(second.events) :]


async def test_an_engine_hears_at_once_that_its_only_client_hung_up(start_server: StartServer) -> None:
    async with telling(start_server) as (teller, server), asyncio.timeout(LIMIT):
        async with created(server, store=False) as client:
            for word in ("one", "two"):
                teller.words.put_nowait(word)
                await client.until(word)
        await teller.left.wait()


async def test_a_run_that_is_cancelled_keeps_what_was_told(start_server: StartServer) -> None:
    async with telling(start_server) as (teller, server), asyncio.timeout(LIMIT):
        async with created(server, background=True) as client:
            for word in ("one", "two"):
                teller.words.put_nowait(word)
                await client.until(word)
            cancelled = (await server.http.post(f"/responses/{client.id}/cancel")).json()
            await client.rest()
        await teller.left.wait()
        assert cancelled["status"] == "cancelled"
        assert cancelled["output"][0]["content"][0]["text"] == "onetwo"
        assert client.events[-1]["response"] == cancelled


async def test_nothing_more_is_told_of_a_run_that_is_lost(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: Any) -> None:
        raise LeaseLost("taken")

    async with telling(start_server) as (teller, server), asyncio.timeout(LIMIT):
        async with created(server) as client:
            for word in ("one", "two"):
                teller.words.put_nowait(word)
                await client.until(word)
            monkeypatch.setattr(server.store._logs, "append", lost)  # type: ignore[attr-defined]  # of SQLite
            teller.words.put_nowait("three")
            with pytest.raises(ConnectionError):
                await client.rest()
        await teller.left.wait()
        assert client.events[-1]["delta"] == "two"


async def test_a_fault_while_a_word_is_folded_ends_the_run_as_failed(start_server: StartServer) -> None:
    async with telling(start_server) as (teller, server), asyncio.timeout(LIMIT):
        async with created(server) as client:
            for word in ("one", "two"):
                teller.words.put_nowait(word)
                await client.until(word)
            with pytest.MonkeyPatch.context() as broken:
                broken.setattr("catena.compose.OpenMessage.text", None)
                teller.words.put_nowait("three")
                await client.rest()
        await teller.left.wait()
        final = client.events[-1]
        assert (final["type"], final["response"]["status"]) == ("response.failed", "failed")
        assert final["response"]["output"][0]["content"][0]["text"] == "onetwo"
