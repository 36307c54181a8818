"""Which events come, in which order, for every shape of output (spec §4.1, §4.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from catena.chunks import Finish, TextDelta, ToolCallDelta
from catena.config import Config, StreamSettings
from catena.errors import UpstreamError
from catena.upstream.scripted import ScriptedUpstream
from tests.conformance.answers import ANSWERS, ENDINGS, HOSTED, TOOLS, engine
from tests.conformance.proves import proves
from tests.conformance.streams import events_in, listen, types_of
from tests.running import LIMIT, RunningServer, StartServer

TEXT = ["content_part.added", "output_text.delta", "output_text.done", "content_part.done"]
SUMMARY_PART = ["reasoning_summary_part.added", "reasoning_summary_text.delta"]
SUMMARY_DONE = ["reasoning_summary_text.done", "reasoning_summary_part.done"]
ARGUMENTS = "function_call_arguments"
INPUT = "custom_tool_call_input"


def item(*events: str) -> list[str]:
    return ["output_item.added", *events, "output_item.done"]


ORDERS: dict[str, list[str]] = {
    "text": item(
        "content_part.added",
        *["output_text.delta", "output_text.delta", "output_text.annotation.added", "output_text.delta"],
        *["output_text.done", "content_part.done"],
    ),
    "two_parts": item(*TEXT, *TEXT),
    "phases": [*item(*TEXT), *item(*TEXT)],
    "refusal": item(
        "content_part.added", "refusal.delta", "refusal.delta", "refusal.done", "content_part.done"
    ),
    "summary": [
        *item(
            *SUMMARY_PART,
            "reasoning_summary_text.delta",
            *SUMMARY_DONE,
            *SUMMARY_PART,
            *SUMMARY_DONE,
        ),
        *item(*TEXT),
    ],
    "raw_reasoning": [
        *item(
            "content_part.added",
            *["reasoning_text.delta", "reasoning_text.delta", "reasoning_text.done"],
            "content_part.done",
        ),
        *item(*TEXT),
    ],
    "sealed_reasoning": [*item(), *item(*TEXT)],
    "function_call": item(f"{ARGUMENTS}.delta", f"{ARGUMENTS}.delta", f"{ARGUMENTS}.done"),
    "parallel_calls": [
        *item(*TEXT),
        *item(f"{ARGUMENTS}.delta", f"{ARGUMENTS}.done"),
        *item(f"{ARGUMENTS}.delta", f"{ARGUMENTS}.done"),
    ],
    "interleaved_calls": [
        *["output_item.added", f"{ARGUMENTS}.delta", "output_item.added", f"{ARGUMENTS}.delta"],
        *[f"{ARGUMENTS}.delta", f"{ARGUMENTS}.delta"],
        *[f"{ARGUMENTS}.done", "output_item.done", f"{ARGUMENTS}.done", "output_item.done"],
    ],
    "custom_call": item(f"{INPUT}.delta", f"{INPUT}.delta", f"{INPUT}.done"),
    "wrapped_call": item(f"{INPUT}.delta", f"{INPUT}.done"),
    "nothing": item(),
}


@proves("4.2.10", "4.2.11", "4.2.12", "4.2.13", "4.2.14", "4.2.15", "4.2.16", "4.2.17", "4.1.5")
@pytest.mark.parametrize("answer", ANSWERS)
async def test_the_events_of_every_shape_of_output(start_server: StartServer, answer: str) -> None:
    async with start_server(engine=engine(ANSWERS[answer])) as server:
        told = await listen(server, tools=TOOLS)
        assert types_of(told) == ["created", "in_progress", *ORDERS[answer], "completed"]
        assert [event["sequence_number"] for event in told] == list(range(len(told)))


CLOSED_BY = {
    "output_item.added": "output_item.done",
    "content_part.added": "content_part.done",
    "reasoning_summary_part.added": "reasoning_summary_part.done",
}


def place_of(event: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(event.get(name) for name in ("output_index", "content_index", "summary_index"))


@proves("4.2.10", "4.2.11", "2.3.32", "OR.items", "OR.function_call", "OR.reasoning")
@pytest.mark.parametrize("answer", [*ANSWERS.values(), *ENDINGS.values(), *HOSTED.values()])
async def test_whatever_is_added_is_done_and_nothing_follows_it(
    start_server: StartServer, answer: Sequence[Any]
) -> None:
    hosted = engine([*answer, Finish("stop")], dialect="responses")
    async with start_server(engine=hosted) as server:
        told = await listen(server, tools=TOOLS)
    assert types_of(told)[:2] == ["created", "in_progress"]
    assert [event["type"] for event in told if event["type"] in TERMINAL] == [told[-1]["type"]]
    opened: set[tuple[str, tuple[Any, ...]]] = set()
    closed: set[int] = set()
    for event, kind in zip(told, types_of(told), strict=True):
        assert event.get("output_index", -1) not in closed
        if kind in CLOSED_BY:
            opened.add((CLOSED_BY[kind], place_of(event)))
        elif (kind, place_of(event)) in opened:
            opened.remove((kind, place_of(event)))
        if kind == "output_item.done":
            closed.add(event["output_index"])
    assert opened == set()
    added = [event["output_index"] for event in told if event["type"] == "response.output_item.added"]
    assert added == list(range(len(told[-1]["response"]["output"])))
    done = {event["output_index"]: event["item"] for event in told if event["type"].endswith("item.done")}
    assert [done[index] for index in added] == told[-1]["response"]["output"]
    for event in told:
        if event["type"] == "response.output_item.added":
            assert event["item"].get("status") in (
                "in_progress",
                None,
                done[event["output_index"]].get("status"),
            )
    for each in done.values():
        check_item(each)


TERMINAL = {"response.completed", "response.incomplete", "response.failed"}
NO_STATUS = {"reasoning", "mcp_list_tools", "mcp_approval_request"}


def check_item(item: dict[str, Any]) -> None:
    assert item.keys() >= {"id", "type"}
    assert "status" in item or item["type"] in NO_STATUS
    match item["type"]:
        case "function_call":
            assert item.keys() >= {"id", "call_id", "name", "arguments", "status"}
        case "reasoning":
            assert isinstance(item["summary"], list)
            assert isinstance(item.get("content", []), list)
            assert isinstance(item.get("encrypted_content", ""), str)


HOSTED_ORDERS = {
    "mcp_list_tools": ["mcp_list_tools.in_progress", "mcp_list_tools.completed"],
    "mcp_call": [
        *["mcp_call.in_progress", "mcp_call_arguments.delta", "mcp_call_arguments.done"],
        "mcp_call.completed",
    ],
    "mcp_approval_request": [],
    "web_search_call": [f"web_search_call.{step}" for step in ("in_progress", "searching", "completed")],
    "file_search_call": [f"file_search_call.{step}" for step in ("in_progress", "searching", "completed")],
    "code_interpreter_call": [
        *["code_interpreter_call.in_progress", "code_interpreter_call_code.delta"],
        *["code_interpreter_call_code.done", "code_interpreter_call.interpreting"],
        "code_interpreter_call.completed",
    ],
    "image_generation_call": [
        f"image_generation_call.{step}"
        for step in ("in_progress", "generating", "partial_image", "completed")
    ],
    "shell_call": [f"shell_call_command.{step}" for step in ("added", "delta", "done")],
}


@proves("4.2.18", "4.2.19", "4.2.20", "4.2.21", "4.2.22")
@pytest.mark.parametrize("kind", HOSTED)
async def test_what_a_hosted_tool_does_passes_under_our_ids(start_server: StartServer, kind: str) -> None:
    answer = [TextDelta("see"), *HOSTED[kind], Finish("stop")]
    async with start_server(engine=engine(answer, dialect="responses")) as server:
        told = await listen(server)
        assert types_of(told)[8:-1] == item(*HOSTED_ORDERS[kind])
        (item_id,) = {event["item"]["id"] for event in told if event.get("item", {}).get("type") == kind}
        named = {event["item_id"] for event in told[8:] if "item_id" in event}
        assert named == ({item_id} if HOSTED_ORDERS[kind] and kind != "shell_call" else set())
        assert [event["sequence_number"] for event in told] == list(range(len(told)))
        response_id = told[-1]["response"]["id"]
        again = await server.http.get(f"/responses/{response_id}?stream=true")
        assert events_in(again.content) == told


# The wire itself


@proves("4.1.1", "4.1.2", "4.1.7", "OR.http", "P.same")
async def test_a_frame_is_two_lines_and_nothing_else(server: RunningServer) -> None:
    reply = await server.post("/responses", {"model": "m", "input": "a\nb é", "stream": True})
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    *frames, rest = reply.content.split(b"\n\n")
    assert rest == b""
    for frame in frames:
        event, data = frame.split(b"\n")
        assert event == b"event: " + msgspec.json.decode(data.removeprefix(b"data: "))["type"].encode()
        assert b"obfuscation" not in data
    assert "é".encode() in reply.content


@proves("OR.one_piece")
@pytest.mark.parametrize("resumed", [False, True])
async def test_every_event_is_sent_in_one_piece(server: RunningServer, resumed: bool) -> None:
    """As the server hands it to the network: a piece holds whole events only."""
    body = msgspec.json.encode({"model": "m", "input": "a b c", "stream": True})
    method, path, query = "POST", "/v1/responses", b""
    if resumed:
        told = events_in((await server.http.post("/responses", content=body)).content)
        method, path, query = "GET", f"/v1/responses/{told[0]['response']['id']}", b"stream=true"
    pieces = await pieces_of(server, method, path, query, body)
    events = [events_in(piece) for piece in pieces]
    assert all(events)
    assert sum(len(each) for each in events) == 12
    assert all(piece.endswith(b"\n\n") for piece in pieces)


async def pieces_of(server: RunningServer, method: str, path: str, query: bytes, body: bytes) -> list[bytes]:
    sent: list[bytes] = []
    asked = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if not asked:
            await asyncio.Event().wait()
        return asked.pop()

    async def send(message: Any) -> None:
        if message.get("body"):
            sent.append(message["body"])

    scope = {"type": "http", "method": method, "path": path, "query_string": query, "headers": []}
    async with asyncio.timeout(LIMIT):
        await server.app(scope, receive, send)
    return sent


@proves("4.1.6", "10.7")
async def test_an_idle_stream_gets_comments_that_a_reader_skips(start_server: StartServer) -> None:
    go_on = asyncio.Event()

    def script(_: Any) -> Any:
        yield go_on
        yield from ANSWERS["text"]

    config = Config(streams=StreamSettings(ping_seconds=0.01))
    async with start_server(config=config, engine=ScriptedUpstream(script)) as server, asyncio.timeout(LIMIT):
        asked = {"model": "m", "input": "?", "stream": True}
        heard = b""
        async with server.http.stream("POST", "/responses", json=asked) as reply:
            async for piece in reply.aiter_raw():
                heard += piece
                if b": ping\n\n" in heard:
                    go_on.set()
        assert types_of(events_in(heard)) == ["created", "in_progress", *ORDERS["text"], "completed"]


@proves("4.1.8")
async def test_include_usage_belongs_to_another_endpoint(server: RunningServer) -> None:
    body = {"model": "m", "input": "?", "stream": True, "stream_options": {"include_usage": True}}
    reply = await server.post("/responses", body)
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert (error["param"], error["code"]) == ("stream_options.include_usage", "unknown_parameter")


@proves("4.1.9")
@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"temperature": 3}, 400),
        ({"previous_response_id": "resp_1"}, 400),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, 404),
        ({"tools": [{"type": "image_generation"}]}, 400),
    ],
)
async def test_a_stream_that_cannot_begin_is_refused_by_a_status(
    server: RunningServer, wrong: dict[str, Any], status: int
) -> None:
    reply = await server.post("/responses", {"model": "m", "input": "?", "stream": True, **wrong})
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/json"
    assert reply.json().keys() == {"error"}


@proves("4.2.24", "4.3.26", "4.3.27", "OR.error_event", "4.2.10")
async def test_a_failure_is_told_by_an_error_and_then_the_end(start_server: StartServer) -> None:
    trouble = UpstreamError("The engine went away.", code="upstream_disconnected")
    async with start_server(engine=engine([TextDelta("half"), trouble])) as server:
        told = await listen(server)
        assert types_of(told)[-2:] == ["error", "failed"]
        error = told[-2]
        assert error == {
            "type": "error",
            "sequence_number": len(told) - 2,
            "code": "upstream_disconnected",
            "message": "The engine went away.",
            "param": None,
            "error": {
                "type": "upstream_error",
                "code": "upstream_disconnected",
                "message": "The engine went away.",
                "param": None,
            },
        }
        again = await server.http.get(f"/responses/{told[-1]['response']['id']}?stream=true")
        assert events_in(again.content) == told


@proves("4.2.17")
async def test_free_text_that_looks_like_arguments_stays_as_it_is(start_server: StartServer) -> None:
    """An engine that knows custom tools itself sends bare input; only what was wrapped is taken out again."""
    answer = [ToolCallDelta(0, "call_1", "c", '{"input":"x"}', custom=True), Finish("tool_calls")]
    async with start_server(engine=engine(answer, dialect="responses")) as server:
        told = await listen(server, tools=TOOLS)
        assert told[-1]["response"]["output"][0]["input"] == '{"input":"x"}'
