"""Engine streams that were written down, played through decoder, normaliser and fold."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from catena.chunks import Chunk
from catena.errors import UpstreamError
from catena.fold import Fold
from catena.ids import TurnIds
from catena.sse import Decoder
from catena.upstream.chat_stream import ChatStream
from catena.upstream.faults import Faults
from catena.upstream.responses_stream import ResponsesStream
from catena.wire.events import Event
from catena.wire.response import Response

__all__ = ["RECORDINGS", "Played", "play", "shown"]

RECORDINGS = Path(__file__).parent / "recordings"

_NOW = 1_763_600_000
_STEM = "0123456789abcdef00" + f"{_NOW:08x}" + "0" * 20


class Played(NamedTuple):
    """What a client would have been told, and what would have been stored."""

    chunks: list[Chunk]
    events: list[Event]
    response: Response
    error: UpstreamError | None


def play(name: str, pieces: Iterable[bytes]) -> Played:
    """Play the recording called `name`, whose bytes arrive in `pieces`."""
    faults = Faults("engine")
    stream = ResponsesStream(faults) if "responses" in name else ChatStream(faults)
    ids = TurnIds(_STEM)
    fold = Fold(Response(id=ids.turn("resp_"), created_at=_NOW, status="in_progress", model="m"), ids)
    chunks: list[Chunk] = []
    events: list[Event] = fold.start()
    error = None
    try:
        for data in _payloads(name, pieces):
            fresh = stream.feed(data)
            chunks += fresh
            events += fold.feed(fresh)
        if not stream.finished:
            raise faults.cut()
        events += fold.finish(_NOW + 1)
    except UpstreamError as raised:
        error = raised
        events += fold.fail(raised)
    events += fold.terminal()
    return Played(chunks, events, fold.response, error)


def _payloads(name: str, pieces: Iterable[bytes]) -> Iterable[bytes]:
    if name.endswith(".json"):
        yield b"".join(pieces)
        return
    decoder = Decoder()
    for piece in pieces:
        for event in decoder.feed(piece):
            yield event.data
    for event in decoder.finish():
        yield event.data


def shown(response: Response) -> list[Any]:
    """The output in short: what each item is and says."""
    output = msgspec.to_builtins(response.output)
    return [_shown_item(item) for item in output]


def _shown_item(item: dict[str, Any]) -> Any:
    cut = ("cut off",) if item.get("status") == "incomplete" else ()
    match item["type"]:
        case "message":
            phase = (item["phase"],) if "phase" in item else ()
            return ("message", *map(_shown_part, item["content"]), *phase, *cut)
        case "reasoning":
            summary = [part["text"] for part in item["summary"]]
            raw = [part["text"] for part in item.get("content", ())]
            sealed = (item["encrypted_content"],) if "encrypted_content" in item else ()
            return ("reasoning", *raw, *summary, *sealed, *cut)
        case "function_call":
            caller = (item["caller"],) if "caller" in item else ()
            return ("call", item["name"], item["arguments"], *caller, *cut)
        case "custom_tool_call":
            return ("custom", item["name"], item["input"], *cut)
        case kind:
            return (kind, item["status"])


def _shown_part(part: dict[str, Any]) -> Any:
    if part["type"] == "refusal":
        return ("refusal", part["refusal"])
    return (part["text"], *part["annotations"]) if part["annotations"] else part["text"]
