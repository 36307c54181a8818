"""How a system is asked: Catena and its like as a Responses server, what is below them in the dialect of engines."""

from __future__ import annotations

from typing import Any, Final

from bench.systems import Process

__all__ = ["ASKED", "body_of", "id_in", "path_of"]

ASKED: Final = "A turn of the chain, number"

_BELOW: Final = ("floor", "direct")


def path_of(system: Process) -> str:
    return "/chat/completions" if system.name in _BELOW else "/responses"


def body_of(system: Process, text: str, **more: Any) -> dict[str, Any]:
    """A request that asks for an answer; `more` is told to Responses servers only."""
    if system.name in _BELOW:
        return {"model": "m", "messages": [{"role": "user", "content": text}], "stream": True}
    return {"model": "m", "input": text, **more}


def id_in(reply: bytes) -> str:
    """The id of the response that a reply, or an event, is about."""
    at = reply.find(b'"id":"resp_')
    if at < 0:
        at = reply.index(b'"resp_') - 5  # some write their JSON with spaces
    return reply[at + 6 :].split(b'"', 1)[0].decode()
