"""A response as the chat dialect tells it while it is made: events in, frames of a chat stream out.

What a client puts together from the chunks is the message of the whole `completion`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from catena.wire import events as ev
from catena.wire.completion import (
    CALLS,
    annotation_of,
    call_of,
    finish_reason,
    identity,
    logprobs_of,
    output_of,
    usage_of,
)
from catena.wire.response import Item, Response

__all__ = ["ChunkWriter"]

_encode = msgspec.json.Encoder().encode


class ChunkWriter:
    """Turns the events of one run into frames of a chat stream."""

    def __init__(self, response: Response, *, usage: bool, legacy_calls: bool) -> None:
        said = {"id": response.id, "object": "chat.completion.chunk", **identity(response)}
        self._opening = b"data: " + _encode(said)[:-1]
        self._closing = b',"usage":null}\n\n' if usage else b"}\n\n"
        self._usage = usage
        self._legacy_calls = legacy_calls
        self._role_told = False
        self._text_told = False
        self._call_places: dict[int, int] = {}
        self._thought_before = False
        self._new_thought = False
        self._annotations: list[dict[str, Any]] = []
        self._failed = False

    def frames(self, events: Iterable[ev.Event]) -> bytes:
        """The chunks that these events make, as server-sent events; empty if they make none."""
        return b"".join(
            [self._WRITE[type(event)](self, event) for event in events if type(event) in self._WRITE]
        )

    def failure(self, error: Mapping[str, Any]) -> bytes:
        """The end of a stream for which there is no event."""
        return b"data: %b\n\n" % _encode({"error": error})

    def _chunk(self, delta: dict[str, Any], logprobs: Any = None, finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        return b"".join((self._opening, b',"choices":[', _encode(choice), b"]", self._closing))

    def _role(self, content: str | None) -> dict[str, Any]:
        """What the first delta says besides; nothing in any other."""
        if self._role_told:
            return {}
        self._role_told = True
        return {"role": "assistant", "content": content, "refusal": None}

    def _item(self, event: ev.OutputItemAdded) -> bytes:
        kind = event.item.get("type")
        if kind in CALLS:
            return self._opened_call(event.item, event.output_index)
        return self._announced({}) if kind == "reasoning" else b""

    def _announced(self, delta: dict[str, Any]) -> bytes:
        delta = {**self._role(None), **delta}
        return self._chunk(delta) if delta else b""

    def _opened_call(self, item: Item, output_index: int) -> bytes:
        place = self._call_places[output_index] = len(self._call_places)
        role = self._role(None)
        if self._legacy_calls:
            use = {"name": item["name"], "arguments": ""}
            return self._chunk({**role, "function_call": use}) if place == 0 else b""
        return self._chunk({**role, "tool_calls": [{"index": place, **call_of(item)}]})

    def _text(self, event: ev.TextDeltaEvent) -> bytes:
        return self._chunk({"content": event.delta}, logprobs_of(event.logprobs))

    def _refusal(self, event: ev.RefusalDeltaEvent) -> bytes:
        return self._chunk({"refusal": event.delta})

    def _annotated(self, event: ev.AnnotationAdded) -> bytes:
        # All are told at once in the end: clients cannot put a list together whose entries have no index.
        self._annotations.append(annotation_of(event.annotation))
        return b""

    def _part(self, event: ev.ContentPartAdded) -> bytes:
        kind = event.part["type"]
        self._new_thought = self._new_thought or kind == "reasoning_text"
        # An empty text is not the same as none.
        first = kind == "output_text" and not self._text_told
        self._text_told = self._text_told or first
        return self._announced({"content": ""} if first else {})

    def _summary_part(self, event: ev.SummaryPartAdded) -> bytes:
        self._new_thought = True
        return b""

    def _thought(self, event: ev.ReasoningDeltaEvent | ev.SummaryTextDelta) -> bytes:
        if not event.delta:
            return b""
        gap = "\n\n" if self._new_thought and self._thought_before else ""
        self._new_thought, self._thought_before = False, True
        return self._chunk({"reasoning_content": gap + event.delta})

    def _arguments(self, event: ev.ArgumentsDelta) -> bytes:
        return self._argument_piece(event.output_index, "function", {"arguments": event.delta})

    def _custom_input(self, event: ev.CustomInputDelta) -> bytes:
        return self._argument_piece(event.output_index, "custom", {"input": event.delta})

    def _argument_piece(self, output_index: int, kind: str, piece: dict[str, str]) -> bytes:
        place = self._call_places[output_index]
        if self._legacy_calls:
            return self._chunk({"function_call": piece}) if place == 0 else b""
        return self._chunk({"tool_calls": [{"index": place, kind: piece}]})

    def _error(self, event: ev.ErrorEvent) -> bytes:
        self._failed = True
        return b"data: %b\n\n" % _encode({"error": event.error})

    def _error_again(self, event: ev.PassedOn) -> bytes:
        """An error that is told from a journal; nothing else that is passed on has words here."""
        if event.type != "error":
            return b""
        self._failed = True
        return b"data: %b\n\n" % _encode({"error": event.data["error"]})

    def _failure(self, event: ev.Failed) -> bytes:
        # A failure was told by its error. A response that was cancelled has none.
        if self._failed:
            return b""
        error = {
            "message": "The completion was cancelled.",
            "type": "server_error",
            "param": None,
            "code": None,
        }
        return b"data: %b\n\n" % _encode({"error": error})

    def _end(self, event: ev.Completed | ev.Incomplete) -> bytes:
        response = event.response
        reason = finish_reason(response, output_of(response), legacy_calls=self._legacy_calls)
        annotated = {"annotations": self._annotations} if self._annotations else {}
        frames = [self._chunk({**self._role(""), **annotated}, finish_reason=reason)]
        if self._usage:
            usage = _encode(usage_of(response.usage))
            frames.append(b'%b,"choices":[],"usage":%b}\n\n' % (self._opening, usage))
        frames.append(b"data: [DONE]\n\n")
        return b"".join(frames)

    _WRITE: Final[dict[type, Callable[..., bytes]]] = {
        ev.TextDeltaEvent: _text,
        ev.RefusalDeltaEvent: _refusal,
        ev.AnnotationAdded: _annotated,
        ev.ContentPartAdded: _part,
        ev.SummaryPartAdded: _summary_part,
        ev.ReasoningDeltaEvent: _thought,
        ev.SummaryTextDelta: _thought,
        ev.OutputItemAdded: _item,
        ev.ArgumentsDelta: _arguments,
        ev.CustomInputDelta: _custom_input,
        ev.ErrorEvent: _error,
        ev.PassedOn: _error_again,
        ev.Failed: _failure,
        ev.Completed: _end,
        ev.Incomplete: _end,
    }
