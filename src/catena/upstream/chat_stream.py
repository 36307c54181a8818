"""The stream of a Chat Completions engine, normalised to chunks.

One dialect with many accents. What is read here is what vLLM, Ollama, llama.cpp, SGLang, LM Studio, Mistral,
DeepSeek and OpenAI send, streamed or as one whole completion; what is not known is passed over. A plain piece of
text takes a short way, as there are thousands of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from catena.chunks import (
    Annotation,
    Chunk,
    Finish,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)
from catena.upstream.calls import ToolCalls
from catena.upstream.faults import Faults
from catena.upstream.loose import object_in, objects_in
from catena.upstream.tokens import logprob_entries, usage_of_chat, usage_of_timings
from catena.upstream.visible import Visible

__all__ = ["ChatStream"]

_FINISH: Final = {
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "content_filter",
}
"""Reasons to stop by their names here. Every other one (stop, eos, end_turn, …) is a stop."""

_FAILURES: Final = frozenset({"abort", "error", "insufficient_system_resource"})
"""Reasons that no answer ends with: the engine gave up (SGLang, vLLM, Mistral, DeepSeek)."""


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: Any = None


class _Call(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct, gc=False):
    content: str | list[Any] | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None
    function_call: _Function | None = None
    annotations: list[Any] | None = None


class _Choice(msgspec.Struct, gc=False):
    index: int | None = None
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None
    logprobs: Any = None


class _Packet(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None
    timings: dict[str, Any] | None = None
    error: Any = None
    object: Any = None
    message: Any = None
    detail: Any = None


_decode: Final = msgspec.json.Decoder(_Packet).decode


class ChatStream:
    """One answer of an engine.

    `finished` says that it told why it stopped; without that, the answer was cut. `over` says that nothing more
    comes, not even a count of tokens.
    """

    __slots__ = ("_begun", "_calls", "_faults", "_visible", "finished", "over")

    def __init__(self, faults: Faults, *, parse_think: bool = True) -> None:
        self.finished = False
        self.over = False
        self._begun = False
        self._faults = faults
        self._visible = Visible(parse_think=parse_think)
        self._calls = ToolCalls()

    def feed(self, data: bytes) -> list[Chunk]:
        """The chunks in the data of one event, or in a whole completion.

        Raises UpstreamError for an error that the engine tells, and for what is no chat completion.
        """
        if data == b"[DONE]":
            return self._done()
        try:
            packet = _decode(data)
        except (msgspec.DecodeError, RecursionError):
            if not data.strip():
                return []
            raise self._faults.garbage("sent what is not a chat completion") from None
        text = _plain_text(packet)
        if not text:
            return self._read(packet, data)
        if self._visible.flows:
            return [TextDelta(text)]
        self._begun = True
        return [*self._visible.feed(text)]

    def _read(self, packet: _Packet, data: bytes) -> list[Chunk]:
        if _is_error(packet):
            raise self._faults.told(msgspec.json.decode(data))
        chunks: list[Chunk] = []
        for choice in packet.choices or ():
            if not choice.index:  # others are alternatives, which nobody asked for
                self._begun = True
                chunks += self._choice(choice)
        if packet.usage is not None:
            chunks.append(usage_of_chat(packet.usage, packet.timings or {}))
        elif packet.timings is not None and "predicted_n" in packet.timings:
            chunks.append(usage_of_timings(packet.timings))
        return chunks

    def _choice(self, choice: _Choice) -> list[Chunk]:
        chunks: list[Chunk] = []
        delta = choice.delta or choice.message
        if delta is not None:
            # vLLM sent the same thoughts under both names for a while.
            self._add_thoughts(delta.reasoning_content or delta.reasoning, chunks)
            self._add_text(delta, _entries(choice.logprobs), chunks)
            self._add_calls(delta, chunks)
        if choice.finish_reason:
            chunks += self._finish(choice.finish_reason)
        return chunks

    def _add_thoughts(self, thoughts: Any, chunks: list[Chunk]) -> None:
        if thoughts and isinstance(thoughts, str):
            chunks += self._visible.interrupt()
            chunks.append(ReasoningDelta(thoughts))

    def _add_text(self, delta: _Delta, logprobs: list[dict[str, Any]], chunks: list[Chunk]) -> None:
        if isinstance(delta.content, list):
            for part in delta.content:
                self._add_part(part, chunks)
        elif delta.content or logprobs:
            chunks += self._visible.feed(delta.content or "", logprobs)
        if delta.refusal:
            chunks += self._visible.interrupt()
            chunks.append(RefusalDelta(delta.refusal))
        for annotation in objects_in(delta.annotations) if delta.annotations else ():
            chunks += self._visible.end(spaces=True)
            chunks.append(Annotation(_flat(annotation)))

    def _add_part(self, part: Any, chunks: list[Chunk]) -> None:
        """A part of Mistral's content: text, or thoughts that are parts again."""
        match part:
            case {"type": "text", "text": str(text)}:
                chunks += self._visible.feed(text)
            case {"type": "thinking", "thinking": thoughts}:
                for thought in objects_in(thoughts):
                    self._add_thoughts(thought.get("text"), chunks)

    def _add_calls(self, delta: _Delta, chunks: list[Chunk]) -> None:
        calls = delta.tool_calls or ()
        if not calls and delta.function_call is None:
            return
        chunks += self._visible.interrupt()
        for call in calls:
            function = call.function or _Function()
            chunks += self._calls.piece(call.index, call.id or "", function.name or "", function.arguments)
        if delta.function_call is not None:
            legacy = delta.function_call
            chunks += self._calls.piece(None, "", legacy.name or "", legacy.arguments)

    def _finish(self, reason: str) -> list[Chunk]:
        if reason in _FAILURES:
            raise self._faults.gave_up(reason)
        settled = _FINISH.get(reason, "stop")
        if settled == "stop" and self._calls.begun:
            settled = "tool_calls"
        chunks: list[Chunk] = [*self._visible.end(spaces=not self._calls.begun)]
        if settled in ("stop", "tool_calls"):
            chunks += self._ended_calls()
        self.finished = True
        return [*chunks, Finish(settled)]

    def _ended_calls(self) -> list[ToolCallDelta]:
        try:
            return self._calls.end()
        except ValueError:
            raise self._faults.garbage("sent a tool call without a name") from None

    def _done(self) -> list[Chunk]:
        """The engine says that this was all. Some never tell a reason."""
        self.over = True
        if self.finished:
            return []
        if not self._begun:
            raise self._faults.cut()
        return self._finish("stop")


