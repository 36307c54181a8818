"""The response object: every key at every stage, defaults, what is repeated, how it ends (spec §2.1)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from catena.chunks import Finish, TextDelta
from catena.config import Config, StreamSettings
from catena.errors import CatenaError, UpstreamError
from catena.upstream.scripted import ScriptedUpstream
from tests.conformance.answers import ANSWERS, ENDINGS, HOSTED, TOOLS, engine
from tests.conformance.official import read_response
from tests.conformance.proves import proves
from tests.conformance.streams import events_in, listen
from tests.running import LIMIT, RunningServer, StartServer

KEYS = {
    *("id", "object", "created_at", "status", "background", "completed_at", "error", "incomplete_details"),
    *("instructions", "max_output_tokens", "max_tool_calls", "metadata", "model", "output"),
    *("parallel_tool_calls", "previous_response_id", "conversation", "prompt", "prompt_cache_key"),
    *("prompt_cache_retention", "reasoning", "safety_identifier", "service_tier", "store", "temperature"),
    *("text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "usage", "user"),
    *("frequency_penalty", "presence_penalty", "moderation", "access_programs"),
}
"""Every key that the API names but for those that the API leaves out where they say nothing."""

OPEN_RESPONSES_KEYS = {
    *("id", "object", "created_at", "completed_at", "status", "incomplete_details", "model"),
    *("previous_response_id", "instructions", "output", "error", "tools", "tool_choice", "truncation"),
    *("parallel_tool_calls", "text", "top_p", "presence_penalty", "frequency_penalty", "top_logprobs"),
    *("temperature", "reasoning", "usage", "max_output_tokens", "max_tool_calls", "store", "background"),
    *("service_tier", "metadata", "safety_identifier", "prompt_cache_key"),
}
NUMBERS = ("top_p", "presence_penalty", "frequency_penalty", "top_logprobs", "temperature")


def check_whole(response: dict[str, Any]) -> None:
    assert response.keys() >= KEYS
    assert len(OPEN_RESPONSES_KEYS) == 31
    assert response.keys() >= OPEN_RESPONSES_KEYS
    assert all(type(response[name]) in (int, float) for name in NUMBERS)
    assert isinstance(response["metadata"], dict)
    assert isinstance(response["service_tier"], str)
    for seconds in ("created_at", "completed_at"):
        assert type(response[seconds]) in (int, type(None))
    assert "output_text" not in response


@proves("2.1.keys", "2.1.created_at", "2.1.metadata", "2.1.24", "OR.keys", "P.same")
@pytest.mark.parametrize("answer", [*ANSWERS.values(), *ENDINGS.values(), *HOSTED.values()])
async def test_every_key_is_there_at_every_stage(start_server: StartServer, answer: Any) -> None:
    async with start_server(engine=engine([*answer, Finish("stop")], dialect="responses")) as server:
        told = await listen(server, tools=TOOLS)
        stages = [event["response"] for event in told if "response" in event]
        assert [stage["status"] for stage in stages[:2]] == ["in_progress", "in_progress"]
        assert len(stages) == 3
        retrieved = await server.http.get(f"/responses/{stages[0]['id']}")
        read_response(retrieved.content)
        assert retrieved.json() == stages[-1]
        plain = await server.post("/responses", {"model": "m", "input": "?", "tools": TOOLS})
        read_response(plain.content)
        for response in (*stages, plain.json()):
            check_whole(response)
        assert plain.json() == (await server.http.get(f"/responses/{plain.json()['id']}")).json()


@proves("2.1.keys", "2.1.status", "2.1.usage", "2.3.32", "P.announced")
async def test_a_response_can_be_read_while_it_is_made(start_server: StartServer) -> None:
    go_on = asyncio.Event()

    def script(_: Any) -> Any:
        yield TextDelta("half")
        yield go_on
        yield Finish("stop")

    async with start_server(engine=ScriptedUpstream(script)) as server, asyncio.timeout(LIMIT):
        stream = await server.client.responses.create(model="m", input="?", stream=True)
        async for event in stream:
            if event.type == "response.created":
                response_id = event.response.id
            if event.type == "response.output_text.delta":
                break
        now = await server.http.get(f"/responses/{response_id}")
        read_response(now.content)
        check_whole(now.json())
        assert (now.json()["status"], now.json()["usage"]) == ("in_progress", None)
        assert now.json()["output"][0]["status"] == "incomplete"
        go_on.set()
        assert [event.type async for event in stream][-1] == "response.completed"


@proves("2.1.defaults", "2.1.metadata", "2.1.model")
async def test_what_was_not_asked_for_is_told_by_its_default(server: RunningServer) -> None:
    told = (await server.post("/responses", {"model": "gpt-4o-mini", "input": "hi"})).json()
    for own in ("id", "created_at", "completed_at", "output", "usage"):
        del told[own]
    assert told == {
        "object": "response",
        "access_programs": None,
        "background": False,
        "conversation": None,
        "error": None,
        "frequency_penalty": 0.0,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "metadata": {},
        "model": "gpt-4o-mini",
        "moderation": None,
        "parallel_tool_calls": True,
        "presence_penalty": 0.0,
        "previous_response_id": None,
        "prompt": None,
        "prompt_cache_key": None,
        "prompt_cache_retention": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "auto",
        "status": "completed",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "user": None,
    }


GIVEN: dict[str, Any] = {
    "frequency_penalty": 0.5,
    "instructions": "Be brief.",
    "max_output_tokens": 100,
    "max_tool_calls": 3,
    "metadata": {"a": "b"},
    "parallel_tool_calls": False,
    "presence_penalty": -0.5,
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
    "safety_identifier": "s",
    "service_tier": "flex",
    "temperature": 0.2,
    "top_logprobs": 2,
    "top_p": 0.9,
    "truncation": "disabled",
    "user": "u",
}


@proves("2.1.given", "2.1.service_tier", "2.1.20", "P.metadata")
async def test_what_was_asked_for_is_repeated(server: RunningServer) -> None:
    first = await server.client.responses.create(model="m", input="hi")
    reply = await server.post(
        "/responses",
        {
            **GIVEN,
            "model": "m",
            "input": "hi",
            "previous_response_id": first.id,
            "reasoning": {"effort": "high", "summary": "auto", "context": "all_turns", "mode": "standard"},
            "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}, "verbosity": "low"},
            "access_programs": {"cyber": "standard"},
            "image": {"context_compression": "enabled"},
            "prompt_cache_options": {"ttl": "12h"},
        },
    )
    read_response(reply.content)
    told = reply.json()
    assert {name: told[name] for name in GIVEN} == GIVEN
    assert told["previous_response_id"] == first.id
    assert told["reasoning"] == {
        "effort": "high",
        "summary": "auto",
        "context": "all_turns",
        "mode": "standard",
    }
    schema: dict[str, Any] = {
        "type": "json_schema",
        "name": "n",
        "schema": {},
        "description": None,
        "strict": False,
    }
    assert told["text"] == {"format": schema, "verbosity": "low"}
    assert told["access_programs"] == {"cyber": "standard"}
    assert told["image"] == {"context_compression": "enabled"}
    assert told["prompt_cache_options"] == {"mode": "implicit", "ttl": "12h"}


@proves("2.1.17")
async def test_what_belongs_to_the_delivery_is_not_repeated(server: RunningServer) -> None:
    told = await listen(
        server,
        include=["reasoning.encrypted_content"],
        stream_options={"include_obfuscation": False},
        client_metadata={"a": "b"},
    )
    delivery = {"include", "stream", "stream_options", "context_management", "client_metadata"}
    assert not delivery & told[-1]["response"].keys()


@proves("2.1.19", "OR.tools")
async def test_functions_are_repeated_whole(server: RunningServer) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    told = await server.post(
        "/responses",
        {
            "model": "m",
            "input": "?",
            "tools": [
                {"type": "function", "name": "f", "parameters": schema},
                {"type": "function", "name": "g"},
            ],
        },
    )
    assert told.json()["tools"] == [
        {
            "type": "function",
            "name": "f",
            "description": None,
            "parameters": {**schema, "required": ["city"], "additionalProperties": False},
            "strict": True,
        },
        {"type": "function", "name": "g", "description": None, "parameters": None, "strict": True},
    ]


@proves("2.1.21", "2.1.usage")
async def test_usage_is_what_the_engine_counted(start_server: StartServer) -> None:
    async with start_server(engine=engine(ANSWERS["text"])) as server:
        told = await listen(server)
        stages = [event["response"]["usage"] for event in told if "response" in event]
        assert stages == [
            None,
            None,
            {
                "input_tokens": 7,
                "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 4},
                "output_tokens": 3,
                "output_tokens_details": {"reasoning_tokens": 1},
                "total_tokens": 10,
            },
        ]


# How a response ends


@proves("2.1.22", "2.1.status", "2.1.created_at", "2.1.error", "OR.incomplete")
@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_response_that_was_cut_short_is_incomplete(start_server: StartServer, ending: str) -> None:
    async with start_server(engine=engine(ENDINGS[ending])) as server:
        reply = await server.post("/responses", {"model": "m", "input": "?", "tools": TOOLS})
        assert reply.status_code == 200
        response = reply.json()
        reason = "content_filter" if ending == "content_filter" else "max_output_tokens"
        assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": reason})
        assert (response["completed_at"], response["error"]) == (None, None)
        *whole, last = [item.get("status") for item in response["output"]]
        assert "incomplete" not in whole
        assert last == "incomplete"


@proves("2.1.23", "2.1.error", "2.1.created_at", "2.1.status", "OR.response_error")
@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        (UpstreamError("gone", code="upstream_disconnected"), "server_error"),
        (UpstreamError("busy", upstream_status=429, code="rate_limit_exceeded"), "rate_limit_exceeded"),
        (UpstreamError("wrong", upstream_status=400), "invalid_prompt"),
        (RuntimeError("a fault"), "server_error"),
    ],
)
async def test_a_failed_response_has_an_official_code(
    start_server: StartServer, trouble: Exception, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with start_server(engine=engine([TextDelta("half"), trouble])) as server:
        told = await listen(server)
        response = told[-1]["response"]
        assert (response["status"], response["completed_at"]) == ("failed", None)
        assert response["error"]["code"] == code
        message = CatenaError().message if isinstance(trouble, RuntimeError) else str(trouble)
        assert response["error"]["message"] == message
        assert bool(caplog.records) == isinstance(trouble, RuntimeError)
        read_response((await server.http.get(f"/responses/{response['id']}")).content)


@proves("2.1.status", "2.1.usage", "2.1.created_at", "3.2.cancelled", "4.2.25", "2.3.32", "P.dropped_engine")
async def test_a_stream_that_was_left_is_cancelled_and_can_be_continued(start_server: StartServer) -> None:
    stopped = asyncio.Event()

    def script(_: Any) -> Any:
        yield TextDelta("half")
        try:
            yield asyncio.Event()
        finally:
            stopped.set()

    config = Config(streams=StreamSettings(grace_seconds=0))
    left = ScriptedUpstream(script)
    async with start_server(config=config, engine=left) as server, asyncio.timeout(LIMIT):
        response_id = await begin_and_leave(server)
        await stopped.wait()
        told = events_in((await server.http.get(f"/responses/{response_id}?stream=true")).content)
        assert told[-1]["type"] == "response.failed"
        response = told[-1]["response"]
        assert (response["status"], response["usage"]) == ("cancelled", None)
        assert (response["error"], response["completed_at"]) == (None, None)
        assert response["output"][0]["status"] == "incomplete"
        assert (await server.http.get(f"/responses/{response_id}")).json() == response
        left.script = lambda _: ANSWERS["text"]
        await server.client.responses.create(model="m", input="go on", previous_response_id=response_id)
        assert [message["content"] for message in server.seen()] == ["?", "half", "go on"]


async def begin_and_leave(server: RunningServer) -> str:
    """The id of a response whose client heard its first word and went away."""
    stream = await server.client.responses.create(model="m", input="?", stream=True)
    async for event in stream:
        if event.type == "response.created":
            response_id: str = event.response.id
        if event.type == "response.output_text.delta":
            break
    await stream.close()
    return response_id
