"""What holds of the fold for every sequence of chunks that an adapter may send."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import openai.lib.streaming.responses._responses as official
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from openai import omit
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from catena.chunks import (
    Annotation,
    Boundary,
    Chunk,
    Finish,
    ItemDone,
    ItemEvent,
    ItemStarted,
    Offered,
    PartEnd,
    ReasoningDelta,
    RefusalDelta,
    SummaryDelta,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from catena.errors import UpstreamError
from catena.fold import Fold
from catena.ids import TurnIds
from catena.wire.events import Event, encode_event
from catena.wire.response import Response

NOW = 1_763_600_000
STEM = "0123456789abcdef00" + f"{NOW:08x}" + "0" * 20
WRAPPED = "wrapped"
HELD = ("shell", "local_shell", "apply_patch", "computer", "tool_search")
OFFERED = Offered(
    {
        WRAPPED: ("custom", WRAPPED, None),
        "ns__f": ("function", "f", "ns"),
        **{name: (name, name, None) for name in HELD},
    }
)
CITATION = {
    "type": "url_citation",
    "start_index": 0,
    "end_index": 1,
    "url": "https://example.com/",
    "title": "t",
}
LOGPROBS = [{"token": "a", "bytes": [97], "logprob": -0.5, "top_logprobs": []}]
HOSTED = {"type": "mcp_call", "name": "n", "arguments": "{}", "server_label": "s", "status": "in_progress"}

EVENT = TypeAdapter[ResponseStreamEvent](ResponseStreamEvent)


# Chunks as an adapter sends them

pieces = st.text(max_size=4)
argument_pieces = st.sampled_from(
    [
        "",
        "{",
        "}",
        "{}",
        '{"input":',
        '"x"',
        "}",
        "1",
        " ",
        "{}{}",
        '{"commands":["a","b"]}',
        '{"command":["a"]}',
        '{"type":"delete_file","path":"p"}',
        '{"actions":[{"type":"wait"}]}',
    ]
)


@st.composite
def chunk_sequences(draw: st.DrawFn) -> list[Chunk]:
    """Any sequence that keeps the rules: a call begins with its name, and the events of a passed item are told while
    it is open."""
    chunks: list[Chunk] = []
    named: set[int] = set()
    passed = False
    for _ in range(draw(st.integers(0, 25))):
        match draw(st.sampled_from(_STEPS)):
            case "call":
                index = draw(st.integers(0, 3))
                if index in named:
                    chunk: Chunk = ToolCallDelta(index, arguments=draw(argument_pieces))
                else:
                    named.add(index)
                    chunk = draw(_first_piece(index))
                    passed = False
            case "passed":
                chunk = draw(_of_passed(passed))
                passed = type(chunk) is not ItemDone
            case step:
                chunk = draw(_PLAIN[step])
                passed = passed and step in ("usage", "part end")
        chunks.append(chunk)
    return chunks


def _first_piece(index: int) -> st.SearchStrategy[Chunk]:
    return st.builds(
        ToolCallDelta,
        st.just(index),
        st.sampled_from(["", f"call_{index}"]),
        st.sampled_from(["f", WRAPPED, "ns__f", *HELD]),
        argument_pieces,
        custom=st.booleans(),
        namespace=st.sampled_from([None, "ns"]),
    )


def _of_passed(is_open: bool) -> st.SearchStrategy[Chunk]:
    done = ItemDone({**HOSTED, "status": "completed", "output": "o"})
    if is_open:
        return st.sampled_from([ItemEvent("response.mcp_call.in_progress", {}), ItemStarted(HOSTED), done])
    return st.sampled_from([ItemStarted(HOSTED), done])


_PLAIN: dict[str, st.SearchStrategy[Chunk]] = {
    "text": st.builds(TextDelta, pieces, st.sampled_from([None, LOGPROBS])),
    "refusal": st.builds(RefusalDelta, pieces),
    "annotation": st.just(Annotation(CITATION)),
    "part end": st.just(PartEnd()),
    "reasoning": st.builds(ReasoningDelta, pieces),
    "summary": st.builds(SummaryDelta, pieces, st.integers(0, 2)),
    "boundary": st.builds(Boundary, st.sampled_from([None, "commentary", "final_answer"])),
    "sealed": st.builds(Boundary, st.none(), st.just("sealed==")),
    "usage": st.just(UsageReport(3, 4, 1, 2)),
}
_STEPS = [*_PLAIN, "text", "call", "call", "call", "passed"]

ENDS = ("stop", "tool_calls", "length", "content_filter", "cancel", "fail", "max_messages")
ends = st.sampled_from(ENDS)


class Told(NamedTuple):
    """A run as it was told."""

    events: list[Event]
    response: Response

    @property
    def wire(self) -> list[dict[str, Any]]:
        return [json.loads(encode_event(event)) for event in self.events]

    @property
    def output(self) -> list[dict[str, Any]]:
        output: list[dict[str, Any]] = self.wire[-1]["response"]["output"]
        return output


def tell(batches: Sequence[Sequence[Chunk]], end: str) -> Told:
    ids = TurnIds(STEM)
    response = Response(id=ids.turn("resp_"), created_at=NOW, status="in_progress", model="m")
    fold = Fold(response, ids)
    fold.feed([OFFERED])
    events = fold.start()
    for batch in batches:
        events += fold.feed(batch)
    match end:
        case "cancel":
            events += fold.cancel()
        case "fail":
            events += fold.fail(UpstreamError("It broke."))
        case "max_messages":
            events += fold.stop(end)
        case reason:
            events += fold.feed([Finish(reason)])
            events += fold.finish(NOW + 1)
    events += fold.terminal()
    return Told(events, fold.response)


@given(chunk_sequences(), ends)
def test_events_are_numbered_from_0_and_the_terminal_one_is_last(chunks: list[Chunk], end: str) -> None:
    wire = tell([chunks], end).wire
    assert [event["sequence_number"] for event in wire] == list(range(len(wire)))
    assert [event["type"] for event in wire[:2]] == ["response.created", "response.in_progress"]
    terminal = ("response.completed", "response.incomplete", "response.failed")
    assert [event["type"] in terminal for event in wire] == [False] * (len(wire) - 1) + [True]


@given(chunk_sequences(), ends)
def test_whatever_is_added_is_done_once_or_left_incomplete(chunks: list[Chunk], end: str) -> None:
    told = tell([chunks], end)
    added = [event for event in told.wire if event["type"] == "response.output_item.added"]
    done = {
        event["output_index"]: event["item"]
        for event in told.wire
        if event["type"] == "response.output_item.done"
    }
    assert [event["output_index"] for event in added] == list(range(len(added)))
    assert len(done) == sum(event["type"] == "response.output_item.done" for event in told.wire)
    assert len(told.output) == len(added)
    for event, item in zip(added, told.output, strict=True):
        assert (event["item"]["id"], event["item"]["type"]) == (item["id"], item["type"])
        if event["output_index"] in done:
            assert done[event["output_index"]] == item
        else:
            assert end in ("cancel", "fail")
            assert item.get("status", "incomplete") == "incomplete"
    assert len({item["id"] for item in told.output}) == len(told.output)


@given(chunk_sequences(), ends)
def test_nothing_is_told_of_an_item_before_it_is_added_or_after_it_is_done(
    chunks: list[Chunk], end: str
) -> None:
    known: dict[str, int] = {}
    finished = set()
    for event in tell([chunks], end).wire:
        if event["type"] == "response.output_item.added":
            known[event["item"]["id"]] = event["output_index"]
        elif event["type"] == "response.output_item.done":
            assert known[event["item"]["id"]] == event["output_index"]
            assert event["item"]["id"] not in finished
            finished.add(event["item"]["id"])
        elif "item_id" in event:
            assert known[event["item_id"]] == event["output_index"]
            assert event["item_id"] not in finished


_DONE = {
    "response.output_text.delta": ("response.output_text.done", "text"),
    "response.refusal.delta": ("response.refusal.done", "refusal"),
    "response.reasoning_text.delta": ("response.reasoning_text.done", "text"),
    "response.reasoning_summary_text.delta": ("response.reasoning_summary_text.done", "text"),
    "response.function_call_arguments.delta": ("response.function_call_arguments.done", "arguments"),
    "response.custom_tool_call_input.delta": ("response.custom_tool_call_input.done", "input"),
}


@given(chunk_sequences(), ends)
def test_the_deltas_of_a_part_are_its_whole(chunks: list[Chunk], end: str) -> None:
    deltas: dict[tuple[Any, ...], str] = defaultdict(str)
    wholes = {}
    fields = dict(_DONE.values())
    for event in tell([chunks], end).wire:
        place = (event.get("item_id"), event.get("content_index"), event.get("summary_index"))
        if event["type"] in _DONE:
            deltas[_DONE[event["type"]][0], *place] += event["delta"]
        elif event["type"] in fields:
            assert (event["type"], *place) not in wholes
            wholes[event["type"], *place] = event[fields[event["type"]]]
    if end in ("cancel", "fail"):
        deltas = {place: text for place, text in deltas.items() if place in wholes}
    # A part may be empty, and then it has no delta; but no delta may be lost.
    assert {place: text for place, text in wholes.items() if text} == {
        place: text for place, text in deltas.items() if text
    }


@given(chunk_sequences(), ends)
def test_parts_are_told_in_order_and_are_what_the_item_holds(chunks: list[Chunk], end: str) -> None:
    told = tell([chunks], end)
    parts: dict[str, list[Any]] = defaultdict(list)
    for event in told.wire:
        if event["type"] == "response.content_part.done":
            assert len(parts[event["item_id"]]) == event["content_index"]
            parts[event["item_id"]].append(event["part"])
    for item in told.output:
        if item["type"] in ("message", "reasoning") and end not in ("cancel", "fail"):
            assert item.get("content", []) == parts[item["id"]]


@given(chunk_sequences(), ends)
def test_the_last_event_is_the_response_that_is_stored(chunks: list[Chunk], end: str) -> None:
    told = tell([chunks], end)
    status = {"cancel": "cancelled", "fail": "failed", "stop": "completed", "tool_calls": "completed"}
    assert told.response.status == status.get(end, "incomplete")
    assert told.events[-1].response == told.response  # type: ignore[union-attr]  # the terminal event has one
    if told.response.status == "completed":
        assert told.output, "a client that reads the first item must find one"
        assert all(item.get("status", "completed") == "completed" for item in told.output)


@given(chunk_sequences(), ends)
@settings(max_examples=50)
def test_the_official_sdk_reads_every_event(chunks: list[Chunk], end: str) -> None:
    for event in tell([chunks], end).events:
        EVENT.validate_json(encode_event(event))


@given(chunk_sequences(), st.sampled_from(["stop", "length"]))
@settings(max_examples=50)
def test_the_official_helper_accumulates_the_same_response(chunks: list[Chunk], end: str) -> None:
    told = tell([chunks], end)
    state = official.ResponseStreamState[None](input_tools=omit, text_format=omit)
    last: Any = None
    for event in told.events:
        for built in state.handle_event(EVENT.validate_json(encode_event(event))):
            last = built
    assert [item.id for item in last.response.output] == [item["id"] for item in told.output]


@given(chunk_sequences(), ends, st.sets(st.integers(0, 25)))
def test_the_same_chunks_make_the_same_bytes_however_they_arrive(
    chunks: list[Chunk], end: str, cuts: set[int]
) -> None:
    places = [0, *sorted(cut for cut in cuts if cut < len(chunks)), len(chunks)]
    batches = [chunks[start:stop] for start, stop in itertools.pairwise(places)]
    once = [encode_event(event) for event in tell([chunks], end).events]
    assert [encode_event(event) for event in tell(batches, end).events] == once


@given(chunk_sequences(), ends)
def test_where_text_is_cut_does_not_change_the_response(chunks: list[Chunk], end: str) -> None:
    cut: list[Chunk] = []
    for chunk in chunks:
        if type(chunk) is TextDelta and chunk.logprobs is None:
            cut += [TextDelta(letter) for letter in chunk.text]
        elif type(chunk) is ReasoningDelta:
            cut += [ReasoningDelta(letter) for letter in chunk.text]
        else:
            cut.append(chunk)
    assert tell([cut], end).response == tell([chunks], end).response


@given(chunk_sequences(), ends, st.data())
@settings(max_examples=50)
def test_where_anything_is_cut_does_not_change_the_response(
    chunks: list[Chunk], end: str, data: st.DataObject
) -> None:
    """Texts of every kind and the arguments of calls, cut at places of hypothesis' choice, empty pieces among them."""
    cut: list[Chunk] = []
    for chunk in chunks:
        field = _CUTTABLE.get(type(chunk))
        if field is None or getattr(chunk, "logprobs", None) is not None:
            cut.append(chunk)
            continue
        whole: str = getattr(chunk, field)
        places = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=4)))
        pieces = [whole[start:stop] for start, stop in itertools.pairwise([0, *places, len(whole)])]
        first, *more = pieces
        cut.append(replace(chunk, **{field: first}))
        for piece in more:
            again = ToolCallDelta(chunk.index) if isinstance(chunk, ToolCallDelta) else chunk
            cut.append(replace(again, **{field: piece}))
    assert tell([cut], end).response == tell([chunks], end).response


