"""Answers that have a form: what the schema must be, what the engine sees, what becomes of an answer (spec §9.10)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from openai import APIStatusError
from pydantic import BaseModel

from catena.chunks import Chunk, Finish, RefusalDelta, TextDelta, ToolCallDelta, UsageReport
from catena.upstream import Prompt
from catena.upstream.scripted import ScriptedUpstream
from tests.conformance.streams import listen
from tests.running import RunningServer, StartServer

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
    "additionalProperties": False,
}
STRICT: Any = {"format": {"type": "json_schema", "name": "person", "schema": SCHEMA, "strict": True}}
LAX: Any = {"format": {"type": "json_schema", "name": "person", "schema": SCHEMA}}
OBJECT: Any = {"format": {"type": "json_object"}}
GOOD, BAD = '{"name":"Ada"}', '{"name":7}'
TOOL: Any = {"type": "function", "name": "f"}


def saying(*answers: str | Iterable[Chunk]) -> ScriptedUpstream:
    """An engine that gives these answers, one after the other."""
    left = list(answers)

    def script(prompt: Prompt) -> Iterable[Chunk]:
        answer = left.pop(0)
        if isinstance(answer, str):
            return [TextDelta(answer), UsageReport(10, 3, cached_tokens=1), Finish("stop")]
        return answer

    return ScriptedUpstream(script)


async def ask(server: RunningServer, text: Any, **more: Any) -> dict[str, Any]:
    reply = await server.post("/responses", {"model": "m", "input": "Who?", "text": text, **more})
    assert reply.status_code == 200, reply.text
    response: dict[str, Any] = reply.json()
    return response


def said(response: dict[str, Any]) -> str:
    return "".join(part["text"] for item in response["output"] for part in item.get("content", ()))


# The schema

EVERY = "'required' is required to be supplied and to be an array including every key in properties."


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        ({"type": "array"}, "schema must be a JSON Schema of 'type: \"object\"', got 'type: \"array\"'."),
        ({"anyOf": [SCHEMA]}, "schema must be a JSON Schema of 'type: \"object\"', got 'type: \"None\"'."),
        (
            {**SCHEMA, "additionalProperties": True},
            "In context=(), 'additionalProperties' is required to be supplied and to be false.",
        ),
        (
            {**SCHEMA, "required": []},
            f"In context=(), {EVERY} Missing 'name'.",
        ),
        (
            {**SCHEMA, "required": ["name", "age"]},
            f"In context=(), {EVERY} Extra required key 'age' supplied.",
        ),
        (
            {**SCHEMA, "properties": {"name": {"type": "object"}}},
            "In context=('properties', 'name'), 'additionalProperties' is required to be supplied and to be false.",
        ),
        (
            {**SCHEMA, "properties": {"name": {"anyOf": [{"type": "array"}]}}},
            "In context=('properties', 'name', 'anyOf', '0'), array schema missing items.",
        ),
        (
            {**SCHEMA, "properties": {"name": {"type": "array", "items": {}}}},
            "In context=('properties', 'name', 'items'), schema must have a 'type' key.",
        ),
        (
            {**SCHEMA, "properties": {"name": {"type": "string", "oneOf": []}}},
            None,
        ),
        (
            {**SCHEMA, "properties": {"name": {"type": "string", "not": {"type": "null"}}}},
            "In context=('properties', 'name'), 'not' is not permitted.",
        ),
        (
            {**SCHEMA, "$defs": {"a": {"description": "nothing"}}},
            "In context=('$defs', 'a'), schema must have a 'type' key.",
        ),
    ],
)
async def test_a_strict_schema_must_say_all_there_is(
    server: RunningServer, schema: dict[str, Any], fault: str | None
) -> None:
    form = {"type": "json_schema", "name": "person", "schema": schema, "strict": True}
    reply = await server.post("/responses", {"model": "m", "input": "?", "text": {"format": form}})
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert error["message"].startswith("Invalid schema for response_format 'person': ")
    assert fault is None or error["message"].endswith(fault)
    assert (error["type"], error["param"], error["code"]) == (
        "invalid_request_error",
        "text.format.schema",
        "invalid_json_schema",
    )
    assert server.engine.prompts == []


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objct"},
        {"type": "object", "properties": 5},
        {"type": "object", "required": [{}]},
        {"$ref": "#/$defs/nowhere"},
        {"type": "string", "pattern": "("},
        {"$ref": "http://127.0.0.1:9/elsewhere"},
        {"$schema": "http://127.0.0.1:9/elsewhere", "type": "object"},
    ],
)
async def test_what_is_no_schema_is_refused_whether_strict_or_not_and_nothing_is_fetched_for_it(
    server: RunningServer, schema: dict[str, Any]
) -> None:
    for strict in (True, False, None):
        form = {"type": "json_schema", "name": "person", "schema": schema, "strict": strict}
        reply = await server.post("/responses", {"model": "m", "input": "?", "text": {"format": form}})
        assert reply.status_code == 400
        assert reply.json()["error"]["code"] == "invalid_json_schema"


async def test_the_other_endpoint_says_the_same_of_its_own_parameter(server: RunningServer) -> None:
    schema = {"name": "person", "strict": True, "schema": {"type": "object"}}
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "?"}],
        "response_format": {"type": "json_schema", "json_schema": schema},
    }
    error = (await server.post("/chat/completions", body)).json()["error"]
    assert (error["param"], error["code"]) == ("response_format", "invalid_json_schema")


# What the engine sees


async def test_the_engine_is_given_the_schema_for_its_decoding(start_server: StartServer) -> None:
    async with start_server(engine=saying(GOOD)) as server:
        response = await ask(server, STRICT)
        assert server.engine.prompts[0].options["response_format"] == {
            "type": "json_schema",
            "json_schema": {"name": "person", "schema": SCHEMA, "strict": True},
        }
        assert said(response) == GOOD
        assert response["text"]["format"]["strict"] is True


# What becomes of the answer


@pytest.mark.parametrize(
    ("text", "bad", "why"),
    [
        (STRICT, BAD, "7 is not of type \"string\" at ['name']"),
        (STRICT, "{}", '"name" is a required property'),
        (STRICT, "Ada", "it is no JSON"),
        (OBJECT, "[1]", "it is no JSON object"),
        (OBJECT, "", "it is no JSON object"),
    ],
)
async def test_an_answer_that_does_not_fit_is_asked_for_once_more(
    start_server: StartServer, text: Any, bad: str, why: str
) -> None:
    complaint = f"This is not of the form that was asked for: {why}. Answer again, with nothing but the JSON."
    async with start_server(engine=saying(bad, GOOD)) as server:
        response = await ask(server, text)
        assert (response["status"], said(response)) == ("completed", GOOD)
        assert (response["usage"]["input_tokens"], response["usage"]["output_tokens"]) == (20, 6)
        assert server.seen(0) == [{"role": "user", "content": "Who?"}]
        assert server.seen(1) == [
            {"role": "user", "content": "Who?"},
            {"role": "assistant", "content": bad},
            {"role": "user", "content": complaint},
        ]
        page = await server.http.get(f"/responses/{response['id']}/input_items")
        assert len(page.json()["data"]) == 1


async def test_an_answer_that_never_fits_fails_and_leaves_nothing(start_server: StartServer) -> None:
    async with start_server(engine=saying(BAD, BAD)) as server:
        reply = await server.post("/responses", {"model": "m", "input": "Who?", "text": STRICT})
        assert reply.status_code == 502
        error = reply.json()["error"]
        assert (error["type"], error["code"]) == ("upstream_error", "invalid_structured_output")
        assert "7 is not of type" in error["message"]
        assert len(server.engine.prompts) == 2
        assert (await server.store.usage()).turns == 0


@pytest.mark.parametrize("store", [True, False])
async def test_what_was_streamed_is_not_taken_back_but_fails(start_server: StartServer, store: bool) -> None:
    async with start_server(engine=saying(BAD)) as server:
        events = await listen(server, text=STRICT, store=store)
        assert [event["type"] for event in events][-2:] == ["error", "response.failed"]
        assert events[-2]["code"] == "invalid_structured_output"
        assert said(events[-1]["response"]) == BAD
        assert len(server.engine.prompts) == 1


async def test_a_background_response_that_does_not_fit_is_failed(start_server: StartServer) -> None:
    async with start_server(engine=saying(BAD)) as server:
        response = (await listen(server, text=STRICT, background=True))[-1]["response"]
        assert response["status"] == "failed"
        assert "text.format" in response["error"]["message"]


NOT_CHECKED: dict[str, list[Chunk]] = {
    "a refusal": [RefusalDelta("no"), Finish("stop")],
    "cut off": [TextDelta('{"na'), Finish("length")],
    "a call": [TextDelta("let me see"), ToolCallDelta(0, "call_1", "f", "{}"), Finish("tool_calls")],
    "a call, said to be none": [TextDelta("see"), ToolCallDelta(0, "call_1", "f", "{}"), Finish("stop")],
}


@pytest.mark.parametrize("name", NOT_CHECKED)
async def test_what_is_no_answer_is_not_checked(start_server: StartServer, name: str) -> None:
    async with start_server(engine=saying(NOT_CHECKED[name])) as server:
        response = await ask(server, STRICT, tools=[TOOL])
        assert response["status"] == ("incomplete" if name == "cut off" else "completed")
        if name == "a refusal":
            assert response["output"][0]["content"] == [{"type": "refusal", "refusal": "no"}]


async def test_a_schema_that_is_not_strict_is_a_wish(start_server: StartServer) -> None:
    async with start_server(engine=saying("Ada")) as server:
        assert said(await ask(server, LAX)) == "Ada"
        assert len(server.engine.prompts) == 1


async def test_an_engine_of_the_responses_api_sees_to_its_answers_itself(start_server: StartServer) -> None:
    engine = ScriptedUpstream(lambda _: [TextDelta("Ada"), Finish("stop")], dialect="responses")
    async with start_server(engine=engine) as server:
        assert said(await ask(server, STRICT)) == "Ada"


async def test_the_sdk_parses_what_it_gets(start_server: StartServer) -> None:
    class Person(BaseModel):
        name: str

    async with start_server(engine=saying(GOOD, BAD, BAD)) as server:
        parsed = await server.client.responses.parse(model="m", input="Who?", text_format=Person)
        assert parsed.output_parsed == Person(name="Ada")
        with pytest.raises(APIStatusError) as failure:
            await server.client.responses.parse(model="m", input="Who?", text_format=Person)
        assert failure.value.status_code == 502
