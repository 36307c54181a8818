"""What the recordings do not show: switches, odd ends, and the names of things."""

from __future__ import annotations

import json
from typing import Any

import pytest

from catena.chunks import (
    Boundary,
    Finish,
    ItemDone,
    ItemEvent,
    ItemStarted,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from catena.errors import UpstreamError
from catena.upstream.chat_stream import ChatStream
from catena.upstream.faults import Faults
from catena.upstream.listing import listed_models
from catena.upstream.request import request_body
from catena.upstream.responses_stream import ResponsesStream

FAULTS = Faults("lab")


def chat_event(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    return json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}).encode()


def response_event(kind: str, **fields: Any) -> bytes:
    return json.dumps({"type": kind, **fields}).encode()


class TestChat:
    @pytest.mark.parametrize("before", [[], [chat_event({"content": "Hi"})]])
    def test_an_error_is_one_also_where_it_has_text(self, before: list[bytes]) -> None:
        stream = ChatStream(FAULTS)
        for event in before:
            stream.feed(event)
        with pytest.raises(UpstreamError):
            stream.feed(chat_event({"content": "no"}, object="error", message="broken"))

    @pytest.mark.parametrize(
        ("reason", "finish"),
        [
            ("stop", "stop"),
            ("eos", "stop"),
            ("end_turn", "stop"),
            ("something new", "stop"),
            ("tool_calls", "tool_calls"),
            ("function_call", "tool_calls"),
            ("length", "length"),
            ("max_tokens", "length"),
            ("content_filter", "content_filter"),
        ],
    )
    def test_reasons_to_stop(self, reason: str, finish: str) -> None:
        stream = ChatStream(FAULTS)
        assert stream.feed(chat_event({}, reason)) == [Finish(finish)]
        assert stream.finished
        assert not stream.over
        assert stream.feed(b"[DONE]") == []
        assert stream.over

    def test_a_stop_after_calls_is_a_stop_for_calls(self) -> None:
        stream = ChatStream(FAULTS)
        stream.feed(chat_event({"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}))
        assert stream.feed(chat_event({}, "stop")) == [Finish("tool_calls")]

    def test_an_end_without_any_answer_is_a_cut(self) -> None:
        with pytest.raises(UpstreamError, match="in the middle"):
            ChatStream(FAULTS).feed(b"[DONE]")

    def test_thoughts_in_tags_can_be_left_in_the_text(self) -> None:
        stream = ChatStream(FAULTS, parse_think=False)
        assert stream.feed(chat_event({"content": "<think>a</think>b"})) == [TextDelta("<think>a</think>b")]

    def test_an_engine_that_parses_thoughts_itself_means_tags_as_text(self) -> None:
        stream = ChatStream(FAULTS)
        assert stream.feed(chat_event({"reasoning": "a"})) == [ReasoningDelta("a")]
        assert stream.feed(chat_event({"content": "<think>"})) == [TextDelta("<think>")]

    def test_usage_may_come_with_every_event(self) -> None:
        stream = ChatStream(FAULTS)
        usage = {"prompt_tokens": 5, "completion_tokens": 1}
        chunks = stream.feed(chat_event({"content": "a"}, usage=usage))
        assert chunks == [TextDelta("a"), UsageReport(5, 1)]

    def test_alternatives_that_nobody_asked_for_are_passed_over(self) -> None:
        event = {
            "choices": [{"index": 1, "delta": {"content": "other"}}, {"index": 0, "delta": {"content": "a"}}]
        }
        assert ChatStream(FAULTS).feed(json.dumps(event).encode()) == [TextDelta("a")]

    @pytest.mark.parametrize("data", [b"{}", b'{"type":"ping"}', b'{"choices":[]}', b"", b"  "])
    def test_events_of_nothing_are_passed_over(self, data: bytes) -> None:
        assert ChatStream(FAULTS).feed(data) == []

    @pytest.mark.parametrize("data", [b"{", b"[]", b"1", b'"x"', b'{"choices":7}', b"<html>", b"\xff"])
    def test_what_is_no_completion_is_the_engines_fault(self, data: bytes) -> None:
        with pytest.raises(UpstreamError) as caught:
            ChatStream(FAULTS).feed(data)
        assert (caught.value.http_status, caught.value.code) == (502, "upstream_protocol_error")

    def test_a_nameless_call_is_the_engines_fault(self) -> None:
        stream = ChatStream(FAULTS)
        stream.feed(chat_event({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}))
        with pytest.raises(UpstreamError, match="without a name"):
            stream.feed(chat_event({}, "tool_calls"))

    def test_a_nameless_call_that_was_cut_off_is_no_fault(self) -> None:
        stream = ChatStream(FAULTS)
        stream.feed(chat_event({"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]}))
        assert stream.feed(chat_event({}, "length")) == [Finish("length")]

    @pytest.mark.parametrize("event", [{"message": "Not this way"}, {"detail": "Not this way"}])
    def test_an_error_need_not_say_that_it_is_one(self, event: dict[str, Any]) -> None:
        with pytest.raises(UpstreamError, match="Not this way"):
            ChatStream(FAULTS).feed(json.dumps(event).encode())


HOSTED = {"id": "x_1", "type": "new_kind_call", "status": "in_progress", "what": [1, {"a": None}]}


class TestResponses:
    def test_items_of_unknown_kinds_pass_whole(self) -> None:
        stream = ResponsesStream(FAULTS)
        started = {name: value for name, value in HOSTED.items() if name != "id"}
        assert stream.feed(response_event("response.output_item.added", output_index=0, item=HOSTED)) == [
            ItemStarted(started)
        ]
        told = response_event(
            "response.new_kind_call.step",
            output_index=0,
            item_id="x_1",
            sequence_number=9,
            step=3,
            obfuscation="x",
        )
        assert stream.feed(told) == [ItemEvent("response.new_kind_call.step", {"step": 3})]
        done = {**HOSTED, "status": "completed"}
        assert stream.feed(response_event("response.output_item.done", output_index=0, item=done)) == [
            ItemDone({**started, "status": "completed"})
        ]

    def test_what_is_told_of_a_later_item_waits_for_its_turn(self) -> None:
        stream = ResponsesStream(FAULTS)
        call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": ""}
        stream.feed(response_event("response.output_item.added", output_index=0, item={"type": "message"}))
        assert stream.feed(response_event("response.output_item.added", output_index=1, item=call)) == []
        assert (
            stream.feed(response_event("response.function_call_arguments.delta", output_index=1, delta="{}"))
            == []
        )
        assert stream.feed(response_event("response.output_text.delta", output_index=0, delta="a")) == [
            TextDelta("a")
        ]
        done = response_event("response.output_item.done", output_index=0, item={"type": "message"})
        assert stream.feed(done) == [Boundary(), ToolCallDelta(1, "c", "f"), ToolCallDelta(1, arguments="{}")]

    def test_what_still_waits_at_the_end_is_told(self) -> None:
        stream = ResponsesStream(FAULTS)
        stream.feed(response_event("response.output_text.delta", output_index=0, delta="a"))
        stream.feed(response_event("response.output_text.delta", output_index=1, delta="b"))
        end = response_event("response.completed", response={"status": "completed"})
        assert stream.feed(end) == [TextDelta("b"), Finish("stop")]

    def test_events_of_the_future_are_passed_over(self) -> None:
        stream = ResponsesStream(FAULTS)
        assert stream.feed(response_event("keepalive")) == []
        assert stream.feed(response_event("response.brand_new.thing", output_index=4, delta="x")) == []

    def test_nothing_is_heard_after_the_end(self) -> None:
        stream = ResponsesStream(FAULTS)
        stream.feed(response_event("response.completed", response={}))
        assert stream.over
        assert stream.feed(response_event("response.output_text.delta", output_index=0, delta="a")) == []

    @pytest.mark.parametrize(
        ("end", "finish"),
        [
            ({"status": "completed"}, "stop"),
            ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
            ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
            ({"status": "incomplete", "incomplete_details": None}, "length"),
            ({"status": "in_progress"}, "stop"),
            ({}, "stop"),
        ],
    )
    def test_the_response_itself_says_how_it_ended(self, end: dict[str, Any], finish: str) -> None:
        stream = ResponsesStream(FAULTS)
        assert stream.feed(response_event("response.completed", response=end)) == [Finish(finish)]

    @pytest.mark.parametrize("status", ["failed", "cancelled"])
    def test_an_end_without_success_is_an_error(self, status: str) -> None:
        with pytest.raises(UpstreamError, match=status):
            ResponsesStream(FAULTS).feed(response_event(f"response.{status}", response={"status": status}))

    @pytest.mark.parametrize(
        "data", [b"{", b"[]", b"<html>", b'{"type":"response.output_item.added","item":{}}']
    )
    def test_what_is_no_response_is_the_engines_fault(self, data: bytes) -> None:
        with pytest.raises(UpstreamError) as caught:
            ResponsesStream(FAULTS).feed(data)
        assert (caught.value.http_status, caught.value.code) == (502, "upstream_protocol_error")


class TestListing:
    @pytest.mark.parametrize(
        ("reply", "models"),
        [
            (
                {"object": "list", "data": [{"id": "a", "created": 7, "owned_by": "lab"}, {"id": "b"}]},
                [("a", 7, "lab"), ("b", 0, "system")],
            ),
            ({"object": "list", "data": None}, []),
            ({"models": [{"name": "q:8b", "model": "q:8b"}]}, [("q:8b", 0, "system")]),
            (
                {"models": [{"name": "m"}], "data": [{"id": "m", "owned_by": "llamacpp"}]},
                [("m", 0, "llamacpp")],
            ),
            ([{"id": "a"}], [("a", 0, "system")]),
            (
                {"data": [None, {}, {"id": 7}, {"id": "a", "created": "x", "owned_by": ""}]},
                [("a", 0, "system")],
            ),
        ],
    )
    def test_lists_of_models(self, reply: Any, models: list[tuple[str, int, str]]) -> None:
        listed = listed_models(json.dumps(reply).encode())
        assert [(model.id, model.created, model.owned_by) for model in listed] == models

    @pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b'{"data":7}', b'{"error":"x"}'])
    def test_what_is_no_list(self, body: bytes) -> None:
        with pytest.raises(ValueError):
            listed_models(body)


class TestRequestBody:
    @pytest.mark.parametrize("options", [{}, {"temperature": 0.5, "tools": [{"a": "é"}]}])
    @pytest.mark.parametrize("fragments", [[], [b'{"a":1}'], [b'{"a":1},{"b":2}', b'{"c":3}']])
    def test_the_pieces_are_one_json_object(self, fragments: list[bytes], options: dict[str, Any]) -> None:
        body = request_body('m"1', "messages", fragments, options, b'"stream":true')
        messages = json.loads(b"[" + b",".join(fragments) + b"]")
        assert json.loads(b"".join(body)) == {"model": 'm"1', "messages": messages, **options, "stream": True}

    def test_fragments_are_not_copied(self) -> None:
        fragments = [b'{"a":1}', b'{"b":2}']
        body = request_body("m", "input", fragments, {}, b'"stream":true')
        assert [piece for piece in body if any(piece is fragment for fragment in fragments)] == fragments
