"""The tools that clients run, as an engine sees them that knows only functions.

One row for each type of tool says how it is offered, what becomes of a call, and how the call and what came of it are
told to the engine again on later turns:

    offer   tool        → the function that the engine may call
    read    arguments   → what the call item holds; None for arguments that make no sense
    write   call item   → the arguments, as the engine would have made them
    answer  output item → what the engine is told of it: text, or content parts

`read` and `write` are each other's inverse. Nothing here knows requests, chains or streams.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from catena.tool_shapes.computers import COMPUTER, COMPUTER_PREVIEW
from catena.tool_shapes.functions import CUSTOM, FUNCTION
from catena.tool_shapes.names import engine_name
from catena.tool_shapes.patches import APPLY_PATCH
from catena.tool_shapes.searches import offer_tool_search, read_tool_search, write_tool_search
from catena.tool_shapes.shape import OBJECT, Fields, Shape, decoded
from catena.tool_shapes.shells import LOCAL_SHELL, SHELL
from catena.wire.response import Item
from catena.wire.tools import Tool

__all__ = [
    "SHAPES",
    "Shape",
    "answer_of",
    "call_arguments",
    "call_name",
    "engine_name",
    "is_call",
    "is_output",
]

_encode: Final = msgspec.json.Encoder().encode


def _answer_tool_search(item: Item) -> str:
    found = [name for tool in item.get("tools", ()) for name in _names(tool)]
    return f"Tools that can be called now: {', '.join(found)}" if found else "No tools were found."


def _names(tool: Tool) -> list[str]:
    if tool["type"] == "namespace":
        return [engine_name(inner["name"], tool["name"]) for inner in tool["tools"]]
    shape = SHAPES.get(tool["type"])
    return [shape.name or engine_name(tool["name"])] if shape is not None else []


SHAPES: Final[Mapping[str, Shape]] = {
    "function": FUNCTION,
    "custom": CUSTOM,
    "shell": SHELL,
    "local_shell": LOCAL_SHELL,
    "apply_patch": APPLY_PATCH,
    "computer": COMPUTER,
    "computer_use_preview": COMPUTER_PREVIEW,
    "tool_search": Shape(
        name="tool_search",
        call="tool_search_call",
        output="tool_search_output",
        offer=offer_tool_search,
        read=read_tool_search,
        write=write_tool_search,
        answer=_answer_tool_search,
    ),
}
"""Every type of tool that clients run."""

_OF_CALL: Final = {shape.call: shape for shape in SHAPES.values()}
_OF_OUTPUT: Final = {shape.output: shape for shape in SHAPES.values()}
_SEARCHES: Final = frozenset({"tool_search_call", "tool_search_output"})


def is_call(item: Item) -> bool:
    """Whether this is the call of a tool that the client runs."""
    kind = item.get("type")
    return kind in _OF_CALL and not (kind in _SEARCHES and _searched_elsewhere(item))


def is_output(item: Item) -> bool:
    """Whether this is what came of such a call."""
    kind = item.get("type")
    return kind in _OF_OUTPUT and not (kind in _SEARCHES and _searched_elsewhere(item))


def _searched_elsewhere(item: Item) -> bool:
    # A search may also have been run by an engine that finds tools itself; then both items are receipts.
    return item.get("call_id") is None or item.get("execution") == "server"


def call_name(item: Item) -> str:
    """What the engine knows the tool of a call item by."""
    return _OF_CALL[item["type"]].name or engine_name(item["name"], item.get("namespace"))


def call_arguments(item: Item) -> str:
    """The arguments of a call item, as JSON: those that the engine made, or would have made."""
    if item["type"] == "function_call" and decoded(OBJECT, item["arguments"]) is not None:
        return str(item["arguments"])
    return _encode(_OF_CALL[item["type"]].write(item)).decode()


def answer_of(item: Item) -> str | list[Fields]:
    """What an engine is told of an output item: text, or content parts as the Responses API has them."""
    return _OF_OUTPUT[item["type"]].answer(item)
