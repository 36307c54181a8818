"""A server that is frozen past its leases, is thought dead, and goes on: nothing that it has left to say is true."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.conformance.proves import proves
from tests.crash.server import Server
from tests.light import Exchange, ask, exchange
from tests.postgres import TestDatabase
from tests.running import LIMIT
from tests.upstream.raw_engine import Engine, Peer, raw_engine

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
LEASES_LOST = b"catena_leases_lost_total 4"


def word(text: str) -> bytes:
    return b"data: %b\n\n" % json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode()


class Slow:
    """Says half of each of its first answers and waits to be let on; who asks more is answered at once."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self._asked = 0

    async def __call__(self, peer: Peer) -> None:
        await peer.request()
        self._asked += 1
        if self._asked > 4:
            await peer.send(HEAD + word("another") + END)
        else:
            await peer.send(HEAD + word("half"))
            await self.go_on.wait()
            await peer.send(word(" and whole") + END)


class Scene(NamedTuple):
    engine: Engine
    slow: Slow
    first: Server
    second: Server


@asynccontextmanager
async def scene(folder: Path, postgres: TestDatabase) -> AsyncIterator[Scene]:
    """Two servers on one database; the second is not started yet."""
    await postgres.empty()
    slow = Slow()
    async with raw_engine(slow, within=LIMIT) as engine:
        first, second = [
            Server(folder, f"{engine.url}/v1", name=name, database=postgres.url)
            for name in ("first", "second")
        ]
        try:
            await first.start()
            yield Scene(engine, slow, first, second)
        finally:
            await first.kill()
            await second.kill()


async def events_until(opened: Exchange, last: str) -> list[dict[str, Any]]:
    """What a stream tells, to an event of this type or to its end."""
    told: list[dict[str, Any]] = []
    async with aclosing(opened.events()) as events:
        async for event in events:
            told.append(json.loads(event.data))
            if told[-1]["type"] == last:
                break
    return told


async def ended(server: Server, response_id: str) -> dict[str, Any]:
    """The response, as soon as this server says that it has ended."""
    while True:
        response: dict[str, Any] = (await ask(server.url, "GET", f"/v1/responses/{response_id}")).json()
        if response["status"] not in ("queued", "in_progress"):
            return response
        await asyncio.sleep(0.05)


async def gone_on(server: Server, body: dict[str, Any]) -> dict[str, Any]:
    """The response to this, as soon as nobody else has its conversation."""
    while (reply := await ask(server.url, "POST", "/v1/responses", body)).status == 400:
        assert reply.json()["error"]["code"] == "conversation_locked"
        await asyncio.sleep(0.05)
    response: dict[str, Any] = reply.json()
    return response


def text_of(response: dict[str, Any]) -> str:
    return "".join(part["text"] for item in response["output"] for part in item["content"])


@proves("P.fenced")
async def test_what_a_frozen_server_would_write_is_refused_and_its_clients_hear_what_is_stored(
    tmp_path: Path, postgres: TestDatabase
) -> None:
    stream = {"model": "m", "input": "Tell me.", "stream": True}
    waiting = {"model": "m", "input": "Think.", "background": True}
    async with (
        scene(tmp_path, postgres) as (engine, slow, first, second),
        exchange(first.url, "POST", "/v1/responses", stream) as opened,
    ):
        heard = await events_until(opened, "response.output_text.delta")
        streamed = heard[0]["response"]["id"]
        queued = (await ask(first.url, "POST", "/v1/responses", waiting)).json()["id"]
        talk = (await ask(first.url, "POST", "/v1/conversations", {})).json()["id"]
        plain = {"model": "m", "input": "Say it.", "conversation": talk}
        replying = asyncio.create_task(ask(first.url, "POST", "/v1/responses", plain))
        chat = {"model": "m", "messages": [{"role": "user", "content": "Chat."}], "stream": True}
        chatting = asyncio.create_task(ask(first.url, "POST", "/v1/chat/completions", chat))
        while len(engine.requests) < 4:
            await asyncio.sleep(0.01)
        first.freeze()
        await second.start()
        cut, again = await ended(second, streamed), await ended(second, queued)
        free = await gone_on(second, {**plain, "input": "Say this."})
        slow.go_on.set()  # the frozen one has both answers whole, and does not know that it is late
        first.thaw()
        heard += await events_until(opened, "")
        reply, chunks = await replying, (await chatting).body
        while LEASES_LOST not in (await ask(first.url, "GET", "/metrics")).body:
            await asyncio.sleep(0.05)
        assert (cut["status"], text_of(cut)) == ("failed", "half")
        assert (again["status"], text_of(again)) == ("completed", "another")
        for server in (first, second):
            assert (await ended(server, streamed), await ended(server, queued)) == (cut, again)
            retold = await ask(server.url, "GET", f"/v1/responses/{streamed}?stream=true")
            assert [
                json.loads(line[6:]) for line in retold.body.split(b"\n") if line[:6] == b"data: "
            ] == heard
        assert heard[-1]["type"] == "response.failed"
        assert (reply.status, "taken over" in reply.json()["error"]["message"]) == (500, True)
        assert (b"taken over" in chunks, b"[DONE]" in chunks) == (True, False)
        items = (await ask(second.url, "GET", f"/v1/conversations/{talk}/items?order=asc")).json()["data"]
        assert [item["content"][0]["text"] for item in items] == ["Say this.", text_of(free)]
