"""What this server knows of the API, as plain data: for the compatibility table, and to see what an SDK adds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias, get_args

import msgspec

from catena.wire.calls import AnyItem
from catena.wire.items import ITEMS, AssistantMessage
from catena.wire.parts import PART_TYPES
from catena.wire.request import ACCEPTED_UNUSED, CREATE_PARAMETERS, Includable
from catena.wire.shapes import fields_of
from catena.wire.tools import TOOLS

__all__ = ["KNOWN", "Fields", "fields"]

Fields: TypeAlias = Mapping[str, tuple[str, ...]]
"""The names of an object's fields, under "required" and "optional"."""


def fields(*structs: type[msgspec.Struct]) -> Fields:
    """What objects of these kinds have: required is what all of them require."""
    every = [fields_of(struct) for struct in structs]
    names = dict.fromkeys(name for each in every for name in each)
    required = tuple(name for name in names if all(name in each and each[name].required for each in every))
    return {"required": required, "optional": tuple(name for name in names if name not in required)}


def _item_fields(kind: str, struct: type[AnyItem]) -> Fields:
    return fields(struct, AssistantMessage) if kind == "message" else fields(struct)


KNOWN: Final[Mapping[str, Any]] = {
    "create_parameters": CREATE_PARAMETERS,
    "accepted_unused": ACCEPTED_UNUSED,
    "include": get_args(Includable),
    "content_parts": PART_TYPES,
    "items": {kind: _item_fields(kind, struct) for kind, struct in ITEMS.items()},
    "tools": {kind: fields(struct) for kind, struct in TOOLS.items()},
}
"""Everything that a request may hold, by the API's names. It can be encoded as JSON."""
