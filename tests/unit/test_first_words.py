"""The first words of a turn, wherever its contents were cut."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.wire.first_words import MOST, answered, asked

NASTY = 'say "é世界" },{"role":"user"} \\ [ ] \n\t\u0000 𝄞'


def message(text: Any, role: str = "user", **more: Any) -> dict[str, Any]:
    return {"id": "msg_1", "type": "message", "role": role, "content": text, **more}


def part(text: str) -> dict[str, Any]:
    return {"type": "input_text", "text": text}


def encoded(*items: Any) -> bytes:
    return msgspec.json.encode(items)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([], ""),
        ([message("one"), message("two"), message("three", "assistant")], "two"),
        ([message([part("one"), part("two")])], "one two"),
        (
            [message([{"type": "input_image", "image_url": "data:"}, part("what is it?")])],
            "[image] what is it?",
        ),
        ([message("only the rules", "system")], "only the rules"),
        ([{"role": "user", "content": "without a type"}], "without a type"),
        ([{"type": "function_call_output", "output": "12 degrees"}], "← 12 degrees"),
        ([{"type": "function_call_output", "output": [part("12"), part("degrees")]}], "← 12 degrees"),
        ([{"type": "reasoning", "summary": []}], ""),
        ([message("a\n\n  b\tc")], "a b c"),
    ],
)
def test_what_was_asked_is_what_the_last_user_message_says(items: list[Any], expected: str) -> None:
    assert asked(encoded(*items)) == expected


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([message("first", "assistant"), message("second", "assistant")], "first"),
        ([{"type": "reasoning"}, message([{"type": "refusal", "refusal": "No."}], "assistant")], "No."),
        ([{"type": "function_call", "name": "get_weather", "arguments": "{}"}], "→ get_weather(…)"),
        ([{"type": "shell_call"}], "→ shell(…)"),
        ([{"type": "function_call", "name": f"f{n}"} for n in range(5)], "→ f0(…) → f1(…) → f2(…) …"),
    ],
)
def test_what_was_answered_is_the_first_message_or_the_calls(items: list[Any], expected: str) -> None:
    assert answered(encoded(*items)) == expected


@given(
    texts=st.lists(st.text(max_size=80) | st.just(NASTY), min_size=1, max_size=12),
    cut=st.integers(min_value=2, max_value=400),
    parts=st.booleans(),
)
def test_wherever_a_content_is_cut_the_words_are_those_of_its_messages(
    texts: list[str], cut: int, parts: bool
) -> None:
    whole = encoded(*(message([part(text)] if parts else text) for text in texts))
    if cut >= len(whole):
        return
    words = asked(whole[:cut], whole[-cut:])
    assert len(words) <= MOST
    said = [" ".join(text.split()) for text in texts]
    assert words == "" or any(text.startswith(words.removesuffix("…").rstrip()) for text in said)


def test_the_last_message_is_found_in_the_end_and_a_long_one_in_the_beginning() -> None:
    many = encoded(*(message(f"message {number} " + NASTY * 5) for number in range(100)))
    assert asked(many[:4096], many[-4096:]).startswith("message 99 say")
    long = encoded(message("the beginning " + NASTY * 1000))
    for cut in range(60, 400):
        assert asked(long[:cut], long[-cut:]).startswith("t")
    assert asked(long[:4096], long[-4096:]).startswith("the beginning say")


def test_what_is_nested_too_deeply_has_no_words() -> None:
    deep = b'[{"type":"message","role":"user","content":' + b"[" * 4000
    assert asked(deep, b"]" * 4000) == ""
