"""Large payloads leave a turn's JSON and come back, byte for byte; what is left is JSON."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.store import Turn
from catena.store.payloads import Place, put_back, take_out, take_out_of
from tests.store.contract import SOME_FIELDS, SOME_ITEMS
from tests.store.turns import a_turn, items, replace

IMAGE = "data:image/png;base64," + "A" * 4000
TOOLS = [{"type": "function", "name": f"tool_{number}"} for number in range(40)]


def around(turn: Turn) -> Turn:
    rest, places, contents = take_out(turn)
    return put_back(rest, places, contents.__getitem__)


def fields(**content: Any) -> bytes:
    return msgspec.json.encode(content)


@given(given_items=SOME_ITEMS, answer=SOME_ITEMS, content=SOME_FIELDS)
def test_what_was_taken_out_is_put_back_byte_for_byte(
    given_items: list[Any], answer: list[Any], content: dict[str, Any]
) -> None:
    turn = a_turn(input=items(*given_items), output=items(*answer), fields=fields(**content))
    rest, places, contents = take_out(turn)
    assert put_back(rest, places, contents.__getitem__) == turn
    for text in (rest.input, rest.output, rest.fields):
        msgspec.json.decode(text)


@given(text=st.binary(max_size=60).map(lambda text: text * 100))
def test_bytes_that_no_json_has_are_harmless_in_items(text: bytes) -> None:
    rest, places, contents = take_out_of("input", b'[{"image_url":"' + text + b'"}]')
    turn = put_back(a_turn(input=rest), places, contents.__getitem__)
    assert turn.input == b'[{"image_url":"' + text + b'"}]'


@pytest.mark.parametrize("key", ["image_url", "file_data", "data", "result"])
def test_a_file_is_taken_out_of_an_item_wherever_it_is(key: str) -> None:
    turn = a_turn(output=items({"id": "a", "content": [{"deep": {"er": [{key: IMAGE}, {key: IMAGE}]}}]}))
    rest, places, contents = take_out(turn)
    assert len(rest.output) < 200
    assert [place.column for place in places] == ["output", "output"]
    assert list(contents.values()) == [IMAGE.encode()]
    assert around(turn) == turn


@pytest.mark.parametrize(
    "content",
    [
        {"image_url": IMAGE[:2000]},  # small
        {"image_url": IMAGE + '"'},  # not Base64
        {"text": IMAGE},  # a text
        {"text": f'"image_url":"{IMAGE}"'},  # a text that looks like a file
        {"image_url": [IMAGE]},
        {"image_url": None},
    ],
)
def test_what_is_no_file_stays_in_its_item(content: dict[str, Any]) -> None:
    turn = a_turn(input=items({"id": "a", **content}))
    assert take_out(turn) == (turn, (), {})


def test_tools_and_instructions_are_taken_out_of_fields() -> None:
    turn = a_turn(fields=fields(metadata={"a": "b"}, tools=TOOLS, instructions='Say "no". ' * 80))
    rest, places, contents = take_out(turn)
    assert rest.fields == fields(metadata={"a": "b"}, tools=[], instructions="")
    assert {place.column for place in places} == {"fields"}
    assert len(contents) == 2
    assert around(turn) == turn


@pytest.mark.parametrize(
    "text",
    [
        b'{"tools": ' + msgspec.json.encode(TOOLS) + b"}",  # as somebody else might have written it
        b'{"to\\u006fls":' + msgspec.json.encode(TOOLS) + b"}",
        fields(tools=None, instructions="", metadata={"text": "x" * 600}),
    ],
)
def test_fields_that_cannot_be_cut_stay_as_they_are(text: bytes) -> None:
    turn = a_turn(fields=text)
    assert take_out(turn) == (turn, (), {})


def test_instructions_that_stand_inside_of_the_tools_as_well_are_put_back() -> None:
    instructions = "Be brief. " * 60
    tools = [{"type": "function", "name": "a", "instructions": instructions}]
    for content in (
        {"tools": tools, "instructions": instructions},
        {"instructions": instructions, "tools": tools},
    ):
        turn = a_turn(fields=fields(**content))
        assert around(turn) == turn


def test_columns_that_were_not_loaded_stay_empty() -> None:
    turn = a_turn(input=items({"id": "a", "image_url": IMAGE}), fields=fields(tools=TOOLS))
    rest, places, contents = take_out(turn)
    partly = put_back(replace(rest, fields=b"{}"), places, contents.__getitem__)
    assert partly == replace(turn, fields=b"{}")


def test_the_same_content_has_the_same_hash_in_every_turn() -> None:
    _, (one,), _ = take_out(a_turn(input=items({"id": "a", "image_url": IMAGE})))
    _, (other,), _ = take_out(a_turn(output=items({"id": "b", "content": [{"data": IMAGE}]})))
    assert one.hash == other.hash
    _, (different,), _ = take_out(a_turn(input=items({"id": "a", "image_url": IMAGE + "A"})))
    assert different.hash != one.hash


def test_a_place_is_small() -> None:
    assert len(msgspec.msgpack.encode(Place("input", 300, bytes(16)))) <= 30
