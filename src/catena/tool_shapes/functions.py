"""Functions, and custom tools, whose input is free text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from catena.tool_shapes.shape import OBJECT, Fields, Shape, decoded, object_schema
from catena.wire.response import Item
from catena.wire.tools import Tool

__all__ = ["CUSTOM", "FUNCTION", "answer_as_given"]


def _offer_function(tool: Tool) -> Fields:
    function = {
        "name": tool["name"],
        "parameters": tool.get("parameters") or {"type": "object", "properties": {}},
    }
    if tool.get("description"):
        function["description"] = tool["description"]
    if tool.get("strict"):
        function["strict"] = True
    return function


def _offer_custom(tool: Tool) -> Fields:
    text = {"type": "string", "description": _input_description(tool.get("format") or {})}
    return {
        "name": tool["name"],
        "description": tool.get("description") or "",
        "parameters": object_schema({"input": text}),
    }


def _input_description(form: Mapping[str, Any]) -> str:
    if form.get("type") != "grammar":
        return "The tool's input, as free text."
    return f"The tool's input. It must match this {form['syntax']} grammar:\n{form['definition']}"


def _write_function(item: Item) -> Fields:
    # Engines decode what they are told again, and some refuse a history with arguments that are no object.
    arguments = decoded(OBJECT, item["arguments"] or "{}")
    return {"malformed_arguments": item["arguments"]} if arguments is None else arguments


def _write_custom(item: Item) -> Fields:
    return {"input": item["input"]}


def answer_as_given(item: Item) -> str | list[Fields]:
    """What the client gave is told as it is."""
    output: str | list[Fields] = item["output"]
    return output


FUNCTION = Shape(
    call="function_call",
    output="function_call_output",
    offer=_offer_function,
    write=_write_function,
    answer=answer_as_given,
)
CUSTOM = Shape(
    call="custom_tool_call",
    output="custom_tool_call_output",
    offer=_offer_custom,
    write=_write_custom,
    answer=answer_as_given,
)
