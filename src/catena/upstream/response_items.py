"""The output items of a Responses engine, each turned into chunks.

Messages, reasoning and calls are taken apart, so that this server composes them itself, with ids of its own; items
of every other kind pass whole. An engine may tell what is in an item as deltas, in their done events or with the
finished item only: what comes first is taken, and nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec

from catena.chunks import (
    Annotation,
    Boundary,
    Chunk,
    ItemDone,
    ItemEvent,
    ItemStarted,
    PartEnd,
    ReasoningDelta,
    RefusalDelta,
    SummaryDelta,
    TextDelta,
    ToolCallDelta,
)
from catena.upstream.loose import objects_in, text_in
from catena.upstream.tokens import logprob_entries

__all__ = ["CallItem", "EngineItem", "ItemPacket", "MessageItem", "engine_item", "item_told_by"]


class ItemPacket(msgspec.Struct, gc=False):
    """The data of an event, as far as it is about an item. What else there is stays in its bytes."""

    type: str = ""
    output_index: int | None = None
    delta: Any = None
    logprobs: Any = None
    summary_index: int | None = None
    item: dict[str, Any] | None = None
    text: Any = None
    refusal: Any = None
    arguments: Any = None
    input: Any = None
    annotation: dict[str, Any] | None = None
    response: msgspec.Raw = msgspec.Raw(b"{}")
    error: Any = None
    object: Any = None


class EngineItem(Protocol):
    """An item of the engine's under way."""

    def begin(self, item: Mapping[str, Any]) -> list[Chunk]:
        """It is announced, in its first form."""
        ...

    def event(self, packet: ItemPacket, data: bytes) -> list[Chunk]:
        """Something was told of it; `data` is the whole event."""
        ...

    def end(self, item: Mapping[str, Any]) -> list[Chunk]:
        """It is done, in its final form: what of it was not told yet, and its end."""
        ...


def engine_item(item: Mapping[str, Any], number: int) -> EngineItem:
    """The item that an engine announces as `item`, the `number`-th of its answer, from 0."""
    kind = item.get("type")
    if kind == "message":
        return MessageItem()
    if kind == "reasoning":
        return _ReasoningItem()
    if kind in ("function_call", "custom_tool_call") and _CALL_FIELDS.issuperset(item):
        return CallItem(number, custom=kind == "custom_tool_call")
    return _PassedItem()


def item_told_by(event_type: str) -> Mapping[str, Any] | None:
    """The item that must be there where an event of it comes unannounced; None where that cannot be told."""
    kind = _KINDS.get(event_type.split(".")[1])
    return None if kind is None else {"type": kind}


_KINDS: Final = {
    "output_text": "message",
    "refusal": "message",
    "reasoning": "reasoning",
    "reasoning_text": "reasoning",
    "reasoning_summary": "reasoning",
    "reasoning_summary_text": "reasoning",
    "function_call_arguments": "function_call",
    "custom_tool_call_input": "custom_tool_call",
}


def _ending(item: Mapping[str, Any]) -> list[Chunk]:
    # An item that was cut off ends with the response, which is incomplete then too.
    return [] if item.get("status") == "incomplete" else [Boundary()]


class MessageItem:
    """An assistant message, in parts."""

    __slots__ = ("_annotations", "_told", "_told_of_part")

    def __init__(self) -> None:
        self._told = False
        self._told_of_part = False
        self._annotations = 0

    def begin(self, item: Mapping[str, Any]) -> list[Chunk]:
        phase = item.get("phase")
        return [Boundary(phase=phase)] if isinstance(phase, str) else []

    def event(self, packet: ItemPacket, data: bytes) -> list[Chunk]:
        match packet:
            case ItemPacket(type="response.output_text.delta", delta=str(text)):
                return self.text(text, packet.logprobs)
            case ItemPacket(type="response.output_text.done", text=str(text)) if not self._told_of_part:
                return self.text(text, packet.logprobs)
            case ItemPacket(type="response.refusal.delta", delta=str(text)):
                return self._refusal(text)
            case ItemPacket(type="response.refusal.done", refusal=str(text)) if not self._told_of_part:
                return self._refusal(text)
            case ItemPacket(type="response.output_text.annotation.added", annotation=dict(annotation)):
                return self._annotate(annotation)
            case ItemPacket(type="response.content_part.added"):
                return self._next_part()
            case _:
                return []

    def text(self, text: str, logprobs: Any = None) -> list[Chunk]:
        """More of the part that is open."""
        self._told = self._told_of_part = True
        return [TextDelta(text, logprob_entries(logprobs) or None)]

    def end(self, item: Mapping[str, Any]) -> list[Chunk]:
        chunks: list[Chunk] = []
        parts = objects_in(item.get("content"))
        if not self._told:
            for part in parts:
                chunks += self._whole(part)
        elif not self._annotations:
            for annotation in objects_in(parts[-1].get("annotations")) if parts else ():
                chunks += self._annotate(annotation)
        return chunks + _ending(item)

    def _refusal(self, text: str) -> list[Chunk]:
        self._told = self._told_of_part = True
        return [RefusalDelta(text)]

    def _annotate(self, annotation: dict[str, Any]) -> list[Chunk]:
        self._annotations += 1
        return [Annotation(annotation)]

    def _next_part(self) -> list[Chunk]:
        # The index of a part is no help: vLLM counts it up with every delta.
        chunks: list[Chunk] = [PartEnd()] if self._told_of_part else []
        self._told_of_part = False
        return chunks

    def _whole(self, part: Mapping[str, Any]) -> list[Chunk]:
        chunks = self._next_part()
        if isinstance(refusal := part.get("refusal"), str):
            return chunks + self._refusal(refusal)
        if isinstance(text := part.get("text"), str):
            chunks += self.text(text, part.get("logprobs"))
            for annotation in objects_in(part.get("annotations")):
                chunks += self._annotate(annotation)
        return chunks


