"""What one connection remembers by itself: the latest response of each lane, if it is not stored.

With it a chain of `store: false` goes on for as long as its connection lasts. What is stored is not kept here; chains
may begin there, and such a part is looked up again each time, so that what was deleted meanwhile is not seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from catena.context.chain import ChainTurn, Link, link_turn
from catena.history import History
from catena.planning import Plan
from catena.upstream import Dialect
from catena.wire.response import Response

__all__ = ["Kept", "Recall"]


class Kept(msgspec.Struct, frozen=True):
    """A turn that is nowhere else. `root` is the stored turn that its chain begins below, if there is one:
    what it continues, or what its conversation ended with."""

    turn: ChainTurn
    parent: Kept | None
    root: str | None
    dialect: Dialect
    link: Link

    def lineage(self) -> Sequence[ChainTurn]:
        """The turns that are kept here, oldest first."""
        turns = [self.turn]
        each = self.parent
        while each is not None:
            turns.append(each.turn)
            each = each.parent
        return turns[::-1]


class Recall:
    """The memory of one connection."""

    def __init__(self, project: str, history: History) -> None:
        self._project = project
        self._history = history
        self._latest: dict[str | None, Kept] = {}

    async def link(self, turn_id: str, dialect: Dialect) -> Link | None:
        """The chain that ends in a response that is kept here; None if it is not.

        Raises PreviousResponseNotFound if what the chain begins below is gone.
        """
        kept = self.find(turn_id)
        if kept is None:
            return None
        base = None
        if kept.root is not None:
            base = await self._history.resolve(self._project, kept.root, dialect)
        turns = kept.lineage()
        if kept.dialect == dialect and _ancestor(kept.link, len(turns)) is base:
            return kept.link
        link = base
        for turn in turns:
            link = link_turn(link, turn, self._history.writer(self._project, dialect))
        return link

    def find(self, turn_id: str | None) -> Kept | None:
        """What is kept of a response, if it is."""
        return next((kept for kept in self._latest.values() if kept.turn.id == turn_id), None)

    def keep(self, lane: str | None, plan: Plan, parent: Kept | None, response: Response) -> None:
        """A response has ended with an answer and is the latest of `lane`. `parent` is what was kept of the one that
        it continues, when it began."""
        if plan.stored:
            self._latest.pop(lane, None)
            return
        output = response.output
        assert not isinstance(output, msgspec.Raw)  # it was produced here
        turn = ChainTurn(response.id, response.model, plan.items, output)
        self._latest[lane] = Kept(
            turn=turn,
            parent=parent,
            root=(plan.tip or plan.request.previous_response_id) if parent is None else parent.root,
            dialect=plan.upstream.dialect,
            link=link_turn(plan.link, turn, self._history.writer(self._project, plan.upstream.dialect)),
        )

    def evict(self, lane: str | None, turn_id: object) -> None:
        """A continuation of `turn_id` failed on `lane`: if it was kept for that lane, it is no more."""
        kept = self._latest.get(lane)
        if kept is not None and kept.turn.id == turn_id:
            del self._latest[lane]


def _ancestor(link: Link, generations: int) -> Link | None:
    each: Link | None = link
    for _ in range(generations):
        each = each.parent if each is not None else None
    return each
