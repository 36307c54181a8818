"""What of a turn's items an engine is shown.

A compaction stands for everything before it. Only calls that still wait are shown besides, right behind it, for the
outputs that come later would else answer nothing. And an output that comes later than right behind its call is marked,
for the dialects in which both must stand together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

import msgspec

from catena.context.ledger import LATE, OpenCalls, call_id_of, is_late
from catena.tool_shapes import is_call, is_output
from catena.wire.response import Item

__all__ = ["STANDING", "Reads", "View", "is_talk", "shown", "standing"]

Reads: TypeAlias = Callable[[Item], bool]
"""Whether an engine can be shown what is in a compaction item."""

STANDING: Final = frozenset({"additional_tools", "compaction", "configuration_update"})
"""The items, besides system messages, that say how to go on rather than what was said."""

_RULING: Final = ("system", "developer")


class View(msgspec.Struct, frozen=True):
    """`items` are shown. If it `begins` anew, nothing that came before is."""

    items: Sequence[Item]
    begins: bool = False


def is_talk(items: Iterable[Item]) -> bool:
    """Whether these are nothing but messages: then nothing has to be looked for in them that is no message."""
    for item in items:  # noqa: SIM110 - all() with a generator takes three times as long
        if item.get("type") != "message":
            return False
    return True


def shown(before: OpenCalls, items: Sequence[Item], reads: Reads, *, follows: bool) -> View:
    """The view of a turn below calls that wait; `follows` says that other turns came before it."""
    compacted, late = False, bool(before) and any(map(is_late, before.values()))
    for item in items:
        compacted |= item.get("type") == "compaction"
        late |= "async" in item
    place = -1
    if compacted:
        place = _last_compaction(items, reads)
        items, place = _without_unread(items, place, reads, follows=follows)
    if place > 0:
        items = [items[place], *_waiting(items[:place]), *items[place + 1 :]]
    return View(_marked(before, items) if late else items, begins=place >= 0)


def standing(items: Sequence[Item]) -> Sequence[Item]:
    """Those of the items that stay in force when their turn is dropped."""
    return [item for item in items if item.get("role") in _RULING or item.get("type") in STANDING]


def _last_compaction(items: Sequence[Item], reads: Reads) -> int:
    for place in range(len(items) - 1, -1, -1):
        if items[place].get("type") == "compaction" and reads(items[place]):
            return place
    return -1


def _without_unread(
    items: Sequence[Item], place: int, reads: Reads, *, follows: bool
) -> tuple[Sequence[Item], int]:
    """Without the compactions that cannot be read where all that they stand for is shown itself."""
    kept: list[Item] = []
    for at, item in enumerate(items):
        unread = item.get("type") == "compaction" and not reads(item)
        if unread and (follows or kept):
            place -= at < place
        else:
            kept.append(item)
    return kept, place


def _waiting(items: Sequence[Item]) -> list[Item]:
    """The calls among the items that have no output among them."""
    answered = {call_id_of(item) for item in items if is_output(item)}
    return [item for item in items if is_call(item) and call_id_of(item) not in answered]


def _marked(before: OpenCalls, items: Sequence[Item]) -> Sequence[Item]:
    late = {call_id for call_id, kind in before.items() if is_late(kind)}
    marked: list[Item] = []
    for item in items:
        if is_call(item) and item.get("async"):
            late.add(call_id_of(item))
        elif is_output(item) and call_id_of(item) in late:
            item = {**item, LATE: True}
        marked.append(item)
    return marked
