"""Items that an engine composes itself, passed on."""

from __future__ import annotations

from typing import Final

from catena.chunks import ItemEvent
from catena.compose.slots import ItemStatus, Slot
from catena.wire import events as ev
from catena.wire.response import Item

__all__ = ["PassedOnItem"]

# The only events of an item that name it by its place alone (spec §4.2.22).
_WITHOUT_ITEM_ID: Final = "response.shell_call_command."

# What an item is that was cut off, where the API knows no `incomplete` for its type.
_CUT_OFF: Final = {
    "apply_patch_call": "in_progress",
    "image_generation_call": "failed",
    "web_search_call": "failed",
}


class PassedOnItem:
    """An item that the engine composes itself (a hosted tool's): its events pass, renumbered."""

    def __init__(self, slot: Slot, item: Item) -> None:
        self.index = slot.index
        self._slot = slot
        self._latest: Item = {**item, "id": slot.id}

    def open(self) -> list[ev.Event]:
        return [self._slot.added(self._latest)]

    def event(self, chunk: ItemEvent) -> list[ev.Event]:
        data = {"type": chunk.type, **chunk.data, **self._slot.here()}
        if chunk.type.startswith(_WITHOUT_ITEM_ID):
            del data["item_id"]
        return [ev.PassedOn(chunk.type, data)]

    def final(self, item: Item) -> None:
        """The item in its final form has arrived; `close` tells it."""
        self._latest = {**item, "id": self._slot.id}

    def close(self, status: ItemStatus) -> list[ev.Event]:
        if status == "incomplete":
            self._latest = self.partial()
        elif self._latest.get("status") == "in_progress":
            self._latest = {**self._latest, "status": status}
        return [self._slot.done(self._latest)]

    def partial(self) -> Item:
        if self._latest.get("status", "completed") == "completed":
            return self._latest
        return {**self._latest, "status": _CUT_OFF.get(str(self._latest.get("type")), "incomplete")}
