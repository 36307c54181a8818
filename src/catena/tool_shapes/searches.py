"""Looking for tools that are not offered yet: what is found can be called then."""

from __future__ import annotations

from typing import Final

from catena.tool_shapes.shape import INTEGER, OBJECT, Fields, decoded, object_schema
from catena.wire.response import Item
from catena.wire.tools import Tool

__all__ = ["offer_tool_search", "read_tool_search", "write_tool_search"]

_QUERY: Final = object_schema({"query": {"type": "string"}, "limit": INTEGER}, "limit")


def offer_tool_search(tool: Tool) -> Fields:
    return {
        "name": "tool_search",
        "description": tool.get("description")
        or "Finds further tools. Those that are found can be called then.",
        "parameters": tool.get("parameters") or _QUERY,
    }


def read_tool_search(arguments: str) -> Fields | None:
    read = decoded(OBJECT, arguments)
    return None if read is None else {"arguments": read, "execution": "client"}


def write_tool_search(item: Item) -> Fields:
    arguments = item["arguments"]
    return arguments if isinstance(arguments, dict) else {"query": arguments}
