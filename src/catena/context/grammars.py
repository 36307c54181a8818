"""Custom tools with a grammar, for engines that can be held to one.

An engine holds the whole of its answer to a grammar, not a part of it. So where a request says that one such tool must
be called, the engine is offered no tool: it is told to write nothing but the input, within the grammar, and what it
writes is told as the call. In all other cases the grammar stands in the description of the tool, as a wish.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from catena.chunks import Chunk, Finish, TextDelta, ToolCallDelta
from catena.context.offer import Offer
from catena.wire.tools import Tool

__all__ = ["Sole", "as_call", "sole_tool"]

_TOOL_OPTIONS: Final = ("tools", "tool_choice", "parallel_tool_calls")

_encode = msgspec.json.Encoder().encode


class Sole(msgspec.Struct, frozen=True):
    """The one tool whose input is the whole answer: its name, and what holds the engine to its grammar."""

    name: str
    description: str
    grammar: Mapping[str, Any]

    def options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options of a request in which the engine writes this input."""
        kept = {name: value for name, value in options.items() if name not in _TOOL_OPTIONS}
        return {**kept, **self.grammar}

    @property
    def lead(self) -> bytes:
        """What the engine is told before everything else."""
        told = f"Answer with nothing but the input of the tool '{self.name}'. {self.description}".strip()
        return _encode({"role": "system", "content": told})


def sole_tool(offer: Offer, tools: Iterable[Tool], kind: str) -> Sole | None:
    """The custom tool that must be called, if there is one, it has a grammar, and the engine takes grammars as `kind`
    says."""
    name = _must_be_called(offer)
    if kind == "none" or name is None:
        return None
    for tool in tools:
        form = tool.get("format") or {}
        if tool["type"] == "custom" and tool["name"] == name and form.get("type") == "grammar":
            return Sole(name, tool.get("description") or "", _held(kind, form["syntax"], form["definition"]))
    return None


def _must_be_called(offer: Offer) -> str | None:
    if isinstance(offer.choice, dict):
        return str(offer.choice["function"]["name"])
    if offer.choice == "required" and len(offer.functions) == 1:
        return str(offer.functions[0]["function"]["name"])
    return None


def _held(kind: str, syntax: str, definition: str) -> dict[str, Any]:
    """The setting that holds an engine to a grammar, in its own words."""
    word = "regex" if syntax == "regex" else "grammar"
    if kind == "vllm":
        return {"structured_outputs": {word: definition}}
    if kind == "guided":
        return {f"guided_{word}": definition}
    # llama.cpp's own grammars are another language; built with LLGuidance it takes Lark behind this line.
    lark = definition if syntax == "lark" else "start: /{}/".format(definition.replace("/", "\\/"))
    return {"grammar": f"%llguidance {{}}\n{lark}"}


def as_call(chunks: Sequence[Chunk], name: str, *, began: bool) -> Sequence[Chunk]:
    """What an engine wrote, as a call of the tool; `began` says that some of it was told already."""
    told: list[Chunk] = []
    for chunk in chunks:
        if isinstance(chunk, TextDelta):
            told.append(ToolCallDelta(0, name="" if began else name, arguments=chunk.text, custom=True))
            began = True
        elif isinstance(chunk, Finish) and chunk.reason == "stop" and began:
            told.append(Finish("tool_calls"))
        else:
            told.append(chunk)
    return told
