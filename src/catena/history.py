"""The chain behind a request: from memory if it is there, else by one read of the store.

A history is whole or it is an error. What is kept in memory is only ever what was committed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from functools import partial
from typing import Any, Final

import msgspec

from catena.context import chat, responses
from catena.context.chain import ChainTurn, Link, Writer, link_chain, link_turn, without_removed
from catena.context.offer import Offer
from catena.context.sealed import Opener, is_foreign, opened, summary_in
from catena.errors import BadRequest, PreviousResponseNotFound
from catena.fold import TERMINAL
from catena.ids import tree_of
from catena.prefix import PrefixCache
from catena.seal import Seals
from catena.store import Conversation, Store, Turn
from catena.upstream import Dialect
from catena.vault import Vault
from catena.wire.request import CreateRequest
from catena.wire.response import Item
from catena.wire.tools import Tool

__all__ = ["RENDERINGS", "History", "Rendering", "chain_turns", "removed_by"]


class Rendering(msgspec.Struct, frozen=True):
    """How one dialect writes a context down; what a module of `context` has."""

    render: Callable[[Sequence[Item]], bytes]
    withheld: Callable[[Sequence[Item]], Sequence[str]]
    lead: Callable[[CreateRequest], list[bytes]]
    offer: Callable[[CreateRequest, Sequence[Tool], Set[str]], Offer]
    options: Callable[[CreateRequest, Offer], dict[str, Any]]

    def writer(self, opener: Opener, *, reads_all: bool) -> Writer:
        """It writes down what `opener` opens. With `reads_all`, its engines open what they sealed themselves."""
        return Writer(
            render=lambda items: self.render(opened(items, opener)),
            reads=lambda item: bool(summary_in(item, opener)) or (reads_all and is_foreign(item, opener)),
            withheld=lambda items: self.withheld(opened(items, opener)),
        )


def _chat(reasoning_field: str | None) -> Rendering:
    return Rendering(
        partial(chat.render, reasoning_field=reasoning_field),
        partial(chat.withheld, reasoning_field=reasoning_field),
        chat.lead,
        chat.offer,
        chat.options,
    )


RENDERINGS: Final[dict[Dialect, Rendering]] = {
    "chat": _chat(None),
    "chat/reasoning": _chat("reasoning"),
    "chat/reasoning_content": _chat("reasoning_content"),
    "responses": Rendering(
        responses.render, responses.withheld, responses.lead, responses.offer, responses.options
    ),
}

_MOST_WRITERS: Final = 10_000
"""How many are kept at once, as every end user has their own."""

_MOST_TREES: Final = 100_000
"""Of how many trees it is known at once that something was removed from them."""

_decode_items = msgspec.json.Decoder(list[dict[str, Any]]).decode


class _Removal(msgspec.Struct, frozen=True):
    """The fields of a turn that changed the items of a conversation by hand."""

    removed: Sequence[str] = ()


_decode_removal = msgspec.json.Decoder(_Removal).decode


class History:
    """Finds, extends and forgets the rendered chains of turns. `vault` seals and opens what clients carry for us."""

    def __init__(self, store: Store, cache: PrefixCache, vault: Vault | None = None) -> None:
        self._store = store
        self._cache = cache
        self._removals: dict[str, int] = {}
        self._writers: dict[tuple[str, Dialect], Writer] = {}
        self.vault = vault or Vault(Seals())

    def writer(self, project: str, dialect: Dialect) -> Writer:
        """How the contexts of a project are written down in a dialect."""
        writer = self._writers.get((project, dialect))
        if writer is None:
            if len(self._writers) >= _MOST_WRITERS:
                self._writers.clear()
            opener = self.vault.opener(project)
            writer = RENDERINGS[dialect].writer(opener, reads_all=dialect == "responses")
            self._writers[project, dialect] = writer
        return writer

    async def resolve(self, project: str, turn_id: str, dialect: Dialect) -> Link | None:
        """The chain that ends in `turn_id`; None if nothing is left of it.

        Raises PreviousResponseNotFound, or BadRequest while that turn is still running.
        """
        tree = tree_of(turn_id)
        if tree is None:
            raise PreviousResponseNotFound(turn_id)
        await self._check_memory(project, tree)
        link = self._cache.get(project, tree, dialect, turn_id)
        if link is not None:
            return link
        since = self._cache.deletions
        turns = await self._store.load_chain(project, turn_id)
        _check_ready(turns[-1])
        return self._linked(project, tree, turns, dialect, since)

    async def resolve_conversation(
        self, project: str, conversation: Conversation, dialect: Dialect
    ) -> tuple[Link | None, str]:
        """The chain that a conversation ends, and the id of the turn that it ends with.

        Raises ConversationNotFound if it was deleted meanwhile.
        """
        tree = tree_of(conversation.id)
        assert tree is not None
        await self._check_memory(project, tree)
        link = self._cache.get(project, tree, dialect, conversation.tip)
        if link is not None:
            return link, conversation.tip
        since = self._cache.deletions
        turns = await self._store.conversation_chain(project, conversation.id)
        return self._linked(project, tree, turns, dialect, since), turns[-1].id

    async def outline(self, project: str, conversation: Conversation) -> tuple[Link | None, str]:
        """The same for who does not need it rendered: whichever rendering is kept, or none."""
        tree = tree_of(conversation.id)
        assert tree is not None
        await self._check_memory(project, tree)
        for dialect in RENDERINGS:
            link = self._cache.get(project, tree, dialect, conversation.tip)
            if link is not None:
                return link, conversation.tip
        turns = await self._store.conversation_chain(project, conversation.id)
        return link_chain([_chain_turn(turn) for turn in turns], Writer(lambda _: b"")), turns[-1].id

    async def _check_memory(self, project: str, tree: str) -> None:
        """Forget a tree that another server has removed something from."""
        peers = self._store.peers
        if peers is None or not self._cache.has(project, tree):
            return
        removals = await peers.removals(tree)
        if removals != self._removals.get(tree, 0):
            self._cache.forget(project, tree)
            if len(self._removals) >= _MOST_TREES:
                self._removals.clear()  # whose tree is kept is read once more
            self._removals[tree] = removals

    def grow(self, project: str, parent_id: str, turn: ChainTurn) -> None:
        """Keep the links of a turn that no model was asked for, in each dialect in which its parent's is kept."""
        tree = tree_of(turn.id)
        assert tree is not None
        for dialect in RENDERINGS:
            parent = self._cache.get(project, tree, dialect, parent_id)
            if parent is not None:
                self.extend(project, parent, turn, dialect)

    def _linked(
        self, project: str, tree: str, turns: Sequence[Turn], dialect: Dialect, since: int
    ) -> Link | None:
        link = link_chain([_chain_turn(turn) for turn in turns], self.writer(project, dialect))
        # What was deleted while the chain was read may still be in it.
        if link is not None and self._cache.deletions == since:
            self._cache.put(project, tree, dialect, link)
        return link

    def extend(
        self,
        project: str,
        parent: Link | None,
        turn: ChainTurn,
        dialect: Dialect,
        *,
        written: bytes | None = None,
    ) -> None:
        """Keep the link of a turn that was just committed below `parent`; `written` is its input, written down."""
        link = link_turn(parent, turn, self.writer(project, dialect), written)
        tree = tree_of(turn.id)
        assert tree is not None
        self._cache.grow(project, tree, dialect, link)

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


def chain_turns(turns: Sequence[Turn]) -> Sequence[ChainTurn]:
    """The turns of a stored chain with the items that are still in it."""
    return without_removed([_chain_turn(turn) for turn in turns])


def removed_by(turn: Turn) -> Sequence[str]:
    """The ids of the earlier items that a turn takes out of a conversation."""
    if turn.door != "conversation" or turn.deleted:
        return ()
    return _decode_removal(turn.fields).removed


def _chain_turn(turn: Turn) -> ChainTurn:
    if turn.deleted:
        return ChainTurn(turn.id, turn.model, (), (), deleted=True)
    return ChainTurn(
        turn.id,
        turn.model,
        _decode_items(turn.input),
        _decode_items(turn.output),
        removed=removed_by(turn),
    )
