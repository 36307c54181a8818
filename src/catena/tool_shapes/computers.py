"""Computers: what is done with mouse and keyboard, answered with a picture of the screen."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from catena.tool_shapes.shape import INTEGER, Fields, Shape, decoded, object_schema
from catena.wire.response import Item
from catena.wire.tools import Tool

__all__ = ["COMPUTER", "COMPUTER_PREVIEW"]


class _Action(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    keys: list[str] | None = None


class _Click(_Action, frozen=True, kw_only=True, tag="click"):
    x: int
    y: int
    button: Literal["left", "right", "wheel", "back", "forward"]


class _DoubleClick(_Action, frozen=True, kw_only=True, tag="double_click"):
    x: int
    y: int
    # The API requires the keys of this action, though there may be none.
    keys: list[str] | None = msgspec.field(default_factory=list)


class _Point(msgspec.Struct, frozen=True):
    x: int
    y: int


class _Drag(_Action, frozen=True, kw_only=True, tag="drag"):
    path: list[_Point]


class _Keypress(msgspec.Struct, frozen=True, tag_field="type", tag="keypress"):
    keys: list[str]


class _Move(_Action, frozen=True, kw_only=True, tag="move"):
    x: int
    y: int


class _Screenshot(msgspec.Struct, frozen=True, tag_field="type", tag="screenshot"):
    pass


class _Scroll(_Action, frozen=True, kw_only=True, tag="scroll"):
    x: int
    y: int
    scroll_x: int
    scroll_y: int


class _Typing(msgspec.Struct, frozen=True, tag_field="type", tag="type"):
    text: str


class _Wait(msgspec.Struct, frozen=True, tag_field="type", tag="wait"):
    pass


_AnyAction: TypeAlias = (
    _Click | _DoubleClick | _Drag | _Keypress | _Move | _Screenshot | _Scroll | _Typing | _Wait
)


class _Actions(msgspec.Struct, frozen=True):
    actions: Annotated[list[_AnyAction], Meta(min_length=1)]


class _OneAction(msgspec.Struct, frozen=True):
    action: _AnyAction


_ACTIONS: Final = msgspec.json.Decoder(_Actions)
_ONE_ACTION: Final = msgspec.json.Decoder(_OneAction)

_WORDS: Final = {"type": "array", "items": {"type": "string"}}
_ACTION: Final[Fields] = {
    "type": "object",
    "properties": {
        "type": {
            "type": "string",
            "enum": [
                *("click", "double_click", "drag", "keypress", "move"),
                *("screenshot", "scroll", "type", "wait"),
            ],
        },
        "x": INTEGER,
        "y": INTEGER,
        "button": {"type": "string", "enum": ["left", "right", "wheel", "back", "forward"]},
        "keys": {**_WORDS, "description": "The keys to press, or to hold meanwhile."},
        "path": {"type": "array", "items": object_schema({"x": INTEGER, "y": INTEGER})},
        "scroll_x": INTEGER,
        "scroll_y": INTEGER,
        "text": {"type": "string", "description": "What to type."},
    },
    "required": ["type"],
    "additionalProperties": False,
}


def _offer_computer(tool: Tool) -> Fields:
    return {
        "name": "computer",
        "description": "Acts on the user's computer, in order, and returns a screenshot.",
        "parameters": object_schema({"actions": {"type": "array", "items": _ACTION}}),
    }


def _offer_computer_preview(tool: Tool) -> Fields:
    size = f"{tool['display_width']} by {tool['display_height']}"
    return {
        "name": "computer",
        "description": f"Acts once on the user's computer ({tool['environment']}, {size} pixels) and returns a "
        "screenshot.",
        "parameters": object_schema({"action": _ACTION}),
    }


def _read_computer(arguments: str) -> Fields | None:
    read = decoded(_ACTIONS, arguments)
    return None if read is None else {**msgspec.to_builtins(read), "pending_safety_checks": []}


def _read_computer_preview(arguments: str) -> Fields | None:
    read = decoded(_ONE_ACTION, arguments)
    return None if read is None else {**msgspec.to_builtins(read), "pending_safety_checks": []}


def _write_computer(item: Item) -> Fields:
    return {name: item[name] for name in ("actions", "action") if item.get(name) is not None}


def _answer_computer(item: Item) -> str | list[Fields]:
    output = item["output"]
    return output if isinstance(output, str) else [{**output, "type": "input_image"}]


_NAMED: Final[Fields] = {
    "name": "computer",
    "call": "computer_call",
    "output": "computer_call_output",
    "write": _write_computer,
    "answer": _answer_computer,
}

COMPUTER = Shape(**_NAMED, offer=_offer_computer, read=_read_computer)
COMPUTER_PREVIEW = Shape(**_NAMED, offer=_offer_computer_preview, read=_read_computer_preview)
