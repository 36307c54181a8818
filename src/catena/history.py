"""The chain behind a request: from memory if it is there, else by one read of the store.

A history is whole or it is an error. What is kept in memory is only ever what was committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec

from catena.context import chat, responses
from catena.context.chain import ChainTurn, Link, link_chain, link_turn
from catena.errors import BadRequest, PreviousResponseNotFound
from catena.fold import TERMINAL
from catena.ids import tree_of
from catena.prefix import PrefixCache
from catena.store import Store, Turn
from catena.upstream import Dialect
from catena.wire.request import CreateRequest
from catena.wire.response import Item

__all__ = ["RENDERINGS", "History", "Rendering"]


class Rendering(Protocol):
    """How one dialect writes a context down; each is a module of `context`."""

    def render(self, items: Sequence[Item]) -> bytes: ...
    def lead(self, request: CreateRequest) -> list[bytes]: ...
    def options(self, request: CreateRequest) -> dict[str, Any]: ...


RENDERINGS: Final[dict[Dialect, Rendering]] = {"chat": chat, "responses": responses}

_decode_items = msgspec.json.Decoder(list[dict[str, Any]]).decode


class History:
    """Finds, extends and forgets the rendered chains of turns."""

    def __init__(self, store: Store, cache: PrefixCache) -> None:
        self._store = store
        self._cache = cache

    async def resolve(self, project: str, turn_id: str, dialect: Dialect) -> Link | None:
        """The chain that ends in `turn_id`; None if nothing is left of it.

        Raises PreviousResponseNotFound, or BadRequest while that turn is still running.
        """
        tree = tree_of(turn_id)
        if tree is None:
            raise PreviousResponseNotFound(turn_id)
        link = self._cache.get(project, tree, dialect, turn_id)
        if link is not None:
            return link
        turns = await self._store.load_chain(project, turn_id)
        _check_ready(turns[-1])
        link = link_chain([_chain_turn(turn) for turn in turns], RENDERINGS[dialect].render)
        if link is not None and not any(turn.deleted for turn in turns):
            self._cache.put(project, tree, dialect, link)
        return link

    def extend(self, project: str, parent: Link | None, turn: ChainTurn, dialect: Dialect) -> None:
        """Keep the link of a turn that was just committed below `parent`."""
        link = link_turn(parent, turn, RENDERINGS[dialect].render)
        tree = tree_of(turn.id)
        assert tree is not None
        self._cache.put(project, tree, dialect, link)

    def clear(self) -> None:
        """Many things were deleted."""
        self._cache.clear()

    def forget(self, project: str, turn_id: str) -> None:
        """Something in the tree of `turn_id` was deleted."""
        tree = tree_of(turn_id)
        if tree is not None:
            self._cache.forget(project, tree)


def _check_ready(turn: Turn) -> None:
    if turn.status not in TERMINAL:
        raise BadRequest(
            f"Previous response with id '{turn.id}' is still in progress.",
            param="previous_response_id",
            code="previous_response_not_ready",
        )


def _chain_turn(turn: Turn) -> ChainTurn:
    if turn.deleted:
        return ChainTurn(turn.id, turn.model, (), (), deleted=True)
    return ChainTurn(turn.id, turn.model, _decode_items(turn.input), _decode_items(turn.output))
