"""A response that is over is told again event for event, from what is stored of it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.chunks import (
    Annotation,
    Boundary,
    Chunk,
    Finish,
    ItemDone,
    ItemEvent,
    ItemStarted,
    Offered,
    ReasoningDelta,
    RefusalDelta,
    SummaryDelta,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from catena.errors import UpstreamError
from catena.fold import Fold
from catena.ids import TurnIds, new_tree
from catena.journal import record, replay
from catena.wire.events import Event, encode_event
from catena.wire.response import Response, stored_fields, whole_response

LOGPROB = {"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": []}


def a_fold() -> Fold:
    ids = TurnIds.new(new_tree(1), 1)
    response = Response(id=ids.turn("resp_"), created_at=1, status="in_progress", model="m")
    return Fold(response, ids)


def stored_and_read(response: Response) -> Response:
    return whole_response(
        stored_fields(response),
        id=response.id,
        created_at=response.created_at,
        status=response.status,
        model=response.model,
        previous_response_id=response.previous_response_id,
        output=msgspec.json.encode(response.output),
    )


def check(fold: Fold, events: list[Event]) -> int:
    journal = record(events)
    again = replay(stored_and_read(fold.response), journal)
    as_json = [msgspec.json.decode(encode_event(event)) for event in events]
    assert [msgspec.json.decode(encode_event(event)) for event in again] == as_json
    return len(journal)


def told(fold: Fold, chunks: list[Chunk]) -> list[Event]:
    return [*fold.start(), *fold.feed(chunks), *fold.finish(2), *fold.terminal()]


def test_a_plain_answer_costs_about_a_byte_for_each_delta() -> None:
    fold = a_fold()
    chunks = [TextDelta("word "), TextDelta("by "), TextDelta("word")] * 300
    size = check(fold, told(fold, [*chunks, UsageReport(1, 2), Finish("stop")]))
    assert size < 900 * 1.1


def test_every_kind_of_event_is_told_again() -> None:
    fold = a_fold()
    chunks: list[Chunk] = [
        Offered({"patch": ("custom", "patch", None)}),
        SummaryDelta("Thinking", 0),
        SummaryDelta("More", 1),
        Boundary(encrypted_content="sealed", phase="final_answer"),
        ReasoningDelta("raw"),
        TextDelta("a", [LOGPROB]),
        TextDelta("b", [LOGPROB, LOGPROB]),
        TextDelta("c"),
        Annotation({"type": "url_citation", "url": "https://example.org"}),
        RefusalDelta("no"),
        ItemStarted({"type": "web_search_call", "status": "in_progress", "action": {}}),
        ItemEvent("response.web_search_call.searching", {}),
        ItemDone({"type": "web_search_call", "status": "completed", "action": {"type": "search"}}),
        ToolCallDelta(0, "call_1", "f", '{"a'),
        ToolCallDelta(1, "call_2", "g", "{}"),
        ToolCallDelta(0, arguments='": 1}'),
        ToolCallDelta(2, "", "patch", '{"input": "free text"}'),
        ToolCallDelta(3, "call_4", "custom", "as it is", custom=True),
        UsageReport(10, 20, 5, 3),
        Finish("tool_calls"),
    ]
    check(fold, told(fold, chunks))


@pytest.mark.parametrize("ending", ["length", "fail", "cancel"])
def test_a_response_that_ended_early_is_told_again(ending: str) -> None:
    fold = a_fold()
    events = [*fold.start(), *fold.feed([TextDelta("half"), TextDelta(" a")])]
    if ending == "length":
        events += [*fold.feed([Finish("length")]), *fold.finish(2)]
    elif ending == "fail":
        events += fold.fail(UpstreamError("The engine went away.", code="upstream_disconnected"))
    else:
        events += fold.cancel()
    check(fold, events + fold.terminal())


words = st.text(min_size=1, max_size=5)
chunks_of_all_kinds = st.lists(
    st.one_of(
        st.builds(TextDelta, words),
        st.builds(TextDelta, words, st.lists(st.just(LOGPROB), min_size=1, max_size=2)),
        st.builds(RefusalDelta, words),
        st.builds(ReasoningDelta, words),
        st.builds(SummaryDelta, words, st.integers(0, 2)),
        st.builds(ToolCallDelta, st.integers(0, 2), st.just("c"), st.just("f"), words),
        st.builds(Boundary),
    ),
    max_size=30,
)


@given(chunks_of_all_kinds)
def test_whatever_came_is_told_again(chunks: list[Chunk]) -> None:
    fold = a_fold()
    check(fold, told(fold, [*chunks, Finish("stop")]))


def test_a_journal_of_another_response_is_an_error() -> None:
    fold, other = a_fold(), a_fold()
    journal = record(told(fold, [TextDelta("long enough"), Finish("stop")]))
    told(other, [TextDelta("short"), Finish("stop")])
    with pytest.raises(ValueError, match="more text"):
        replay(stored_and_read(other.response), journal)
