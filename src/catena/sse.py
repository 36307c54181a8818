"""Server-sent events: bytes to events and back, for the server, its engines and its client.

`encode` frames one event. `Decoder` takes a stream in whatever pieces the network cut it into and gives the
same events wherever the cuts are: inside a line ending, a character or a field. It follows the grammar of the
HTML standard (§9.2.6), except that `finish` still gives a last event whose blank line never came. `id` and
`retry` are ignored, as nobody here reconnects by them. What the data means is not known here: it stays bytes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

__all__ = ["Decoder", "EventTooLargeError", "ServerSentEvent", "encode"]

_BOM: Final = b"\xef\xbb\xbf"
_LIMIT: Final = 32 * 1024 * 1024


class ServerSentEvent(msgspec.Struct, frozen=True, gc=False):
    """One event; `event` is "" where the stream gave it no name."""

    event: str
    data: bytes


class EventTooLargeError(ValueError):
    """An event of the stream is larger than what is allowed."""


def encode(event_type: str, data: bytes) -> bytes:
    """One event in one piece; without an `event` line if `event_type` is "".

    Data with line breaks is told as several `data` lines, which every decoder joins again (by LF).
    """
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"))
    return b"%b%b\n\n" % (_prefix(event_type), data)


@lru_cache(maxsize=256)
def _prefix(event_type: str) -> bytes:
    if "\n" in event_type or "\r" in event_type:
        raise ValueError("an event's name is one line")
    return f"event: {event_type}\ndata: ".encode() if event_type else b"data: "


class Decoder:
    """Gives the events of one stream; `limit` bounds a single event in bytes, and so what is held back."""

    __slots__ = ("_after_cr", "_held", "_held_size", "_limit", "_start")

    def __init__(self, *, limit: int = _LIMIT) -> None:
        self._limit = limit
        self._held: list[bytes] = []
        self._held_size = 0
        self._after_cr = False
        self._start: bytes | None = b""

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """The events that `data` completes. Raises EventTooLargeError; then the stream is of no more use."""
        if self._start is not None:
            data = self._without_bom(data)
        if self._after_cr or b"\r" in data:
            data = self._with_lf(data)
        if not self._held and len(data) <= self._limit and data.startswith(b"data: "):
            if data.find(b"\n") == len(data) - 2 and data.endswith(b"\n"):
                # One event of one line, as most pieces are of a stream that is told word by word.
                return [ServerSentEvent("", data[6:-2])]
            if lines := _lines(data):
                return [ServerSentEvent("", line) for line in lines]
        if self._held:
            if not self._completes(data):
                self._hold(data)
                return []
            data = b"".join((*self._held, data))
            self._held.clear()
            self._held_size = 0
        *blocks, rest = data.split(b"\n\n")
        if rest:
            self._hold(rest)
        return self._parse(blocks)

    def finish(self) -> list[ServerSentEvent]:
        """The last event, if the stream ended without its blank line. Its data may have been cut short."""
        rest = b"".join(self._held)
        self._held.clear()
        self._held_size = 0
        return self._parse([rest])

    def _without_bom(self, data: bytes) -> bytes:
        start = (self._start or b"") + data
        if len(start) < len(_BOM) and _BOM.startswith(start):
            self._start = start
            return b""
        self._start = None
        return start.removeprefix(_BOM)

    def _with_lf(self, data: bytes) -> bytes:
        """`data` with LF for every line ending; the LF of a CRLF that was cut in two is dropped."""
        if not data:
            return data
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
            self._after_cr = False
            if not data:
                return data
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _completes(self, data: bytes) -> bool:
        return b"\n\n" in data or (data.startswith(b"\n") and self._held[-1].endswith(b"\n"))

    def _hold(self, data: bytes) -> None:
        if not data:
            return
        self._held.append(data)
        self._held_size += len(data)
        # One LF before the event and one after it may be held too: each is half of a blank line.
        if self._held_size > self._limit + 2:
            raise EventTooLargeError(f"an event of the stream is larger than {self._limit} bytes")

    def _parse(self, blocks: list[bytes]) -> list[ServerSentEvent]:
        events = []
        for block in blocks:
            if len(block) > self._limit + 1:
                raise EventTooLargeError(f"an event of the stream is larger than {self._limit} bytes")
            if block.startswith(b"data: ") and b"\n" not in block:
                events.append(ServerSentEvent("", block[6:]))
            elif (event := _parse_lines(block)) is not None:
                events.append(event)
        return events


def _lines(data: bytes) -> list[bytes]:
    """What comes behind `data: ` in whole events of one line each; none if `data` is anything else."""
    lines = data[6:-2].split(b"\n\ndata: ")
    return lines if data.endswith(b"\n\n") and data.count(b"\n") == 2 * len(lines) else []


def _parse_lines(block: bytes) -> ServerSentEvent | None:
    name = b""
    data: list[bytes] = []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    # A block without data is no event, whatever its name (HTML §9.2.6, "dispatch the event").
    return ServerSentEvent(name.decode(errors="replace"), b"\n".join(data)) if data else None
