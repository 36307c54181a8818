"""A server that is told to stop, while clients wait for answers that do not come."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.crash.server import Server
from tests.light import Answer, ask
from tests.upstream.raw_engine import Peer, raw_engine

STOPPED = "The server stopped before the response was finished."
HALF = b'data: {"choices":[{"index":0,"delta":{"content":"half"}}]}\n\n'


async def half_an_answer(peer: Peer) -> None:
    if await peer.request():
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + HALF)
        await peer.hung_up()


async def test_every_client_hears_how_it_ended_when_the_server_stops(tmp_path: Path) -> None:
    async with raw_engine(half_an_answer) as engine:
        server = Server(tmp_path, f"{engine.url}/v1")
        try:
            await server.start()
            plain, streamed, chatted = [
                asyncio.create_task(ask(server.url, "POST", path, body))
                for path, body in (
                    ("/v1/responses", {"model": "m", "input": "hi"}),
                    ("/v1/responses", {"model": "m", "input": "hi", "stream": True}),
                    ("/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "hi"}]}),
                )
            ]
            while len(engine.requests) < 3:
                await asyncio.sleep(0)
            await server.stop()
        finally:
            await server.kill()
        for reply in (await plain, await chatted):
            assert (reply.status, reply.json()["error"]["message"]) == (500, STOPPED)
        failed = last_event(await streamed)
        assert (failed["type"], failed["response"]["error"]["message"]) == ("response.failed", STOPPED)
        assert failed["response"]["output"][0]["content"][0]["text"] == "half"


def last_event(reply: Answer) -> dict[str, Any]:
    *_, last = [line for line in reply.body.split(b"\n") if line.startswith(b"data: ")]
    event: dict[str, Any] = json.loads(last.removeprefix(b"data: "))
    return event
