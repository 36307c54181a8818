"""JSON values of which an engine may make anything: what is not of the expected kind is not there."""

from __future__ import annotations

from typing import Any

__all__ = ["object_in", "objects_in", "text_in"]


def object_in(value: Any) -> dict[str, Any]:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def objects_in(value: Any) -> list[dict[str, Any]]:
    """The objects in the list `value`; none if it is no list."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def text_in(value: Any) -> str:
    """`value` if it is a text, else an empty one."""
    return value if isinstance(value, str) else ""
