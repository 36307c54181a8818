"""What an engine thinks, as it comes."""

from __future__ import annotations

from typing import Any

from catena.compose.slots import ItemStatus, Slot
from catena.wire import events as ev
from catena.wire.response import Item

__all__ = ["OpenReasoning"]


class OpenReasoning:
    """A reasoning item: raw reasoning text, or a summary in parts, or neither."""

    def __init__(self, slot: Slot) -> None:
        self.index = slot.index
        self.encrypted_content: str | None = None
        self._slot = slot
        self._raw: list[str] = []
        self._summary: list[list[str]] = []
        self._summary_open = False
        self._summary_part = 0

    def _item(self, status: str) -> Item:
        # Open Responses forbids null for `content` and `encrypted_content`: they are there or absent.
        item: Item = {
            "id": self._slot.id,
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "".join(part)} for part in self._summary],
        }
        if self._raw:
            item["content"] = [{"type": "reasoning_text", "text": "".join(self._raw)}]
        if self.encrypted_content is not None:
            item["encrypted_content"] = self.encrypted_content
        if status == "incomplete":
            item["status"] = status
        return item

    def open(self) -> list[ev.Event]:
        return [self._slot.added(self._item("in_progress"))]

    def raw(self, text: str) -> list[ev.Event]:
        events: list[ev.Event] = []
        if not self._raw:
            part = {"type": "reasoning_text", "text": ""}
            events.append(ev.ContentPartAdded(part=part, **self._slot.here(content_index=0)))
        self._raw.append(text)
        events.append(ev.ReasoningDeltaEvent(delta=text, **self._slot.here(content_index=0)))
        return events

    def summary(self, text: str, part: int) -> list[ev.Event]:
        events: list[ev.Event] = []
        if not self._summary_open or part > self._summary_part:
            events += self._end_summary_part()
            self._summary.append([])
            self._summary_open = True
            self._summary_part = part  # an engine may leave numbers out
            empty = {"type": "summary_text", "text": ""}
            events.append(ev.SummaryPartAdded(part=empty, **self._summary_place()))
        self._summary[-1].append(text)
        events.append(ev.SummaryTextDelta(delta=text, **self._summary_place()))
        return events

    def _summary_place(self) -> dict[str, Any]:
        return self._slot.here(summary_index=len(self._summary) - 1)

    def _end_summary_part(self) -> list[ev.Event]:
        if not self._summary_open:
            return []
        self._summary_open = False
        text = "".join(self._summary[-1])
        return [
            ev.SummaryTextDone(text=text, **self._summary_place()),
            ev.SummaryPartDone(part={"type": "summary_text", "text": text}, **self._summary_place()),
        ]

    def close(self, status: ItemStatus) -> list[ev.Event]:
        events = self._end_summary_part()
        if self._raw:
            text = "".join(self._raw)
            part = {"type": "reasoning_text", "text": text}
            events.append(ev.ReasoningDone(text=text, **self._slot.here(content_index=0)))
            events.append(ev.ContentPartDone(part=part, **self._slot.here(content_index=0)))
        events.append(self._slot.done(self._item(status)))
        return events

    def partial(self) -> Item:
        return self._item("incomplete")
