"""What a context has besides messages, on an engine that knows only those: calls that are answered later, settings that
stay in force, and what hosted tools did elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from openai import BadRequestError

from catena.chunks import Chunk, Finish, ItemDone, TextDelta, ToolCallDelta
from catena.upstream import Prompt
from catena.upstream.scripted import ScriptedUpstream, prompt_items
from tests.conformance.proves import proves
from tests.running import RunningServer, StartServer

REPORT: Any = {"type": "function", "name": "report", "async": True, "parameters": {"type": "object"}}
WEATHER: Any = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
PENDING = "Started. The result will come later, in a message."


def calling(*names: str) -> ScriptedUpstream:
    """An engine that calls these at the first message, and answers all others."""

    def script(prompt: Prompt) -> Iterable[Chunk]:
        if len(prompt_items(prompt)) > 1:
            yield TextDelta("fine")
            yield Finish("stop")
            return
        for index, name in enumerate(names):
            yield ToolCallDelta(index, f"call_{index}", name, "{}")
        yield Finish("tool_calls")

    return ScriptedUpstream(script)


def output(call_id: str, text: str) -> Any:
    return {"type": "function_call_output", "call_id": call_id, "output": text}


def called(*names: str) -> dict[str, Any]:
    calls = [
        {"id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": "{}"}}
        for index, name in enumerate(names)
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls}


# Calls that may be answered later


@proves("3.4.46.async")
async def test_an_asynchronous_call_is_answered_turns_later(start_server: StartServer) -> None:
    async with start_server(engine=calling("report")) as server:
        first = await server.client.responses.create(model="m", input="go", tools=[REPORT])
        call: Any = first.output[0]
        assert (call.type, call.to_dict()["async"]) == ("function_call", True)
        second = await server.client.responses.create(
            model="m", input="Meanwhile?", previous_response_id=first.id, tools=[REPORT]
        )
        started = {"role": "tool", "tool_call_id": "call_0", "content": PENDING}
        history = [{"role": "user", "content": "go"}, called("report"), started]
        assert server.seen() == [*history, {"role": "user", "content": "Meanwhile?"}]
        await server.client.responses.create(
            model="m", input=[output("call_0", "42")], previous_response_id=second.id, tools=[REPORT]
        )
        assert server.seen()[-1] == {"role": "user", "content": "[Result of the call call_0] 42"}
        with pytest.raises(BadRequestError, match="No tool call found"):
            await server.client.responses.create(
                model="m", input=[output("call_9", "42")], previous_response_id=second.id
            )


async def test_beside_it_an_ordinary_call_is_answered_at_once(start_server: StartServer) -> None:
    async with start_server(engine=calling("report", "weather")) as server:
        first = await server.client.responses.create(model="m", input="go", tools=[REPORT, WEATHER])
        with pytest.raises(BadRequestError, match="No tool output found for function call call_1"):
            await server.client.responses.create(model="m", input="?", previous_response_id=first.id)
        await server.client.responses.create(
            model="m",
            input=[output("call_1", "rain"), output("call_0", "42")],
            previous_response_id=first.id,
        )
        assert server.seen() == [
            {"role": "user", "content": "go"},
            called("report", "weather"),
            {"role": "tool", "tool_call_id": "call_0", "content": PENDING},
            {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
            {"role": "user", "content": "[Result of the call call_0] 42"},
        ]


async def test_a_client_that_keeps_its_own_history_sends_such_calls_back(start_server: StartServer) -> None:
    async with start_server() as server:
        call = {
            "type": "function_call",
            "call_id": "call_0",
            "name": "report",
            "arguments": "{}",
            "async": True,
        }
        items: Any = [call, {"role": "user", "content": "hm"}, output("call_0", "42")]
        await server.client.responses.create(model="m", input=items, tools=[REPORT])
        assert server.seen() == [
            called("report"),
            {"role": "tool", "tool_call_id": "call_0", "content": PENDING},
            {"role": "user", "content": "hm"},
            {"role": "user", "content": "[Result of the call call_0] 42"},
        ]


# Settings that stay in force


def update(**settings: Any) -> Any:
    return {"type": "configuration_update", **settings}


@proves("9.13")
async def test_a_configuration_update_stays_in_force_until_the_next(server: RunningServer) -> None:
    say: Any = {"role": "user", "content": "hi"}
    schema = {"type": "json_schema", "name": "n", "schema": {"type": "string"}}
    first = await server.client.responses.create(model="m", input=[update(reasoning={"effort": "low"}), say])
    parent = first.id

    async def options(*items: Any, **more: Any) -> dict[str, Any]:
        nonlocal parent
        reply = await server.post(
            "/responses",
            {"model": "m", "input": [*items, say], "previous_response_id": parent, **more},
        )
        assert reply.status_code == 200, reply.text
        parent = reply.json()["id"]
        return dict(server.engine.prompts[-1].options)

    assert dict(server.engine.prompts[-1].options) == {"reasoning_effort": "low"}
    assert await options() == {"reasoning_effort": "low"}
    assert await options(reasoning={"effort": "high"}) == {"reasoning_effort": "high"}
    assert await options(update(reasoning={"effort": "minimal"})) == {"reasoning_effort": "minimal"}
    assert "configuration" not in str(server.seen())
    with_format = await options(update(text={"format": schema}))
    assert with_format["reasoning_effort"] == "minimal"
    assert with_format["response_format"]["json_schema"]["name"] == "n"


async def test_a_format_that_was_set_along_the_chain_is_checked(start_server: StartServer) -> None:
    def script(prompt: Prompt) -> Iterable[Chunk]:
        yield TextDelta("{}" if len(prompt_items(prompt)) < 3 else "no")
        yield Finish("stop")

    an_object = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    schema = {"type": "json_schema", "name": "n", "strict": True, "schema": an_object}
    async with start_server(engine=ScriptedUpstream(script)) as server:
        items: Any = [update(text={"format": schema}), {"role": "user", "content": "?"}]
        first = await server.client.responses.create(model="m", input=items)
        assert first.output_text == "{}"
        with pytest.raises(Exception, match="not of the form"):
            await server.client.responses.create(model="m", input="?", previous_response_id=first.id)
        plain: Any = [update(text={"format": {"type": "text"}}), {"role": "user", "content": "?"}]
        last = await server.client.responses.create(model="m", input=plain, previous_response_id=first.id)
        assert last.output_text == "no"


async def test_a_strict_schema_that_cannot_be_is_refused_where_it_stands(server: RunningServer) -> None:
    schema = {"type": "json_schema", "name": "n", "strict": True, "schema": {"type": "object"}}
    items = [update(text={"format": schema}), {"role": "user", "content": "?"}]
    reply = await server.post("/responses", {"model": "m", "input": items})
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (400, "invalid_json_schema")
    assert error["param"] == "input[0].text.format.schema"


# What hosted tools did elsewhere

DONE_ELSEWHERE: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "web search": (
        {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "cats"}},
        "web_search",
        '{"query":"cats"}',
        "Done. What was found is not kept; the answer that follows is based on it.",
    ),
    "file search": (
        {
            "type": "file_search_call",
            "queries": ["tom"],
            "results": [{"filename": "cats.txt", "text": "Tom is a cat."}],
        },
        "file_search",
        '{"queries":["tom"]}',
        "cats.txt: Tom is a cat.",
    ),
    "code": (
        {
            "type": "code_interpreter_call",
            "container_id": "c",
            "code": "print(6*7)",
            "outputs": [{"type": "logs", "logs": "42"}],
        },
        "code_interpreter",
        '{"code":"print(6*7)"}',
        "42",
    ),
    "mcp": (
        {"type": "mcp_call", "server_label": "crm", "name": "find", "arguments": '{"a":1}', "output": "Ada"},
        "crm__find",
        '{"a":1}',
        "Ada",
    ),
    "image": (
        {"type": "image_generation_call", "result": "A" * 1000, "revised_prompt": "a cat"},
        "image_generation",
        '{"prompt":"a cat"}',
        "An image was made and shown to the user.",
    ),
}


@pytest.mark.parametrize("name", DONE_ELSEWHERE)
async def test_a_chain_begun_with_hosted_tools_goes_on_without_them(
    start_server: StartServer, name: str
) -> None:
    item, tool, arguments, result = DONE_ELSEWHERE[name]

    def script(prompt: Prompt) -> Iterable[Chunk]:
        yield ItemDone(item)
        yield TextDelta("So it is.")
        yield Finish("stop")

    there, here = ScriptedUpstream(script, dialect="responses"), ScriptedUpstream()
    async with start_server(engine=here, routes={"gpt-x": there}) as server:
        first = await server.client.responses.create(model="gpt-x", input="go")
        await server.client.responses.create(model="local", input="on", previous_response_id=first.id)
        asked, call, came, said, new = server.seen()
        assert (asked["content"], said["content"], new["content"]) == ("go", "So it is.", "on")
        (made,) = call["tool_calls"]
        assert made["function"] == {"name": tool, "arguments": arguments}
        assert came == {"role": "tool", "tool_call_id": made["id"], "content": result}


async def test_long_results_are_cut(server: RunningServer) -> None:
    item: Any = {"type": "mcp_call", "server_label": "s", "name": "n", "arguments": "", "output": "x" * 9_000}
    await server.client.responses.create(model="m", input=[item, {"role": "user", "content": "?"}])
    assert server.seen()[1]["content"] == "x" * 8_000 + " […]"


async def test_an_item_of_a_kind_that_nobody_knows_is_told_as_it_is(server: RunningServer) -> None:
    item: Any = {"id": "x_1", "type": "acme:note", "text": "Tom is a cat."}
    await server.client.responses.create(model="m", input=[item, {"role": "user", "content": "?"}])
    assert server.seen()[0] == {"role": "user", "content": '[acme:note] {"text":"Tom is a cat."}'}
