"""What an assistant says, as it comes."""

from __future__ import annotations

from typing import Any, Final

from catena.chunks import TextDelta
from catena.compose.slots import ItemStatus, Slot
from catena.wire import events as ev
from catena.wire.response import Item

__all__ = ["OpenMessage", "message_item"]

_NO_LOGPROBS: Final[list[dict[str, Any]]] = []
"""The same for every delta that has none, as there are thousands of them."""


def message_item(item_id: str, status: str, content: list[dict[str, Any]]) -> Item:
    """What an assistant says."""
    return {"id": item_id, "type": "message", "status": status, "role": "assistant", "content": content}


class OpenMessage:
    """An assistant message: text parts and refusal parts, one open at a time."""

    def __init__(self, slot: Slot, phase: str | None = None) -> None:
        self.index = slot.index
        self._slot = slot
        # A delta is told straight from these: there are thousands.
        self._id = slot.id
        self._counter = slot.counter
        self._phase = phase
        self._parts: list[dict[str, Any]] = []
        self._kind = ""
        self._pieces: list[str] = []
        self._logprobs: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def _item(self, status: str, content: list[dict[str, Any]]) -> Item:
        item = message_item(self._id, status, content)
        if self._phase is not None:
            item["phase"] = self._phase
        return item

    def _place(self) -> dict[str, Any]:
        return {
            "item_id": self._id,
            "output_index": self.index,
            "content_index": len(self._parts),
            "sequence_number": self._counter.take(),
        }

    def open(self) -> list[ev.Event]:
        return [self._slot.added(self._item("in_progress", []))]

    def text(self, chunk: TextDelta) -> list[ev.Event]:
        events = [] if self._kind == "output_text" else self._open_part("output_text")
        self._pieces.append(chunk.text)
        logprobs = chunk.logprobs
        if logprobs:
            self._logprobs += logprobs
        events.append(
            ev.TextDeltaEvent(
                item_id=self._id,
                output_index=self.index,
                content_index=len(self._parts),
                delta=chunk.text,
                logprobs=logprobs or _NO_LOGPROBS,
                sequence_number=self._counter.take(),
            )
        )
        return events

    def refusal(self, text: str) -> list[ev.Event]:
        events = [] if self._kind == "refusal" else self._open_part("refusal")
        self._pieces.append(text)
        events.append(ev.RefusalDeltaEvent(delta=text, **self._place()))
        return events

    def annotate(self, annotation: dict[str, Any]) -> list[ev.Event]:
        events = [] if self._kind == "output_text" else self._open_part("output_text")
        place = self._place()
        events.append(
            ev.AnnotationAdded(annotation_index=len(self._annotations), annotation=annotation, **place)
        )
        self._annotations.append(annotation)
        return events

    def _open_part(self, kind: str) -> list[ev.Event]:
        events = self.end_part()
        self._kind = kind
        events.append(ev.ContentPartAdded(part=self._part(), **self._place()))
        return events

    def _part(self) -> dict[str, Any]:
        text = "".join(self._pieces)
        if self._kind == "refusal":
            return {"type": "refusal", "refusal": text}
        return {
            "type": "output_text",
            "text": text,
            "annotations": list(self._annotations),
            "logprobs": list(self._logprobs),
        }

    def end_part(self) -> list[ev.Event]:
        """End the content part that is open, if any; a next piece begins a new one."""
        if not self._kind:
            return []
        part = self._part()
        done: ev.Event
        if self._kind == "refusal":
            done = ev.RefusalDone(refusal=part["refusal"], **self._place())
        else:
            done = ev.TextDone(text=part["text"], logprobs=part["logprobs"], **self._place())
        part_done = ev.ContentPartDone(part=part, **self._place())
        self._parts.append(part)
        self._kind = ""
        self._pieces, self._logprobs, self._annotations = [], [], []
        return [done, part_done]

    def close(self, status: ItemStatus) -> list[ev.Event]:
        events = self.end_part()
        events.append(self._slot.done(self._item(status, self._parts)))
        return events

    def partial(self) -> Item:
        content = [*self._parts, self._part()] if self._kind else list(self._parts)
        return self._item("incomplete", content)