def _plain_text(packet: _Packet) -> str:
    """The text of a packet that has a piece of text in it and nothing else; "" for every other packet."""
    if (
        not packet.choices
        or packet.usage is not None
        or packet.error is not None
        or packet.timings is not None
        or packet.object == "error"
    ):
        return ""
    choice = packet.choices[0]
    delta = choice.delta
    if delta is None or choice.index or choice.finish_reason is not None or choice.logprobs is not None:
        return ""
    if delta.tool_calls or delta.reasoning_content or delta.reasoning or delta.annotations or delta.refusal:
        return ""
    if delta.function_call is not None or len(packet.choices) > 1 or type(delta.content) is not str:
        return ""
    return delta.content


def _is_error(packet: _Packet) -> bool:
    if packet.error is not None or packet.object == "error":
        return True
    return packet.choices is None and (packet.message is not None or packet.detail is not None)


def _entries(logprobs: Any) -> list[dict[str, Any]]:
    return logprob_entries(object_in(logprobs).get("content")) if logprobs else []


def _flat(annotation: Mapping[str, Any]) -> dict[str, Any]:
    """An annotation as the Responses API has it: what it says is beside its type, not below it."""
    kind = annotation.get("type")
    inner = annotation.get(kind) if isinstance(kind, str) else None
    return {"type": kind, **inner} if isinstance(inner, dict) else dict(annotation)
