"""What is said about one route: what it takes, what it answers, and with which statuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

__all__ = ["Operation", "Parameter", "Schema", "Status", "flag", "integer", "text", "word"]

Schema: TypeAlias = Mapping[str, Any]
Status: TypeAlias = Literal[404, 409, 413, 422, 429, 502, 503, 504]


class Parameter(msgspec.Struct, frozen=True):
    """One name in the query string."""

    name: str
    schema: Schema
    description: str = ""
    exploded: bool = False
    """Sent as `name[key]=value`."""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """`body` and `reply` name schemas; other media types than JSON are in `takes` and `gives`. `asks_engine` adds the
    statuses of an engine that fails, `keyed` the header Idempotency-Key."""

    summary: str
    tag: str
    query: Sequence[Parameter] = ()
    body: str = ""
    body_optional: bool = False
    takes: Mapping[str, Schema] = {}
    reply: str = ""
    gives: Mapping[str, Schema] = {}
    asks_engine: bool = False
    keyed: bool = False
    statuses: Sequence[int] = ()


def text(name: str, description: str = "", **more: Any) -> Parameter:
    """A parameter of any text."""
    return Parameter(name, {"type": "string", **more}, description)


def word(name: str, *words: str, description: str = "") -> Parameter:
    """One of some words."""
    return Parameter(name, {"type": "string", "enum": list(words)}, description)


def flag(name: str, description: str = "") -> Parameter:
    """True or false."""
    return Parameter(name, {"type": "boolean"}, description)


def integer(name: str, least: int, most: int | None = None, description: str = "") -> Parameter:
    """A bounded whole number."""
    bounds = {"minimum": least} if most is None else {"minimum": least, "maximum": most}
    return Parameter(name, {"type": "integer", **bounds}, description)
