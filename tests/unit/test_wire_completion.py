"""A response in the chat dialect: whole, in chunks, and what it was given as a list of messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from catena import sse
from catena.chunks import (
    Annotation,
    Boundary,
    Chunk,
    Finish,
    ItemDone,
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
from catena.wire.completion import completion, stored_completion
from catena.wire.completion_stream import ChunkWriter
from catena.wire.events import Event
from catena.wire.response import Response, stored_fields, whole_response
from catena.wire.transcript import messages_of

IDS = "00112233445566770065a1b2c3" + "0" * 20
CITED = {"type": "url_citation", "url": "https://example.com", "title": "t", "start_index": 0, "end_index": 1}
LOGPROB = {"token": "a", "bytes": [97], "logprob": -0.5, "top_logprobs": []}


def fold_of(**fields: Any) -> Fold:
    ids = TurnIds(IDS)
    response = Response(
        id=ids.turn("chatcmpl-"), created_at=7, status="in_progress", model="m", store=True, **fields
    )
    return Fold(response, ids)


def told(
    chunks: Sequence[Chunk], *, usage: bool = False, legacy_calls: bool = False
) -> tuple[dict[str, Any], bytes]:
    """What these chunks of an engine become: the whole, and the stream."""
    fold = fold_of()
    events: list[Event] = [*fold.start(), *fold.feed(chunks), *fold.finish(9), *fold.terminal()]
    writer = ChunkWriter(fold.response, usage=usage, legacy_calls=legacy_calls)
    stream = b"".join([writer.frames([event]) for event in events])
    return completion(fold.response, legacy_calls=legacy_calls), stream


def data_of(stream: bytes) -> list[Any]:
    """The data of the frames, `[DONE]` as a string."""
    frames = sse.Decoder().feed(stream)
    assert all(frame.event == "" for frame in frames)
    return [
        frame.data.decode() if frame.data == b"[DONE]" else msgspec.json.decode(frame.data)
        for frame in frames
    ]


def put_together(stream: bytes) -> dict[str, Any]:
    """The message that a client makes of the deltas: text is appended, calls go by their index."""
    message: dict[str, Any] = {}
    for chunk in data_of(stream)[:-1]:
        for choice in chunk["choices"]:
            _merge(message, choice["delta"])
    return message


def _merge(whole: dict[str, Any], piece: dict[str, Any]) -> None:
    for name, value in piece.items():
        if name == "tool_calls":
            for call in value:
                calls = whole.setdefault("tool_calls", [])
                if call["index"] == len(calls):
                    calls.append({})
                _merge(calls[call["index"]], {key: each for key, each in call.items() if key != "index"})
        elif isinstance(value, dict):
            _merge(whole.setdefault(name, {}), value)
        elif isinstance(value, list):
            whole.setdefault(name, []).extend(value)
        elif isinstance(value, str) and isinstance(whole.get(name), str):
            whole[name] += value
        elif value is not None or name not in whole:
            whole[name] = value


TEXT = st.text(max_size=5)
PIECES = st.one_of(
    st.builds(TextDelta, TEXT),
    st.builds(RefusalDelta, TEXT),
    st.builds(ReasoningDelta, TEXT),
    st.builds(SummaryDelta, TEXT, st.just(0)),
    st.builds(Annotation, st.just(CITED)),
    st.just(Boundary()),
    st.builds(lambda text: TextDelta(text, [LOGPROB]), TEXT),
)


@st.composite
def answers(draw: st.DrawFn) -> list[Chunk]:
    chunks: list[Chunk] = draw(st.lists(PIECES, max_size=8))
    for index in range(draw(st.integers(0, 2))):
        custom = draw(st.booleans())
        chunks.append(ToolCallDelta(index, f"call_{index}", "f", custom=custom))
        chunks += [ToolCallDelta(index, arguments=text) for text in draw(st.lists(TEXT, max_size=3))]
    return [*chunks, UsageReport(3, 2, cached_tokens=1, reasoning_tokens=1), Finish("stop")]


@given(answers())
def test_the_chunks_put_together_are_the_message_of_the_whole(chunks: list[Chunk]) -> None:
    whole, stream = told(chunks)
    message = put_together(stream)
    expected = dict(whole["choices"][0]["message"])
    assert message.pop("annotations", []) == expected.pop("annotations")
    # How thoughts of different kinds are ordered is not told by an engine that has both.
    if not any(type(chunk) is SummaryDelta for chunk in chunks):
        assert message.get("reasoning_content") == expected.get("reasoning_content")
    message.pop("reasoning_content", None)
    expected.pop("reasoning_content", None)
    assert message == expected


@given(answers())
def test_the_official_sdk_accumulates_the_same_completion(chunks: list[Chunk]) -> None:
    chunks = [chunk for chunk in chunks if not (isinstance(chunk, ToolCallDelta) and chunk.custom)]
    started = {chunk.index for chunk in chunks if isinstance(chunk, ToolCallDelta) and chunk.name}
    chunks = [chunk for chunk in chunks if not isinstance(chunk, ToolCallDelta) or chunk.index in started]
    whole, stream = told(chunks, usage=True)
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for data in data_of(stream)[:-1]:
        state.handle_chunk(ChatCompletionChunk.model_validate(data))
    final = state.get_final_completion()
    expected = ChatCompletion.model_validate(whole)
    assert final.usage == expected.usage
    (ours,), (theirs,) = expected.choices, final.choices
    assert theirs.finish_reason == ours.finish_reason
    assert theirs.message.content == ours.message.content
    assert theirs.message.refusal == ours.message.refusal
    assert (theirs.logprobs and theirs.logprobs.content) == (ours.logprobs and ours.logprobs.content)
    calls = [
        (call.id, call.function.name, call.function.arguments) for call in theirs.message.tool_calls or ()
    ]
    assert calls == [
        (call.id, call.function.name, call.function.arguments)
        for call in ours.message.tool_calls or ()
        if call.type == "function"
    ]


def test_a_stream_as_it_is_on_the_wire() -> None:
    _, stream = told([TextDelta("Hi"), UsageReport(3, 2, cached_tokens=1), Finish("stop")], usage=True)
    lines = stream.decode().split("\n\n")
    same = (
        '{"id":"chatcmpl-0011223344556677' + IDS[16:] + '0000","object":"chat.completion.chunk","created":7,'
        '"model":"m","service_tier":"default","system_fingerprint":null'
    )
    deltas = [
        ('{"role":"assistant","content":"","refusal":null}', "null"),
        ('{"content":"Hi"}', "null"),
        ("{}", '"stop"'),
    ]
    usage = (
        '{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,'
        '"prompt_tokens_details":{"cached_tokens":1,"cache_write_tokens":0},'
        '"completion_tokens_details":{"reasoning_tokens":0}}'
    )
    assert lines == [
        *[
            f'data: {same},"choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{reason}}}],'
            '"usage":null}'
            for delta, reason in deltas
        ],
        f'data: {same},"choices":[],"usage":{usage}}}',
        "data: [DONE]",
        "",
    ]


def test_without_include_usage_no_chunk_says_anything_of_usage() -> None:
    _, stream = told([TextDelta("Hi"), UsageReport(3, 2), Finish("stop")])
    assert all("usage" not in chunk for chunk in data_of(stream)[:-1])


@pytest.mark.parametrize(
    ("chunks", "reason"),
    [
        ([TextDelta("x"), Finish("stop")], "stop"),
        ([TextDelta("x"), Finish("length")], "length"),
        ([Finish("length")], "length"),
        ([TextDelta("x"), Finish("content_filter")], "content_filter"),
        ([ToolCallDelta(0, "call_1", "f", "{}"), Finish("tool_calls")], "tool_calls"),
        ([ToolCallDelta(0, "call_1", "f", "{}"), Finish("stop")], "tool_calls"),
    ],
)
def test_the_finish_reason_is_the_same_whole_and_streamed(chunks: list[Chunk], reason: str) -> None:
    whole, stream = told(chunks)
    assert whole["choices"][0]["finish_reason"] == reason
    assert data_of(stream)[-2]["choices"][0]["finish_reason"] == reason
    assert data_of(stream)[0]["choices"][0]["delta"]["role"] == "assistant"


def test_functions_of_old_are_called_in_their_own_form() -> None:
    pieces = (
        ToolCallDelta(0, "call_1", "f", '{"a":'),
        ToolCallDelta(0, arguments="1}"),
        Finish("tool_calls"),
    )
    whole, stream = told(pieces, legacy_calls=True)
    choice = whole["choices"][0]
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"] == {"name": "f", "arguments": '{"a":1}'}
    assert "tool_calls" not in choice["message"]
    assert put_together(stream)["function_call"] == {"name": "f", "arguments": '{"a":1}'}


def test_parts_of_a_summary_are_told_as_paragraphs() -> None:
    whole, stream = told([SummaryDelta("one"), SummaryDelta("two", 1), TextDelta("x"), Finish("stop")])
    assert whole["choices"][0]["message"]["reasoning_content"] == "one\n\ntwo"
    assert put_together(stream)["reasoning_content"] == "one\n\ntwo"


def test_an_item_without_words_in_this_dialect_is_left_out() -> None:
    searched = {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}}
    whole, stream = told([ItemDone(searched), TextDelta("Found."), Finish("stop")])
    message = whole["choices"][0]["message"]
    assert message == {"role": "assistant", "content": "Found.", "refusal": None, "annotations": []}
    assert put_together(stream) == {"role": "assistant", "content": "Found.", "refusal": None}


def test_an_error_after_the_first_byte_is_an_object_in_the_stream_which_then_has_no_end() -> None:
    fold = fold_of()
    events = [*fold.start(), *fold.feed([TextDelta("Hi")])]
    events += [*fold.fail(UpstreamError("The engine broke.")), *fold.terminal()]
    writer = ChunkWriter(fold.response, usage=True, legacy_calls=False)
    last = data_of(writer.frames(events))[-1]
    error = {
        "message": "The engine broke.",
        "type": "upstream_error",
        "param": None,
        "code": "upstream_error",
    }
    assert last == {"error": error}


def test_a_cancelled_stream_says_so() -> None:
    fold = fold_of()
    events = [*fold.start(), *fold.feed([TextDelta("Hi")]), *fold.cancel(), *fold.terminal()]
    writer = ChunkWriter(fold.response, usage=False, legacy_calls=False)
    assert data_of(writer.frames(events))[-1]["error"]["message"] == "The completion was cancelled."


def test_a_stored_completion_is_the_one_that_was_told_with_its_metadata() -> None:
    fold = fold_of(metadata={"a": "b"}, previous_response_id="resp_1", service_tier="fast")
    fold.start()
    fold.feed([TextDelta("Hi"), UsageReport(3, 2), Finish("stop")])
    fold.finish(9)
    response = fold.response
    stored = whole_response(
        stored_fields(response),
        id=response.id,
        created_at=response.created_at,
        status=response.status,
        model=response.model,
        previous_response_id=response.previous_response_id,
        output=msgspec.json.encode(response.output),
    )
    assert stored_completion(stored) == {**completion(response), "metadata": {"a": "b"}}
    assert completion(response)["previous_response_id"] == "resp_1"
    assert completion(response)["service_tier"] == "priority"


def test_a_completion_that_did_not_end_has_no_finish_reason() -> None:
    fold = fold_of()
    fold.start()
    fold.feed([TextDelta("Hi")])
    choice = completion(fold.response)["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Hi", None)


# As a list of messages


def test_items_are_listed_as_the_messages_that_they_were() -> None:
    listed = messages_of(
        [
            {
                "type": "message",
                "role": "developer",
                "content": [{"type": "input_text", "text": "Be brief."}],
            },
            {"role": "user", "content": "Hi", "name": "ann"},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Ask."}]},
            {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
            {"type": "web_search_call"},
            {"type": "function_call_output", "call_id": "call_1", "output": "1"},
            {"type": "message", "role": "assistant", "content": "One."},
            {"type": "message", "role": "assistant", "content": "Two.", "name": "bob"},
        ]
    )
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    answer: dict[str, Any] = {"role": "assistant", "refusal": None, "annotations": [], "content_parts": None}
    assert listed == [
        {"role": "developer", "content": "Be brief.", "content_parts": None},
        {"role": "user", "content": "Hi", "name": "ann", "content_parts": None},
        {**answer, "content": "Ask.", "reasoning_content": "Hm.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "1", "content_parts": None},
        {**answer, "content": "One."},
        {**answer, "content": "Two.", "name": "bob"},
    ]


def test_content_in_parts_is_listed_as_parts() -> None:
    (listed,) = messages_of(
        [
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is this?"},
                    {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"},
                    {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
                    {"type": "input_file", "file_id": "file-1"},
                ],
            }
        ]
    )
    assert listed["content"] == "What is this?"
    assert listed["content_parts"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "file", "file": {"file_id": "file-1"}},
    ]