class _ReasoningItem:
    """Reasoning: its raw text, its summary in parts, its sealed form."""

    __slots__ = ("_raw", "_summary")

    def __init__(self) -> None:
        self._raw = False
        self._summary: set[int] = set()

    def begin(self, item: Mapping[str, Any]) -> list[Chunk]:
        return []

    def event(self, packet: ItemPacket, data: bytes) -> list[Chunk]:
        part = packet.summary_index or 0
        match packet:
            # The name of raw reasoning is `reasoning_text` with OpenAI and `reasoning` with Open Responses.
            case ItemPacket(
                type="response.reasoning_text.delta" | "response.reasoning.delta", delta=str(text)
            ):
                return self._think(text)
            case ItemPacket(type="response.reasoning_text.done" | "response.reasoning.done", text=str(text)):
                return [] if self._raw else self._think(text)
            case ItemPacket(
                type="response.reasoning_summary_text.delta" | "response.reasoning_summary.delta",
                delta=str(text),
            ):
                return self._summarise(text, part)
            case ItemPacket(
                type="response.reasoning_summary_text.done" | "response.reasoning_summary.done",
                text=str(text),
            ):
                return [] if part in self._summary else self._summarise(text, part)
            case _:
                return []

    def end(self, item: Mapping[str, Any]) -> list[Chunk]:
        chunks: list[Chunk] = []
        if not self._summary:
            for part, text in enumerate(_texts(item.get("summary"))):
                chunks += self._summarise(text, part)
        if not self._raw:
            for text in _texts(item.get("content")):
                chunks += self._think(text)
        if sealed := text_in(item.get("encrypted_content")):
            return [*chunks, Boundary(encrypted_content=sealed)]
        return chunks + _ending(item)

    def _think(self, text: str) -> list[Chunk]:
        self._raw = True
        return [ReasoningDelta(text)]

    def _summarise(self, text: str, part: int) -> list[Chunk]:
        self._summary.add(part)
        return [SummaryDelta(text, part)]


def _texts(parts: Any) -> list[str]:
    return [text for part in objects_in(parts) if (text := text_in(part.get("text")))]


# A call with more than this has a meaning that this server does not compose (a program's call, an async one).
_CALL_FIELDS: Final = frozenset(
    {"id", "type", "status", "call_id", "name", "arguments", "input", "namespace", "created_by"}
)


class CallItem:
    """A call of a function or of a custom tool."""

    __slots__ = ("_begun", "_custom", "_number", "_pieces")

    def __init__(self, number: int, *, custom: bool) -> None:
        self._number = number
        self._custom = custom
        self._begun = False
        self._pieces: list[str] = []

    def begin(self, item: Mapping[str, Any]) -> list[Chunk]:
        # Its arguments are left: vLLM sends the first piece of them here and in a delta again.
        name = text_in(item.get("name"))
        if self._begun or not name:
            return []
        self._begun = True
        return [
            ToolCallDelta(
                self._number,
                text_in(item.get("call_id")),
                name,
                "".join(self._pieces),
                custom=self._custom,
                namespace=text_in(item.get("namespace")) or None,
            )
        ]

    def event(self, packet: ItemPacket, data: bytes) -> list[Chunk]:
        match packet:
            case ItemPacket(delta=str(text)):
                return self._piece(text)
            case ItemPacket(arguments=str(text)) | ItemPacket(input=str(text)):
                return self._rest(text)
            case _:
                return []

    def end(self, item: Mapping[str, Any]) -> list[Chunk]:
        chunks = self.begin(item)
        chunks += self._rest(text_in(item.get("input" if self._custom else "arguments")))
        return chunks + _ending(item)

    def _piece(self, text: str) -> list[Chunk]:
        self._pieces.append(text)
        return [ToolCallDelta(self._number, arguments=text)] if self._begun and text else []

    def _rest(self, whole: str) -> list[Chunk]:
        told = "".join(self._pieces)
        return self._piece(whole[len(told) :]) if whole != told and whole.startswith(told) else []


class _PassedItem:
    """An item of a kind that this server does not compose."""

    __slots__ = ()

    # What an event says of its place belongs to the stream that it came in.
    _PLACE: Final = frozenset(
        {"type", "item_id", "output_index", "sequence_number", "obfuscation", "stream_id"}
    )

    def begin(self, item: Mapping[str, Any]) -> list[Chunk]:
        return [ItemStarted(_nameless(item))]

    def event(self, packet: ItemPacket, data: bytes) -> list[Chunk]:
        told = msgspec.json.decode(data)
        return [ItemEvent(packet.type, {name: told[name] for name in told if name not in self._PLACE})]

    def end(self, item: Mapping[str, Any]) -> list[Chunk]:
        return [ItemDone(_nameless(item))]


def _nameless(item: Mapping[str, Any]) -> dict[str, Any]:
    """The item without the engine's id, as it gets one of ours."""
    return {name: value for name, value in item.items() if name != "id"}
