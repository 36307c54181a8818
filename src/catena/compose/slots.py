"""Where an item stands in the output, and the events that every item has there: its first and its last."""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from catena.wire import events as ev
from catena.wire.response import Item

__all__ = ["Counter", "ItemStatus", "OpenItem", "Slot"]

ItemStatus: TypeAlias = Literal["completed", "incomplete"]


class Counter:
    """The sequence numbers of one response."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def take(self) -> int:
        number = self.value
        self.value = number + 1
        return number


class Slot(msgspec.Struct, frozen=True):
    """An item's id and its place in the output, with the numbers that its events take."""

    id: str
    index: int
    counter: Counter

    def here(self, **which: int) -> dict[str, Any]:
        """What the next event says of where it belongs: the item, and which of its parts."""
        return {
            "item_id": self.id,
            "output_index": self.index,
            "sequence_number": self.counter.take(),
            **which,
        }

    def added(self, item: Item) -> ev.OutputItemAdded:
        """The item is announced."""
        return ev.OutputItemAdded(item=item, output_index=self.index, sequence_number=self.counter.take())

    def done(self, item: Item) -> ev.OutputItemDone:
        """The item is final."""
        return ev.OutputItemDone(item=item, output_index=self.index, sequence_number=self.counter.take())


class OpenItem(Protocol):
    """What the fold needs of any item under construction."""

    index: int

    def open(self) -> list[ev.Event]: ...
    def close(self, status: ItemStatus) -> list[ev.Event]: ...
    def partial(self) -> Item: ...
