"""A whole context as an engine is to see it, and the same without its oldest turns.

Turns are dropped whole, from the oldest on, and only together with everything that would be left half: never a call
without its output, never the other way round. What says how to go on stays: the request's instructions, system
messages, a summary. The new input is never cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from catena.context.chain import Link, Writer, ancestry, fragments
from catena.context.ledger import NOTHING_OPEN, OpenCalls
from catena.wire.response import Item

__all__ = ["NOTHING_CUT", "Context", "Cut"]


class Cut(NamedTuple):
    """So many of the oldest turns, which have so many bytes."""

    turns: int
    size: int


NOTHING_CUT: Final = Cut(0, 0)


class Context(msgspec.Struct, frozen=True):
    """`lead`, then the turns of the chain that ends in `link`, then `own`: the fragments of the new input.

    `waiting` are the calls that wait after the new input, `standing` the items of it that stay in force.
    """

    lead: Sequence[bytes]
    link: Link | None
    own: Sequence[bytes]
    writer: Writer
    waiting: OpenCalls = NOTHING_OPEN
    standing: Sequence[Item] = ()

    def turns(self) -> list[Link]:
        """The turns that are shown, oldest first."""
        turns: list[Link] = []
        for each in ancestry(self.link):
            turns.append(each)
            if each.begins:
                break
        turns.reverse()
        return turns

    def cuts(self) -> Sequence[Cut]:
        """What may be dropped of it, in growing numbers.

        After each cut no kept output belongs to a dropped call: what waits there waits at the end as well.
        """
        cuts: list[Cut] = []
        size, waiting = 0, self.waiting
        for number, turn in enumerate(self.turns(), start=1):
            size += turn.end - turn.begin
            if all(waiting.get(call_id) == kind for call_id, kind in turn.open_calls.items()):
                cuts.append(Cut(number, size))
        return cuts

    def fragments(self, dropped: int = 0) -> list[bytes]:
        """The context, rendered, without so many of its oldest turns."""
        if not dropped:
            return [*self.lead, *fragments(self.link), *filter(None, self.own)]
        turns = self.turns()
        standing = [item for turn in turns[:dropped] for item in turn.standing]
        pieces = [
            *self.lead,
            self.writer.render(standing) if standing else b"",
            *(turn.fragment for turn in turns[dropped:]),
            *self.own,
        ]
        return [piece for piece in pieces if piece]
