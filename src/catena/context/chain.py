"""A chain as links: each holds its own turn's rendered fragment and points at its parent's link.

Never a copy of the whole, or memory would grow with the square of the depth. A link also knows what the next turn
must: which calls wait for outputs, which ids are taken, which model spoke. Links are immutable; branches share them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import msgspec

from catena.context.ledger import (
    NOTHING_OPEN,
    OpenCalls,
    check_input,
    due,
    open_after,
    without_orphans,
)
from catena.errors import BadRequest
from catena.ids import item_home
from catena.wire.response import Item

__all__ = ["ChainTurn", "Link", "Render", "admit", "fragments", "link_chain", "link_turn"]

Render: TypeAlias = Callable[[Sequence[Item]], bytes]
"""Renders items to a fragment: JSON objects joined by commas, without brackets; empty for none."""


class ChainTurn(msgspec.Struct, frozen=True):
    """What a chain needs of a stored turn."""

    id: str
    model: str
    input: Sequence[Item]
    output: Sequence[Item]
    deleted: bool = False


class Link(msgspec.Struct, frozen=True):
    """One turn in a chain, rendered for one dialect. `size` is that of the fragment alone, in bytes."""

    turn_id: str
    parent: Link | None
    fragment: bytes
    model: str
    depth: int
    open_calls: OpenCalls = NOTHING_OPEN
    foreign_ids: frozenset[str] = frozenset()

    @property
    def size(self) -> int:
        return len(self.fragment) + 400


def ancestry(link: Link | None) -> Iterator[Link]:
    """The links from the tip to the root."""
    while link is not None:
        yield link
        link = link.parent


def fragments(link: Link | None) -> list[bytes]:
    """The rendered history, oldest first."""
    history = [each.fragment for each in ancestry(link) if each.fragment]
    history.reverse()
    return history


def admit(link: Link | None, items: Sequence[Item]) -> None:
    """Check new input against the chain that it continues, before anything is stored or asked.

    Raises BadRequest for a call without output, an output without call, reasoning without its follower, or an id
    that the chain already has.
    """
    check_input(link.open_calls if link is not None else NOTHING_OPEN, items)
    given = [str(item["id"]) for item in items if "id" in item]
    if given and link is not None:
        _check_unique(link, given)


def _check_unique(link: Link, given: Sequence[str]) -> None:
    taken = set(given)
    homes = {home: item_id for item_id in given if (home := item_home(item_id)) is not None}
    for each in ancestry(link):
        doubled = homes.get(each.turn_id[-50:-4]) or next(iter(taken & each.foreign_ids), None)
        if doubled is not None:
            raise BadRequest(
                f"Duplicate item found with id {doubled}. Remove duplicate items from your input and try again.",
                param="input",
            )


def link_turn(parent: Link | None, turn: ChainTurn, render: Render, fragment: bytes | None = None) -> Link:
    """The link of a turn below `parent`; `fragment`, if it was rendered already, is not rendered again."""
    items = [*turn.input, *turn.output]
    before = parent.open_calls if parent is not None else NOTHING_OPEN
    stem = turn.id[-50:-4]
    return Link(
        turn_id=turn.id,
        parent=parent,
        fragment=render(items) if fragment is None else fragment,
        model=turn.model,
        depth=1 if parent is None else parent.depth + 1,
        open_calls=open_after(before, items),
        foreign_ids=frozenset(
            str(item["id"]) for item in turn.input if "id" in item and item["id"][-50:-4] != stem
        ),
    )


def link_chain(turns: Sequence[ChainTurn], render: Render) -> Link | None:
    """The links of a whole stored chain, oldest first; the tip's is returned.

    Deleted turns are passed over, and with them the other halves of the pairs of calls and outputs that they
    shared with their neighbours. None if every turn was deleted.
    """
    tip: Link | None = None
    gap = False
    for position, turn in enumerate(turns):
        if turn.deleted:
            gap = True
            continue
        if gap or _before_a_gap(turns, position):
            turn = _mended(tip.open_calls if tip is not None else NOTHING_OPEN, turn, turns[position + 1 :])
        tip = link_turn(tip, turn, render)
    return tip


def _before_a_gap(turns: Sequence[ChainTurn], position: int) -> bool:
    return position + 1 < len(turns) and turns[position + 1].deleted


def _mended(before: OpenCalls, turn: ChainTurn, rest: Sequence[ChainTurn]) -> ChainTurn:
    # A deleted turn had to answer all calls that were due before it, or it would not have been accepted.
    lost = bool(rest) and rest[0].deleted
    answered = due(open_after(before, [*turn.input, *turn.output])) if lost else ()
    kept = without_orphans(before, turn.input, answered)
    between = open_after(before, kept)
    return ChainTurn(turn.id, turn.model, kept, without_orphans(between, turn.output, answered))
