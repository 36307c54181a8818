"""Whether what a client heard in two parts, before its connection broke and after, is one stream: all of it, in order,
each event once. A server that is fast and loses something has no figures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

__all__ = ["Torn", "check_joined", "number_of"]

_NUMBER: Final = re.compile(rb'"sequence_number":\s*(\d+)')


class Torn(RuntimeError):
    """The parts do not make up one stream."""


def number_of(event: bytes) -> int:
    """The sequence number of an event. Raises Torn if it has none."""
    found = _NUMBER.search(event)
    if found is None:
        raise Torn(f"an event without a number: {event[:200]!r}")
    return int(found[1])


def check_joined(before: Sequence[bytes], after: Sequence[bytes], *, deltas: int) -> None:
    """Raise Torn unless these events are one completed response of so many deltas, whose text is that of its deltas."""
    events = [*before, *after]
    for place, event in enumerate(events):
        if (number := number_of(event)) != place:
            where = "before the break" if place < len(before) else "after it"
            raise Torn(f"event {number} in place of {place}, {where}")
    told = [msgspec.json.decode(event.split(b"data: ", 1)[1]) for event in events]
    if not told or told[-1]["type"] != "response.completed":
        raise Torn("the end is missing")
    pieces = [event["delta"] for event in told if event["type"] == "response.output_text.delta"]
    if len(pieces) != deltas:
        raise Torn(f"{len(pieces)} of {deltas} deltas")
    text = told[-1]["response"]["output"][0]["content"][0]["text"]
    if "".join(pieces) != text:
        raise Torn("the deltas are not the text that the response has at its end")
