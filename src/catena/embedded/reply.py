"""The events of an answer in the shapes of the Chat Completions API: chunks of a stream, or one whole reply."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from catena.embedded.answer import Arguments, Called, Event
from catena.embedded.decoder import Accepted, Done, Piece

__all__ = ["END_OF_STREAM", "PULSE", "Reply", "frame"]

END_OF_STREAM: Final = b"data: [DONE]\n\n"
PULSE: Final = b": reading the prompt\n\n"
"""A comment that keeps whoever waits from giving up: a long prompt takes minutes."""


def frame(body: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + msgspec.json.encode(body) + b"\n\n"


class Reply:
    """One reply: its id, its time, the model's name as the caller gave it, and what was said so far."""

    def __init__(self, model: str, *, include_usage: bool = False) -> None:
        self._id = "chatcmpl-" + secrets.token_hex(16)
        self._created = int(time.time())
        self._model = model
        self._include_usage = include_usage
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._logprobs: list[Any] = []
        self._call: Called | None = None
        self._arguments: list[str] = []
        self._done: Done | None = None
        self._greeted = False

    def chunks(self, event: Event) -> Iterable[dict[str, Any]]:
        """The chunks that tell `event`."""
        if not self._greeted:
            self._greeted = True
            yield self._chunk({"role": "assistant", "content": ""})
        match event:
            case Accepted():
                pass
            case Piece():
                delta = {"content": event.text} if event.text or not event.reasoning else {}
                if event.reasoning:
                    delta["reasoning_content"] = event.reasoning
                yield self._chunk(delta, logprobs=event.logprobs)
            case Called():
                function = {"name": event.name, "arguments": ""}
                yield self._call_chunk({"id": event.id, "type": "function", "function": function})
            case Arguments():
                yield self._call_chunk({"function": {"arguments": event.text}})
            case Done():
                yield self._chunk({}, finish_reason=event.reason)
                if self._include_usage:
                    yield {**self._frame("chat.completion.chunk"), "choices": [], "usage": _usage(event)}

    def take(self, event: Event) -> None:
        """Add `event` to the whole reply."""
        match event:
            case Accepted():
                pass
            case Piece():
                self._text.append(event.text)
                self._reasoning.append(event.reasoning)
                self._logprobs += (event.logprobs or {}).get("content") or ()
            case Called():
                self._call = event
            case Arguments():
                self._arguments.append(event.text)
            case Done():
                self._done = event

    def whole(self) -> dict[str, Any]:
        """The reply as one object, once `Done` was taken."""
        assert self._done is not None
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self._text), "refusal": None}
        if self._call is not None:
            function = {"name": self._call.name, "arguments": "".join(self._arguments)}
            call = {"id": self._call.id, "type": "function", "function": function}
            message |= {"content": None, "tool_calls": [call]}
        if reasoning := "".join(self._reasoning):
            message["reasoning_content"] = reasoning
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": self._done.reason,
            "logprobs": {"content": self._logprobs} if self._logprobs else None,
        }
        return {**self._frame("chat.completion"), "choices": [choice], "usage": _usage(self._done)}

    def _frame(self, kind: str) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._model}

    def _chunk(
        self, delta: Mapping[str, Any], *, finish_reason: str | None = None, logprobs: Any = None
    ) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": logprobs}
        return {**self._frame("chat.completion.chunk"), "choices": [choice]}

    def _call_chunk(self, call: Mapping[str, Any]) -> dict[str, Any]:
        return self._chunk({"tool_calls": [{"index": 0, **call}]})


def _usage(done: Done) -> dict[str, Any]:
    return {
        "prompt_tokens": done.prompt_tokens,
        "completion_tokens": done.completion_tokens,
        "total_tokens": done.prompt_tokens + done.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": done.cached_tokens},
    }
