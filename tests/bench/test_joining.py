"""A stream that was resumed must be whole: what is planted is found."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from bench.workloads.joining import Torn, check_joined

DELTAS = 4
BROKEN_AT = 3


def a_stream(deltas: int = DELTAS, text: str | None = None) -> list[bytes]:
    said = [f"word {number} " for number in range(deltas)]
    parts = [{"type": "output_text", "text": "".join(said) if text is None else text}]
    events: list[dict[str, Any]] = [
        {"type": "response.created"},
        *({"type": "response.output_text.delta", "delta": each} for each in said),
        {"type": "response.completed", "response": {"output": [{"content": parts}]}},
    ]
    return [
        b"event: x\ndata: " + msgspec.json.encode({"sequence_number": number, **event})
        for number, event in enumerate(events)
    ]


def check(events: Sequence[bytes]) -> None:
    check_joined(events[:BROKEN_AT], events[BROKEN_AT:], deltas=DELTAS)


def test_two_parts_that_fit_are_one_stream() -> None:
    check(a_stream())


@pytest.mark.parametrize("gap", range(DELTAS + 2))
def test_a_gap_is_found_wherever_it_is(gap: int) -> None:
    events = a_stream()
    del events[gap]
    with pytest.raises(Torn, match=r"in place of|the end is missing"):
        check(events)


def test_an_event_that_is_told_twice_is_found() -> None:
    events = a_stream()
    with pytest.raises(Torn, match="event 2 in place of 3, after it"):
        check([*events[:BROKEN_AT], *events[BROKEN_AT - 1 :]])


def test_events_in_another_order_are_found() -> None:
    events = a_stream()
    events[3], events[4] = events[4], events[3]
    with pytest.raises(Torn, match="event 4 in place of 3"):
        check(events)


def test_a_delta_that_was_never_numbered_is_missed() -> None:
    with pytest.raises(Torn, match="3 of 4 deltas"):
        check(a_stream(deltas=3))


def test_deltas_must_be_the_text_of_the_response() -> None:
    with pytest.raises(Torn, match="not the text"):
        check(a_stream(text="another text"))


def test_a_stream_of_nothing_is_no_stream() -> None:
    with pytest.raises(Torn, match="the end is missing"):
        check([])
