"""Fields get shorter and come back, whatever is in them."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from catena.store.shorthand import expand, shorten
from catena.wire.response import Response, Usage, stored_fields
from tests.store.contract import JSON

ANSWERED = Response(
    id="resp_1",
    created_at=1,
    status="completed",
    model="m",
    completed_at=1_790_000_001,
    usage=Usage(input_tokens=12_345, output_tokens=210, total_tokens=12_555),
)


@given(st.dictionaries(st.text(), JSON))
def test_any_fields_come_back_byte_for_byte(content: dict[str, object]) -> None:
    fields = msgspec.json.encode(content)
    assert expand(shorten(fields)) == fields
    assert expand(fields) == fields


@given(st.text(max_size=3000))
def test_a_text_can_forge_nothing(text: str) -> None:
    for forged in (text, text + "\x01\x02\x07", ',"usage":{"input_tokens":' + text):
        fields = msgspec.json.encode({"metadata": {forged: forged}, "instructions": forged})
        assert expand(shorten(fields)) == fields


def test_the_fields_of_a_usual_turn_take_a_third() -> None:
    fields = stored_fields(ANSWERED)
    short = shorten(fields)
    assert expand(short) == fields
    assert len(short) * 3 < len(fields)
