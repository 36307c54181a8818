"""A turn as it stands in its tree, on the wire: what it is, where it stands and its first words. These objects are
extensions: the API has no way to look around in what it keeps."""

from __future__ import annotations

from typing import Any

import msgspec

from catena.wire.response import Usage

__all__ = ["Place", "lineage_object", "tree_object"]


class _Told(msgspec.Struct, frozen=True):
    """What of the fields of a turn is shown."""

    usage: Usage | None = None
    metadata: dict[str, str] = {}
    conversation: dict[str, str] | None = None


_decode = msgspec.json.Decoder(_Told).decode


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What a lineage object is made of. `fields` are those that `stored_fields` makes; `conversation` is the one that
    its tree is of, if it is one that was put in by hand."""

    id: str
    parent: str | None
    endpoint: str
    status: str
    model: str
    created_at: int
    deleted: bool
    depth: int
    children: int
    fields: bytes
    asked: str
    answered: str
    conversation: str | None = None


def lineage_object(place: Place) -> dict[str, Any]:
    """The object `response.lineage` of a turn."""
    told = _decode(place.fields)
    conversation = told.conversation["id"] if told.conversation is not None else place.conversation
    return {
        "object": "response.lineage",
        "id": place.id,
        "parent": place.parent,
        "depth": place.depth,
        "children": place.children,
        "status": place.status,
        "model": place.model,
        "created_at": place.created_at,
        "endpoint": place.endpoint,
        "conversation": conversation,
        "deleted": place.deleted,
        "usage": _usage(told.usage),
        "metadata": told.metadata,
        "first_words": {"input": place.asked, "output": place.answered},
    }


def _usage(usage: Usage | None) -> dict[str, int] | None:
    if usage is None:
        return None
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.input_tokens_details.cached_tokens,
        "total_tokens": usage.total_tokens,
    }


def tree_object(root: str, *, turns: int, branches: int, depth: int) -> dict[str, Any]:
    """A tree in numbers; a branch is a turn that nothing continues."""
    return {"root": root, "turns": turns, "branches": branches, "depth": depth}
