"""Streams as a client hears them, every event of them read strictly."""

from __future__ import annotations

from typing import Any

import msgspec

from catena import sse
from tests.conformance.official import read_event
from tests.running import RunningServer

__all__ = ["events_in", "listen", "types_of"]

Told = list[dict[str, Any]]


async def listen(server: RunningServer, **body: Any) -> Told:
    """The events of a new response."""
    reply = await server.post("/responses", {"model": "m", "input": "?", "stream": True, **body})
    assert reply.status_code == 200, reply.text
    return events_in(reply.content)


def events_in(stream: bytes) -> Told:
    """The events of a whole stream."""
    told = []
    for frame in sse.Decoder().feed(stream):
        read_event(frame.data)
        event = msgspec.json.decode(frame.data)
        assert frame.event == event["type"]
        told.append(event)
    return told


def types_of(told: Told) -> list[str]:
    """The types of events, without the `response.` that nearly all begin with."""
    return [event["type"].removeprefix("response.") for event in told]
