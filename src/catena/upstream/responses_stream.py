"""The stream of a Responses server, normalised to chunks.

Which item an event is about, in which order items are told, and how the response ends. Items that an engine tells
at the same time are put in a row: what is told of a later one waits until the earlier one is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from catena.chunks import Boundary, Chunk, Finish
from catena.upstream.faults import Faults
from catena.upstream.loose import object_in, objects_in, text_in
from catena.upstream.response_items import (
    CallItem,
    EngineItem,
    ItemPacket,
    MessageItem,
    engine_item,
    item_told_by,
)
from catena.upstream.tokens import usage_of_response

__all__ = ["ResponsesStream"]

_decode: Final = msgspec.json.Decoder(ItemPacket).decode

_TEXTS: Final = {"message", "reasoning"}
_ENDS: Final = ("completed", "incomplete", "failed", "cancelled")


class _Place:
    """An item in the row. `chunks` are what was told of it while another one had its turn."""

    __slots__ = ("chunks", "done", "item", "kind")

    def __init__(self, kind: str, item: EngineItem) -> None:
        self.kind = kind
        self.item = item
        self.done = False
        self.chunks: list[Chunk] = []


class ResponsesStream:
    """One answer of an engine. `finished` says that it told how it ended; without that, the answer was cut."""

    __slots__ = ("_at", "_called", "_faults", "_row", "_told", "finished")

    def __init__(self, faults: Faults) -> None:
        self.finished = False
        self._faults = faults
        self._at: dict[int, _Place] = {}
        self._row: list[_Place] = []
        self._told = 0
        self._called = False

    @property
    def over(self) -> bool:
        """Whether nothing more comes."""
        return self.finished

    def feed(self, data: bytes) -> list[Chunk]:
        """The chunks in the data of one event, or in a whole response.

        Raises UpstreamError for an error that the engine tells, and for what belongs to no response.
        """
        try:
            packet = _decode(data)
        except (msgspec.DecodeError, RecursionError):
            if data.strip() in (b"", b"[DONE]"):
                return []
            raise self._faults.garbage("sent what is not a response") from None
        if self.finished:
            return []
        if packet.type == "response.output_text.delta" and not packet.logprobs and len(self._row) == 1:
            place = self._at.get(packet.output_index or 0)
            if place is self._row[0] and type(place.item) is MessageItem and type(packet.delta) is str:
                return place.item.text(packet.delta)
        return self._read(packet, data)

    def _read(self, packet: ItemPacket, data: bytes) -> list[Chunk]:
        match packet.type:
            case "response.output_item.added":
                return self._added(packet.output_index or 0, self._typed(packet.item))
            case "response.output_item.done":
                return self._done(packet.output_index or 0, self._typed(packet.item))
            case "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled":
                return self._ended(packet)
            case "error":
                raise self._faults.told(msgspec.json.decode(data))
            case "" if packet.object == "response":
                return self._whole(msgspec.json.decode(data))
            case "" if packet.error is not None or packet.object == "error":
                raise self._faults.told(msgspec.json.decode(data))
            case kind if kind.startswith("response."):
                return self._event(packet, data)
            case _:
                return []

    # Items, and their turns

    def _typed(self, item: Mapping[str, Any] | None) -> Mapping[str, Any]:
        if item is None or not text_in(item.get("type")):
            raise self._faults.garbage("sent an item without a type")
        return item

    def _added(self, index: int, item: Mapping[str, Any]) -> list[Chunk]:
        chunks = self._left(index)
        place = self._put(index, item)
        return chunks + self._in_turn(place, place.item.begin(item))

    def _left(self, index: int) -> list[Chunk]:
        """An engine that announces an item where one is under way has left that one."""
        place = self._at.get(index)
        if place is None or place.done:
            return []
        chunks = self._in_turn(place, [Boundary()])
        place.done = True
        return chunks + self._next()

    def _event(self, packet: ItemPacket, data: bytes) -> list[Chunk]:
        index = packet.output_index or 0
        place = self._at.get(index)
        item = item_told_by(packet.type)
        chunks: list[Chunk] = []
        if item is not None and (place is None or {place.kind, item["type"]} == _TEXTS):
            # It was never announced, in the worst case under the index of another one.
            chunks = self._left(index)
            place = self._put(index, item)
        if place is None or place.done:
            return []
        return chunks + self._in_turn(place, place.item.event(packet, data))

    def _done(self, index: int, item: Mapping[str, Any]) -> list[Chunk]:
        place = self._at.get(index)
        if place is None or place.done:
            place = self._put(index, item)
            chunks = self._in_turn(place, place.item.begin(item))
        else:
            chunks = []
        chunks += self._in_turn(place, place.item.end(item))
        place.done = True
        return chunks + self._next()

    def _put(self, index: int, item: Mapping[str, Any]) -> _Place:
        self._at[index] = place = _Place(item["type"], engine_item(item, self._told))
        self._row.append(place)
        self._told += 1
        self._called = self._called or type(place.item) is CallItem
        return place

    def _in_turn(self, place: _Place, chunks: list[Chunk]) -> list[Chunk]:
        if place is self._row[0]:
            return chunks
        place.chunks += chunks
        return []

    def _next(self) -> list[Chunk]:
        """What the items may tell whose turn it is, now that the first one is done."""
        chunks: list[Chunk] = []
        while self._row and self._row[0].done:
            self._row.pop(0)
            if self._row:
                chunks += self._row[0].chunks
                self._row[0].chunks = []
        return chunks

    # The end

    def _ended(self, packet: ItemPacket) -> list[Chunk]:
        response = object_in(msgspec.json.decode(packet.response))
        if response.get("status") not in _ENDS:
            response["status"] = packet.type.removeprefix("response.")
        chunks = [chunk for place in self._row for chunk in place.chunks]
        self._row.clear()
        return chunks + self._whole(response)

    def _whole(self, response: Mapping[str, Any]) -> list[Chunk]:
        """The end of a response, and its output if nothing of it was told before."""
        status = response.get("status")
        if status not in _ENDS[:2]:
            error = response.get("error")
            raise self._faults.told(error) if error else self._faults.gave_up(str(status))
        chunks: list[Chunk] = []
        if not self._told:
            for index, item in enumerate(objects_in(response.get("output"))):
                chunks += self._done(index, self._typed(item))
        if isinstance(usage := response.get("usage"), dict):
            chunks.append(usage_of_response(usage))
        self.finished = True
        return [*chunks, Finish(self._reason(response))]

    def _reason(self, response: Mapping[str, Any]) -> str:
        if response.get("status") == "completed":
            return "tool_calls" if self._called else "stop"
        details = object_in(response.get("incomplete_details"))
        return "content_filter" if details.get("reason") == "content_filter" else "length"