_CUTTABLE: dict[type, str] = {
    TextDelta: "text",
    RefusalDelta: "text",
    ReasoningDelta: "text",
    SummaryDelta: "text",
    ToolCallDelta: "arguments",
}


@given(chunk_sequences())
def test_a_response_can_be_read_at_any_moment_and_only_grows(chunks: list[Chunk]) -> None:
    ids = TurnIds(STEM)
    fold = Fold(Response(id=ids.turn("resp_"), created_at=NOW, status="in_progress", model="m"), ids)
    before: list[Any] = []
    for chunk in chunks:
        fold.feed([chunk])
        now = fold.response.output
        assert isinstance(now, list)
        assert [item["id"] for item in now[: len(before)]] == [item["id"] for item in before]
        before = now


def test_a_call_is_done_as_soon_as_it_is_whole_and_something_else_begins() -> None:
    whole, open_ended = ToolCallDelta(0, "c0", "f", "{}"), ToolCallDelta(1, "c1", "f", '{"a"')
    told = [event["type"] for event in tell([[whole, open_ended, TextDelta("x")]], "stop").wire]
    added = [at for at, kind in enumerate(told) if kind == "response.output_item.added"]
    done = [at for at, kind in enumerate(told) if kind == "response.output_item.done"]
    assert added[0] < done[0] < added[1] < added[2] < done[1]


@given(chunk_sequences(), st.sampled_from(["stop", "length", "cancel"]))
def test_a_response_that_cannot_be_committed_is_told_as_failed(chunks: list[Chunk], end: str) -> None:
    ids = TurnIds(STEM)
    fold = Fold(Response(id=ids.turn("resp_"), created_at=NOW, status="in_progress", model="m"), ids)
    fold.feed([*chunks, Finish(end)])
    if end == "cancel":
        fold.cancel()
    else:
        fold.finish(NOW)
    output = fold.response.output
    fold.fail(UpstreamError("The disk is full."))
    failed = fold.response
    assert (failed.status, failed.completed_at, failed.incomplete_details) == ("failed", None, None)
    assert failed.output == output
    assert [type(event).__name__ for event in fold.terminal()] == ["ErrorEvent", "Failed"]
