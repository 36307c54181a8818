"""What a type of tool is, and what all of them are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

from catena.wire.response import Item
from catena.wire.tools import Tool

__all__ = ["INTEGER", "OBJECT", "Fields", "Shape", "decoded", "object_schema"]

Fields: TypeAlias = dict[str, Any]

INTEGER: Final = {"type": "integer"}
OBJECT: Final = msgspec.json.Decoder(dict[str, Any])


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """One type of tool. `name` is what the engine knows it by, where the tool itself has none.

    Without `read`, a call is told while it is made: that of a function, or of a custom tool.
    """

    call: str
    output: str
    offer: Callable[[Tool], Fields]
    write: Callable[[Item], Fields]
    answer: Callable[[Item], str | list[Fields]]
    name: str = ""
    read: Callable[[str], Fields | None] | None = None


def object_schema(properties: Fields, *optional: str, **more: Any) -> Fields:
    """The schema of an object with these properties, all required but the `optional` ones."""
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
        **more,
    }


def decoded(decoder: msgspec.json.Decoder[Any], arguments: str) -> Any:
    """The arguments of a call, read; None for those that make no sense."""
    try:
        return decoder.decode(arguments)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
