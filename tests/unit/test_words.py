"""Words to be found again: terms of a query, the words of a turn, and excerpts."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from catena.wire.words import Term, excerpt, terms, words_of


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("quick fox", [Term("quick"), Term("fox")]),
        ('"brown fox" qui*', [Term("brown fox"), Term("qui", prefix=True)]),
        ('open "quote', [Term("open"), Term("quote")]),
        ('"no prefix*"', [Term("no prefix")]),
        ("世界", [Term("世界")]),
        ('*** ?! "-" \'', []),
        ("", []),
    ],
)
def test_a_query_is_words_phrases_and_beginnings(query: str, expected: list[Term]) -> None:
    assert list(terms(query)) == expected


def encoded(*items: Any) -> bytes:
    return msgspec.json.encode(items)


def test_the_words_of_a_turn_are_those_that_somebody_said() -> None:
    given = encoded(
        {"role": "user", "content": "plain"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "part"}]},
        {"type": "function_call_output", "output": "came", "call_id": "call_hidden"},
    )
    output = encoded(
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "thought"}],
            "encrypted_content": "X",
        },
        {"type": "function_call", "name": "lookup", "arguments": '{"key": "value"}'},
        {"type": "message", "content": [{"type": "refusal", "refusal": "never"}]},
    )
    words = words_of(given, output)
    for said in ("plain", "part", "came", "thought", "lookup", "value", "never"):
        assert said in words
    assert "call_hidden" not in words


def test_files_written_down_as_text_are_no_words() -> None:
    words = words_of(encoded({"role": "user", "content": "see " + "QUJD" * 100 + " there"}), b"[]")
    assert words.split() == ["see", "there"]


def test_what_is_nested_too_deeply_has_no_words() -> None:
    assert words_of(b'[{"content":' + b"[" * 5000 + b"]" * 5000 + b"}]", b"[]") == ""


def test_an_excerpt_is_around_the_first_term_that_is_there() -> None:
    text = "hay " * 50 + "a Needle,\nor two " + "straw " * 50
    for wanted in ([Term("needle")], [Term("nowhere"), Term("needle or")], [Term("need", prefix=True)]):
        found = excerpt(text, wanted)
        assert "a Needle, or two straw" in found
        assert len(found) < 150
    assert excerpt("short needle", [Term("needle")]) == "short needle"
    assert excerpt(text, [Term("eedle")]) == ""
