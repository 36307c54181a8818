"""A chain as links: each knows where its own turn's rendered fragment stands, and points at its parent's link.

Never a copy of the whole, or memory would grow with the square of the depth (`trail`). A link also knows what the next
turn must: which calls wait for outputs, which ids are taken, which model spoke. Branches share links.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeAlias

import msgspec
from msgspec.structs import replace

from catena.context.in_force import NOTHING_SET, Configuration, configured
from catena.context.ledger import (
    NOTHING_OPEN,
    OpenCalls,
    check_input,
    check_outputs,
    due,
    open_after,
    without_bare_reasoning,
    without_orphans,
)
from catena.context.media import joined
from catena.context.offer import added_tools
from catena.context.trail import Trail
from catena.context.view import Reads, is_talk, shown, standing
from catena.ids import item_home
from catena.wire import wording
from catena.wire.response import Item
from catena.wire.tools import Tool

__all__ = [
    "ChainTurn",
    "Link",
    "Render",
    "Writer",
    "admit",
    "admit_part",
    "ancestry",
    "fragments",
    "link_chain",
    "link_turn",
    "without_removed",
]

Render: TypeAlias = Callable[[Sequence[Item]], bytes]
"""Renders items to a fragment: JSON objects joined by commas, without brackets; empty for none."""


_NO_IDS: Final[frozenset[str]] = frozenset()


def _anything(item: Item) -> bool:
    return True


def _nothing(items: Sequence[Item]) -> Sequence[str]:
    return ()


class Writer(msgspec.Struct, frozen=True):
    """How a context is written down for one dialect and one project.

    `reads` says which compactions can be written down; `withheld` are the ids of the reasoning that is left out.
    """

    render: Render
    reads: Reads = _anything
    withheld: Callable[[Sequence[Item]], Sequence[str]] = _nothing


class ChainTurn(msgspec.Struct, frozen=True):
    """What a chain needs of a stored turn.

    `removed` are the ids of earlier items that it takes out of a conversation. `thinned` are those of its own that a
    later turn has taken out; `revised` says that the turns above it were not what they are here when it was the last.
    """

    id: str
    model: str
    input: Sequence[Item]
    output: Sequence[Item]
    deleted: bool = False
    removed: Sequence[str] = ()
    thinned: frozenset[str] = frozenset()
    revised: bool = False


class Link(msgspec.Struct, frozen=True):
    """One turn in a chain, rendered for one dialect. `tools` are those that the chain has added up to here, and
    `configuration` what it has set.

    If it `begins`, nothing of the turns before it is shown: they were compacted. `standing` are its items that stay in
    force when it is dropped, `withheld` the ids of reasoning in it that the engine is not shown.

    `size` is that of what this link adds to its parent's, in bytes. `thinned` are the ids of items that are here no
    more. With `revised`, this is the turn as those below it see it, but not as a chain that ends in it does.
    """

    turn_id: str
    parent: Link | None
    trail: Trail
    begin: int
    end: int
    model: str
    depth: int
    open_calls: OpenCalls = NOTHING_OPEN
    foreign_ids: frozenset[str] = frozenset()
    tools: Sequence[Tool] = ()
    thinned: frozenset[str] = frozenset()
    revised: bool = False
    begins: bool = False
    standing: Sequence[Item] = ()
    withheld: Sequence[str] = ()
    configuration: Configuration = NOTHING_SET

    @property
    def fragment(self) -> bytes:
        """The turn, rendered."""
        return self.trail.between(self.begin, self.end)

    @property
    def size(self) -> int:
        inherited = self.tools is (self.parent.tools if self.parent is not None else ())
        return self.end - self.begin + 400 + (0 if inherited else len(msgspec.json.encode(self.tools)))


_BEFORE_ALL: Final = Link(turn_id="", parent=None, trail=Trail(b""), begin=0, end=0, model="", depth=0)
"""What a first turn comes after."""


def ancestry(link: Link | None) -> Iterator[Link]:
    """The links from the tip to the root."""
    while link is not None:
        yield link
        link = link.parent


def fragments(link: Link | None) -> list[bytes]:
    """The rendered history, oldest first, from the last compaction on."""
    return [] if link is None else link.trail.until(link.end)


def admit(link: Link | None, items: Sequence[Item]) -> None:
    """Check new input against the chain that it continues, before anything is stored or asked.

    Raises BadRequest for a call without output, an output without call, reasoning without its follower, or an id
    that the chain already has.
    """
    check_input(link.open_calls if link is not None else NOTHING_OPEN, items)
    _check_unique(link, items)


def admit_part(link: Link | None, items: Sequence[Item]) -> None:
    """Check items that are put into a conversation without asking a model, so that more may have to follow.

    Raises BadRequest for an output without call, or an id that the conversation already has.
    """
    check_outputs(link.open_calls if link is not None else NOTHING_OPEN, items)
    _check_unique(link, items)


def _check_unique(link: Link | None, items: Sequence[Item]) -> None:
    taken = {str(item["id"]) for item in items if "id" in item}
    if not taken:
        return
    homes: dict[str, set[str]] = {}
    for item_id in taken:
        homes.setdefault(item_home(item_id) or "", set()).add(item_id)
    for each in ancestry(link):
        here = homes.get(each.turn_id[-50:-4], set()) - each.thinned | taken & each.foreign_ids
        for doubled in here:
            raise wording.duplicate_item(doubled)


def link_turn(parent: Link | None, turn: ChainTurn, writer: Writer, written: bytes | None = None) -> Link:
    """The link of a turn below `parent`. `written` is the fragment of its input, where the writer was asked before."""
    items = [*turn.input, *turn.output]
    before = _BEFORE_ALL if parent is None else parent
    if is_talk(items):
        # Messages change nothing that a chain goes by, and each is written down by itself.
        fragment = writer.render(items) if written is None else joined(written, writer.render(turn.output))
        trail, begin, end = before.trail.followed(before.end, fragment, anew=parent is None)
        return Link(
            turn_id=turn.id,
            parent=parent,
            trail=trail,
            begin=begin,
            end=end,
            model=turn.model or before.model,
            depth=before.depth + 1,
            open_calls=before.open_calls,
            foreign_ids=_foreign_ids(turn),
            tools=before.tools,
            thinned=turn.thinned,
            revised=turn.revised,
            standing=standing(turn.input),
            configuration=before.configuration,
        )
    view = shown(before.open_calls, items, writer.reads, follows=parent is not None)
    added = added_tools(items)
    anew = parent is None or view.begins
    trail, begin, end = before.trail.followed(before.end, writer.render(view.items), anew=anew)
    return Link(
        turn_id=turn.id,
        parent=parent,
        trail=trail,
        begin=begin,
        end=end,
        model=turn.model or before.model,
        depth=before.depth + 1,
        open_calls=open_after(before.open_calls, items),
        foreign_ids=_foreign_ids(turn),
        tools=(*before.tools, *added) if added else before.tools,
        thinned=turn.thinned,
        revised=turn.revised,
        begins=view.begins,
        standing=standing(view.items),
        withheld=writer.withheld(view.items),
        configuration=configured(before.configuration, items),
    )


def _foreign_ids(turn: ChainTurn) -> frozenset[str]:
    stem = turn.id[-50:-4]
    ids = [item["id"] for item in turn.input if "id" in item and item["id"][-50:-4] != stem]
    return frozenset(ids) if ids else _NO_IDS


def without_removed(turns: Sequence[ChainTurn]) -> Sequence[ChainTurn]:
    """The turns of a chain, oldest first, without the items that later ones have taken out."""
    if not any(turn.removed for turn in turns):
        return turns
    gone: set[str] = set()
    kept: list[ChainTurn] = []
    for turn in reversed(turns):
        kept.append(_thinned(turn, gone) if gone else turn)
        gone.update(turn.removed)
    kept.reverse()
    return _revised(kept)


def _thinned(turn: ChainTurn, gone: set[str]) -> ChainTurn:
    here = frozenset(item["id"] for item in (*turn.input, *turn.output) if item.get("id") in gone)
    if not here:
        return turn
    left = [[item for item in items if item.get("id") not in here] for items in (turn.input, turn.output)]
    return replace(turn, input=left[0], output=left[1], thinned=here)


def _revised(turns: Sequence[ChainTurn]) -> Sequence[ChainTurn]:
    """From the first turn that has lost something to the last one that took something out, none is as it was."""
    thinned = [place for place, turn in enumerate(turns) if turn.thinned]
    last = max(place for place, turn in enumerate(turns) if turn.removed)
    first = thinned[0] if thinned else last
    return [
        replace(turn, revised=True) if first <= place < last else turn for place, turn in enumerate(turns)
    ]


def link_chain(turns: Sequence[ChainTurn], writer: Writer) -> Link | None:
    """The links of a whole stored chain, oldest first; the tip's is returned.

    Deleted turns are passed over, and with them the other halves of the pairs of calls and outputs that they
    shared with their neighbours. An item that was taken out is passed over, and an output whose call was; a call
    whose output was taken out waits for one again. None if every turn was deleted.
    """
    turns = without_removed(turns)
    tip: Link | None = None
    gap = False
    for position, turn in enumerate(turns):
        if turn.deleted:
            gap = True
            continue
        if gap or _before_a_gap(turns, position):
            turn = _mended(tip.open_calls if tip is not None else NOTHING_OPEN, turn, turns[position + 1 :])
        elif turn.revised or turn.thinned:
            turn = _without_orphans(tip.open_calls if tip is not None else NOTHING_OPEN, turn, ())
        tip = link_turn(tip, turn, writer)
    return tip


def _before_a_gap(turns: Sequence[ChainTurn], position: int) -> bool:
    return position + 1 < len(turns) and turns[position + 1].deleted


def _mended(before: OpenCalls, turn: ChainTurn, rest: Sequence[ChainTurn]) -> ChainTurn:
    # A deleted turn had to answer all calls that were due before it, or it would not have been accepted.
    lost = bool(rest) and rest[0].deleted
    answered = due(open_after(before, [*turn.input, *turn.output])) if lost else ()
    return _without_orphans(before, replace(turn, revised=True) if lost else turn, answered)


def _without_orphans(before: OpenCalls, turn: ChainTurn, answered: Iterable[str]) -> ChainTurn:
    kept = without_orphans(before, turn.input, answered)
    between = open_after(before, kept)
    output = without_orphans(between, turn.output, answered)
    return replace(turn, input=kept, output=without_bare_reasoning(output) if turn.thinned else output)
