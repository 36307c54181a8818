"""What a server answers, as far as the commands show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

__all__ = [
    "Asked",
    "Context",
    "Entry",
    "FirstWords",
    "Forgotten",
    "Listed",
    "Model",
    "Models",
    "Response",
    "Shape",
    "Usage",
]


class _Reply(msgspec.Struct, frozen=True, kw_only=True):
    pass


class Usage(_Reply, frozen=True, kw_only=True):
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0


class FirstWords(_Reply, frozen=True, kw_only=True):
    input: str = ""
    output: str = ""


class Shape(_Reply, frozen=True, kw_only=True):
    """A tree in numbers."""

    root: str
    turns: int
    branches: int
    depth: int


class Entry(_Reply, frozen=True, kw_only=True):
    """A turn as it stands in its tree; in a list of trees, the root."""

    id: str
    parent: str | None
    depth: int
    children: int
    status: str
    model: str
    created_at: int
    endpoint: str
    conversation: str | None = None
    deleted: bool = False
    usage: Usage | None = None
    metadata: Mapping[str, str] = {}
    first_words: FirstWords = FirstWords()
    excerpt: str = ""
    tree: Shape | None = None
    newest: Entry | None = None


class Listed(_Reply, frozen=True, kw_only=True):
    """A page of turns or trees; `tree` where it is of one."""

    data: Sequence[Entry]
    has_more: bool = False
    tree: Shape | None = None


class Asked(_Reply, frozen=True, kw_only=True):
    """What an engine was sent."""

    dialect: str
    model: str
    messages: Sequence[dict[str, Any]]
    tools: Sequence[dict[str, Any]] = ()


class Context(_Reply, frozen=True, kw_only=True):
    """A turn with what came before it, or alone."""

    id: str
    parent: str | None
    endpoint: str
    model: str
    status: str
    created_at: int
    instructions: Any = None
    tools: Sequence[dict[str, Any]] = ()
    input: Sequence[dict[str, Any]] = ()
    output: Sequence[dict[str, Any]] = ()
    whole: bool = True
    engine: Asked | None = None
    engine_unavailable: str | None = None


class _Details(_Reply, frozen=True, kw_only=True):
    cached_tokens: int = 0


class _ResponseUsage(_Reply, frozen=True, kw_only=True):
    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: _Details = _Details()


class _Fault(_Reply, frozen=True, kw_only=True):
    message: str = ""


class Response(_Reply, frozen=True, kw_only=True):
    """A response of the API, as far as the commands show it."""

    id: str
    status: str
    model: str
    output: Sequence[dict[str, Any]] = ()
    usage: _ResponseUsage | None = None
    error: _Fault | None = None

    @property
    def spent(self) -> Usage | None:
        """Its tokens in the words of a lineage entry."""
        if self.usage is None:
            return None
        return Usage(
            input_tokens=self.usage.input_tokens,
            output_tokens=self.usage.output_tokens,
            total_tokens=self.usage.total_tokens,
            cached_tokens=self.usage.input_tokens_details.cached_tokens,
        )


class Model(_Reply, frozen=True, kw_only=True):
    id: str


class Models(_Reply, frozen=True, kw_only=True):
    data: Sequence[Model]


class Forgotten(_Reply, frozen=True, kw_only=True):
    """What of one end user was removed, or found; `running` was left."""

    id: str
    deleted: bool
    responses: Sequence[str] = ()
    conversations: Sequence[str] = ()
    files: Sequence[str] = ()
    running: Sequence[str] = ()
