"""A page of what a model saw, the items of every earlier turn and the response's own input, or of what is in a
conversation; newest or oldest first.

Only the turns that a page is on are looked into, and of a long chain only its end is read: the newest items are what is
asked for most.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence, Set
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from catena.errors import BadRequest
from catena.history import removed_by
from catena.store import Store, Turn
from catena.wire.response import Item

__all__ = ["ItemPage", "find_in_conversation", "page_of_context", "page_of_conversation", "unknown_place"]

_encode: Final = msgspec.json.Encoder().encode
_decode_items: Final = msgspec.json.Decoder(list[dict[str, Any]]).decode


class ItemPage(msgspec.Struct, frozen=True):
    """Some items of a list, and whether there are more behind them."""

    items: Sequence[Item]
    has_more: bool


async def page_of_context(
    store: Store, project: str, turn_id: str, *, limit: int, after: str | None, ascending: bool
) -> ItemPage:
    """`limit` of the items that the model of a turn saw, at most, behind the one with the id `after`.

    Raises BadRequest if there is no such item, and PreviousResponseNotFound if there is no such turn.
    """

    async def read(most: int | None) -> Sequence[Turn]:
        *earlier, own = await store.load_chain(project, turn_id, most=most)
        return [*earlier, replace(own, output=b"[]")]

    return await _page(read, limit, after, ascending=ascending)


async def page_of_conversation(
    store: Store, project: str, conversation_id: str, *, limit: int, after: str | None, ascending: bool
) -> ItemPage:
    """The same of what is in a conversation. Raises BadRequest, or ConversationNotFound."""

    async def read(most: int | None) -> Sequence[Turn]:
        return await store.conversation_chain(project, conversation_id, most=most)

    return await _page(read, limit, after, ascending=ascending)


async def find_in_conversation(store: Store, project: str, conversation_id: str, item_id: str) -> Item | None:
    """An item that is in a conversation; None if it is not. Raises ConversationNotFound."""
    for part in _parts(await store.conversation_chain(project, conversation_id), ascending=True):
        if part.may_have(item_id):
            for item in part.items():
                if item.get("id") == item_id:
                    return item
    return None


def unknown_place(after: str) -> BadRequest:
    """What is said of a page behind an item that is not in its list."""
    return BadRequest(
        f"Invalid 'after': no item with id '{after}' in this list.", param="after", code="invalid_value"
    )


async def _page(
    read: Callable[[int | None], Awaitable[Sequence[Turn]]], limit: int, after: str | None, *, ascending: bool
) -> ItemPage:
    """Of the turns that `read` gives, which may read only so many of the newest."""
    # Nearly every turn has an input and an output.
    most = None if ascending else limit // 2 + 2
    turns = await read(most)
    found = _behind(after, _in_order(turns, ascending), limit + 1)
    if len(turns) == most and (found is None or len(found) <= limit):
        found = _behind(after, _in_order(await read(None), ascending), limit + 1)
    if found is None:
        raise unknown_place(str(after))
    return ItemPage(found[:limit], has_more=len(found) > limit)


def _in_order(turns: Sequence[Turn], ascending: bool) -> Iterable[_Part]:
    parts = _parts(turns, ascending)
    return reversed([*parts]) if ascending else parts


class _Part(msgspec.Struct, frozen=True):
    """What of a page's list is one turn's. `gone` are the ids of the items that later turns have taken out."""

    turn: Turn
    gone: Set[str]
    ascending: bool

    def may_have(self, item_id: str) -> bool:
        """Whether the id stands in it, which is seen soonest in the bytes."""
        name = _encode(item_id)[1:-1]
        return name in self.turn.input or name in self.turn.output

    def items(self) -> list[Item]:
        items = [*_decode_items(self.turn.input), *_decode_items(self.turn.output)]
        if self.gone:
            items = [item for item in items if item["id"] not in self.gone]
        return items if self.ascending else items[::-1]


def _parts(turns: Sequence[Turn], ascending: bool) -> Iterator[_Part]:
    """The newest turn first."""
    gone: frozenset[str] = frozenset()
    for turn in reversed(turns):
        yield _Part(turn, gone, ascending)
        gone = gone.union(removed_by(turn))


def _behind(after: str | None, parts: Iterable[_Part], most: int) -> list[Item] | None:
    """Up to `most` items behind the one with the id `after`, and perhaps a few more; None if that is not there."""
    found: list[Item] | None = [] if after is None else None
    for part in parts:
        if found is not None:
            found += part.items()
        elif after is not None and part.may_have(after):
            items = part.items()
            ids = [item["id"] for item in items]
            found = items[ids.index(after) + 1 :] if after in ids else None
        if found is not None and len(found) >= most:
            break
    return found
