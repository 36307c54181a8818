"""Sends what a client sent again, with the ids that the server gives this time."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

import httpx2
import msgspec
from websockets.asyncio.client import ClientConnection, connect

from tests.real_clients.recording import Exchange, Outcome, Recording

__all__ = ["outcome_of", "replay"]

_LIMIT: Final = 30.0
_ENDS: Final = ("response.completed", "response.incomplete", "response.failed", "error")
_AN_ID: Final = re.compile(r"[a-z]+_[0-9a-f]{40,}")
_IN_PATH: Final = re.compile(r"\{(\d+):([^}]*)\}")


async def replay(recording: Recording, url: str) -> Sequence[Outcome]:
    """What comes of each request of a recording, sent to the server at `url`."""
    replies: list[Any] = []
    outcomes: list[Outcome] = []
    sockets: dict[int, ClientConnection] = {}
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx2.AsyncClient(base_url=url, timeout=_LIMIT))
        http.headers.update(recording.headers)
        for exchange in recording.exchanges:
            body = _filled(exchange.body, replies)
            if exchange.socket is None:
                outcome, reply = await _requested(http, exchange, body, replies)
            else:
                if exchange.socket not in sockets:
                    opening = connect(
                        url.replace("http", "ws", 1) + exchange.path,
                        additional_headers=recording.headers,
                        max_size=None,
                    )
                    sockets[exchange.socket] = await stack.enter_async_context(opening)
                outcome, reply = await _told(sockets[exchange.socket], body)
            replies.append(reply)
            outcomes.append(outcome)
    return outcomes


async def _requested(
    http: httpx2.AsyncClient, exchange: Exchange, body: Any, replies: Sequence[Any]
) -> tuple[Outcome, Any]:
    path = _IN_PATH.sub(lambda found: _at(replies[int(found[1])], found[2]), exchange.path)
    sent = None if body is None else msgspec.json.encode(body)
    reply = await http.request(
        exchange.method, path, content=sent, headers={"content-type": "application/json"}
    )
    return outcome_of(reply.status_code, reply.headers.get("content-type", ""), reply.content)


async def _told(socket: ClientConnection, message: Any) -> tuple[Outcome, Any]:
    await socket.send(msgspec.json.encode(message).decode())
    events: list[Any] = []
    async with asyncio.timeout(_LIMIT):
        while not events or events[-1]["type"] not in _ENDS:
            events.append(msgspec.json.decode(await socket.recv()))
    return _of_events(200, events)


def outcome_of(status: int, kind: str, content: bytes) -> tuple[Outcome, Any]:
    """What came of a request over HTTP, and the reply itself: of a stream its last response."""
    if not kind.startswith("text/event-stream"):
        reply = msgspec.json.decode(content) if content else None
        return _of_reply(status, (), reply), reply
    lines = [line.removeprefix(b"data: ") for line in content.splitlines() if line.startswith(b"data: ")]
    return _of_events(status, [msgspec.json.decode(line) for line in lines if line != b"[DONE]"])


def _of_events(status: int, events: Sequence[Mapping[str, Any]]) -> tuple[Outcome, Any]:
    kinds = [kind for kind, _ in groupby(str(event.get("type", event.get("object"))) for event in events)]
    last = events[-1]
    reply = last.get("response", last)
    return _of_reply(status, kinds, reply), reply


def _of_reply(status: int, events: Sequence[str], reply: Any) -> Outcome:
    listed: Any = reply.get("output", reply.get("data", ())) if isinstance(reply, dict) else ()
    items = [item.get("type", item.get("object")) for item in listed]
    said = " ".join(_said(reply)) if isinstance(reply, dict) and not reply.get("data") else ""
    return Outcome(status, events, said, items)


def _said(reply: Mapping[str, Any]) -> Iterable[str]:
    for item in reply.get("output", ()):
        if item["type"] == "message":
            yield from (part["text"] for part in item["content"])
    for choice in reply.get("choices", ()):
        yield str(choice.get("message", {}).get("content") or "")
    if reply.get("error"):
        yield _AN_ID.sub("…", str(reply["error"]["message"]))


def _filled(body: Any, replies: Sequence[Any]) -> Any:
    """The body with what is found in earlier replies."""
    if isinstance(body, list):
        return [_filled(each, replies) for each in body]
    if not isinstance(body, dict):
        return body
    if "$reply" in body:
        return _at(replies[body["$reply"]], body["at"])
    return {name: _filled(value, replies) for name, value in body.items()}


def _at(reply: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        reply = reply[int(step)] if isinstance(reply, list) else reply[step]
    return reply
