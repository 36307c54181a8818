"""Making a function's schema strict, as the official API does where a tool does not say (spec §2.1.19).

A strict schema requires every property and allows no other. Some schemas cannot be made so without changing what they
mean beyond that, and those stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

__all__ = ["ENOUGH", "NOT_STRICT", "strict_schema"]

Schema: TypeAlias = dict[str, Any]

_MAX_DEPTH: Final = 10
NOT_STRICT: Final = frozenset(
    {
        "allOf",
        "dependentRequired",
        "dependentSchemas",
        "else",
        "if",
        "not",
        "oneOf",
        "patternProperties",
        "then",
        "unevaluatedProperties",
    }
)
"""What a strict schema must not have anywhere."""

ENOUGH: Final = frozenset({"type", "$ref", "anyOf", "enum", "const"})
"""Of these a schema must have one, or it says nothing."""


class _NotStrict(Exception):
    pass


def strict_schema(schema: Any) -> Schema | None:
    """The strict form of a function's parameters; None if they have none."""
    if not isinstance(schema, dict) or schema.get("type") != "object" or "anyOf" in schema:
        return None
    try:
        return _strict(schema, _MAX_DEPTH)
    except _NotStrict:
        return None


def _strict(schema: Any, depth: int) -> Schema:
    if not isinstance(schema, dict) or depth == 0:
        raise _NotStrict
    if not NOT_STRICT.isdisjoint(schema) or ENOUGH.isdisjoint(schema):
        raise _NotStrict
    made = {
        name: _PARTS[name](value, depth - 1) if name in _PARTS else value for name, value in schema.items()
    }
    kinds = schema.get("type")
    if kinds == "object" or (isinstance(kinds, list) and "object" in kinds):
        _close(made)
    if (kinds == "array" or (isinstance(kinds, list) and "array" in kinds)) and "items" not in schema:
        raise _NotStrict
    return made


def _close(schema: Schema) -> None:
    """Require every property of an object's schema and allow no other."""
    properties = schema.setdefault("properties", {})
    if schema.get("additionalProperties", False) is not False:
        raise _NotStrict
    if not set(_names(schema.get("required", []))) <= set(properties):
        raise _NotStrict
    schema["required"] = list(properties)
    schema["additionalProperties"] = False


def _names(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise _NotStrict
    return value


def _each_named(value: Any, depth: int) -> Schema:
    if not isinstance(value, Mapping):
        raise _NotStrict
    return {name: _strict(each, depth) for name, each in value.items()}


def _each(value: Any, depth: int) -> list[Schema]:
    if not isinstance(value, list):
        raise _NotStrict
    return [_strict(each, depth) for each in value]


_PARTS: Final[dict[str, Callable[[Any, int], Any]]] = {
    "properties": _each_named,
    "$defs": _each_named,
    "definitions": _each_named,
    "items": _strict,
    "anyOf": _each,
}
