"""Thoughts that an engine leaves in its text, and the space around them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.chunks import ReasoningDelta, TextDelta
from catena.upstream.visible import Visible

TAGGED = st.lists(
    st.sampled_from(["<think>", "</think>", "<", "<thi", "</", "nk>", " ", "\n", "\n\n", "a", "answer", "é"]),
    max_size=12,
).map("".join)


def read(pieces: Iterable[str], *, parse_think: bool = True, spaces: bool = True) -> tuple[str, str]:
    """What was thought and what was said."""
    visible = Visible(parse_think=parse_think)
    chunks = [chunk for piece in pieces for chunk in visible.feed(piece)]
    chunks += visible.end(spaces=spaces)
    thought = "".join(chunk.text for chunk in chunks if isinstance(chunk, ReasoningDelta))
    said = "".join(chunk.text for chunk in chunks if isinstance(chunk, TextDelta))
    return thought, said


@pytest.mark.parametrize(
    ("text", "thought", "said"),
    [
        ("plain", "", "plain"),
        ("  plain  ", "", "  plain  "),
        ("<think>why</think>because", "why", "because"),
        ("\n<think>\nwhy\n</think>\n\nbecause", "why", "because"),
        ("<think>\n\n</think>\n\nbecause", "", "because"),
        ("<think>why", "why", ""),
        ("<think>why</thin", "why</thin", ""),
        ("<think>a</b></think>c", "a</b>", "c"),
        ("<think>a</think><think>b</think>", "a", "<think>b</think>"),
        ("first <think>then</think>", "", "first <think>then</think>"),
        ("<thinker>", "", "<thinker>"),
        ("<th", "", "<th"),
        ("</think>", "", "</think>"),
        (" \n", "", " \n"),
        ("<think>a</think> \n", "a", ""),
        ("", "", ""),
    ],
)
def test_thoughts_are_told_from_text_at_the_beginning_only(text: str, thought: str, said: str) -> None:
    assert read([text]) == (thought, said)
    assert read(text) == (thought, said)


def test_with_parsing_off_tags_are_text() -> None:
    assert read(["<think>why</think>because"], parse_think=False) == ("", "<think>why</think>because")


@given(text=TAGGED, cuts=st.sets(st.integers(0, 60)), parse=st.booleans())
def test_the_cuts_do_not_matter(text: str, cuts: set[int], parse: bool) -> None:
    places = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    pieces = [text[start:end] for start, end in itertools.pairwise(places)]
    assert read(pieces, parse_think=parse) == read([text], parse_think=parse)


@given(text=st.text())
def test_text_without_tags_comes_out_as_it_went_in(text: str) -> None:
    assert read(text, parse_think=False) == ("", text)


def test_an_answer_flows_once_it_has_begun() -> None:
    visible = Visible()
    steps = [(visible.feed(piece), visible.flows) for piece in (" \n", "Hi", " ")]
    assert steps == [([], False), ([TextDelta(" \nHi")], True), ([TextDelta(" ")], True)]


def test_mere_space_is_an_answer_only_if_there_is_no_other() -> None:
    assert read([" \n"], spaces=False) == ("", "")


def test_space_before_a_call_and_between_calls_is_dropped() -> None:
    visible = Visible()
    assert visible.feed("\n\n") == []
    assert visible.interrupt() == []
    assert visible.feed("\n") == []
    assert visible.interrupt() == []
    assert visible.feed("\nDone.") == [TextDelta("\nDone.")]


def test_text_that_could_have_become_a_tag_is_said_before_a_call() -> None:
    visible = Visible()
    assert visible.feed("<thi") == []
    assert visible.interrupt() == [TextDelta("<thi")]


def test_after_a_call_a_tag_is_text() -> None:
    visible = Visible()
    visible.interrupt()
    assert visible.feed("<think>") == [TextDelta("<think>")]


def entry(token: str) -> dict[str, Any]:
    return {"token": token, "logprob": -1.0}


def test_logprobs_stay_with_the_text_of_their_tokens() -> None:
    visible = Visible()
    assert visible.feed("<think>", [entry("<think>")]) == []
    assert visible.feed("a", [entry("a")]) == [ReasoningDelta("a")]
    assert visible.feed("</think>", [entry("</think>")]) == []
    assert visible.feed("\n\n", [entry("\n\n")]) == []
    assert visible.feed("Hi", [entry("H"), entry("i")]) == [TextDelta("Hi", [entry("H"), entry("i")])]
    assert visible.feed("", [entry("\ufffd")]) == []
    assert visible.feed("é", [entry("é")]) == [TextDelta("é", [entry("\ufffd"), entry("é")])]


def test_logprobs_of_a_piece_with_the_end_of_the_thoughts_are_those_of_its_text() -> None:
    visible = Visible()
    visible.feed("<think>a")
    pieces = visible.feed("</think>Hi", [entry("</think>"), entry("H"), entry("i")])
    assert pieces == [TextDelta("Hi", [entry("H"), entry("i")])]
