"""Conversations on the wire: what clients ask of `/v1/conversations`, and the object that they get (spec §1.2, §6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from catena.wire.explain import Check, check_depth, explain
from catena.wire.items import check_stored_items
from catena.wire.request import Metadata
from catena.wire.response import Item

__all__ = [
    "MOST_ITEMS",
    "AddItems",
    "CreateConversation",
    "UpdateConversation",
    "conversation_object",
    "decode_asked",
]

MOST_ITEMS: Final = 20
"""Items that one call may put into a conversation."""

_Item: TypeAlias = Annotated[Item, Meta(extra={"expected": "an input item"})]


class _Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class CreateConversation(_Asked, frozen=True, kw_only=True):
    """`POST /conversations`."""

    items: Annotated[list[_Item], Meta(max_length=MOST_ITEMS)] | None = None
    metadata: Metadata | None = None


class UpdateConversation(_Asked, frozen=True, kw_only=True):
    """`POST /conversations/{id}`. Null takes all metadata away."""

    metadata: Metadata | None


class AddItems(_Asked, frozen=True, kw_only=True):
    """`POST /conversations/{id}/items`."""

    items: Annotated[list[_Item], Meta(min_length=1, max_length=MOST_ITEMS)]


A = TypeVar("A", bound=_Asked)

_CHECKS: Final[Mapping[str, Check]] = {"items": check_stored_items}


def decode_asked(body: bytes, shape: type[A]) -> A:
    """What a client asks for. Raises BadRequest with the official message, `param` and `code`."""
    try:
        asked = msgspec.json.decode(body or b"{}", type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise explain(body, shape, error, checks=_CHECKS, moved={}) from None
    items = getattr(asked, "items", None)
    if items:
        check_depth(body, items)
        check_stored_items(items, "items")
    return asked


def conversation_object(conversation_id: str, created_at: int, metadata: bytes) -> dict[str, Any]:
    """A conversation as clients see it; `metadata` is JSON that was stored."""
    return {
        "id": conversation_id,
        "object": "conversation",
        "created_at": created_at,
        "metadata": msgspec.Raw(metadata),
    }
