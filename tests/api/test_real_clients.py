"""Real clients get what they need: what they sent once is sent again, and what came of it comes again.

The recordings are of the scripts in `examples/clients`; `python -m tests.real_clients.record` makes them. The engine
recites what it was shown, so an answer that is the same says that the model saw the same.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from catena.chunks import Finish, ToolCallDelta, UsageReport
from catena.errors import UpstreamError
from catena.seal import Seals
from catena.upstream import Prompt, Upstream
from catena.upstream.chat import ChatUpstream
from catena.upstream.responses import ResponsesUpstream
from catena.upstream.scripted import ScriptedUpstream, echo_script, prompt_items
from examples.clients import __main__ as clients
from examples.clients.engine import running_engine
from tests.api.sockets import socket
from tests.real_clients.recording import FOLDER, load
from tests.real_clients.replay import replay
from tests.running import LIMIT, RunningServer, StartServer

RECORDINGS = sorted(FOLDER.glob("*.json"))


def calling(name: str, arguments: str) -> ScriptedUpstream:
    """An engine that calls a tool."""

    def script(prompt: Prompt) -> Iterable[Any]:
        yield ToolCallDelta(0, call_id="call_1", name=name, arguments=arguments)
        yield UsageReport(1, 2)
        yield Finish("tool_calls")

    return ScriptedUpstream(script)


async def answer(server: RunningServer, **fields: Any) -> dict[str, Any]:
    reply = await server.post("/responses", {"model": "m", **fields})
    response: dict[str, Any] = reply.json()
    assert reply.status_code == 200, response
    return response


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
async def test_what_a_client_sent_leads_to_the_same_again(path: Path, start_server: StartServer) -> None:
    recording = load(path)
    async with running_engine() as engine:
        played = ChatUpstream("played", [engine])
        async with start_server(routes={"gpt-*": played}) as server:
            async with asyncio.timeout(LIMIT):
                outcomes = await replay(recording, server.url)
    for exchange, outcome in zip(recording.exchanges, outcomes, strict=True):
        assert outcome == exchange.outcome, exchange.body


@pytest.mark.parametrize("name", ["codex", "langchain_turns"])
async def test_so_it_does_with_a_second_server_in_between(name: str, start_server: StartServer) -> None:
    """The first one has the second for a Responses engine: every kind of item and tool goes through as it is."""
    recording = load(FOLDER / f"{name}.json")
    async with running_engine() as engine, contextlib.AsyncExitStack() as stack:
        routes: dict[str, Upstream] = {"gpt-*": ChatUpstream("played", [engine])}
        behind = await stack.enter_async_context(start_server("behind", routes=routes))
        routes = {"gpt-*": ResponsesUpstream("behind", [f"{behind.url}/v1"])}
        server = await stack.enter_async_context(start_server("before", routes=routes))
        async with asyncio.timeout(LIMIT):
            outcomes = await replay(recording, server.url)
    for exchange, outcome in zip(recording.exchanges, outcomes, strict=True):
        assert (outcome.status, outcome.says) == (exchange.outcome.status, exchange.outcome.says)


def test_every_client_has_its_script_and_its_page() -> None:
    scripts = Path(clients.__file__).parent
    page = (scripts.parents[1] / "docs" / "clients.md").read_text()
    for name in clients.CLIENTS:
        assert any((scripts / f"{name}.{kind}").exists() for kind in ("py", "mjs")), name
    sections = [line for line in page.splitlines() if line.startswith("## ")]
    assert len(sections) == len(clients.CLIENTS)


def test_every_client_that_can_be_recorded_is() -> None:
    assert [path.stem for path in RECORDINGS] == [
        "ai_sdk",
        "codex",
        "langchain_turns",
        "openai_agents",
        "openai_node",
        "pydantic_ai_turns",
    ]
    for path in RECORDINGS:
        said = [exchange.outcome.says for exchange in load(path).exchanges]
        assert sum(each.startswith("I saw ") for each in said) >= 4, path.stem


# What clients rely on, one by one


async def test_the_call_of_a_deferred_tool_has_its_name_for_a_namespace(start_server: StartServer) -> None:
    """As the API's guide to tool search shows; agent frameworks look for the tool there."""
    forecast = {
        "type": "function",
        "name": "forecast",
        "defer_loading": True,
        "parameters": {"type": "object", "properties": {}},
    }
    tools = [forecast, {"type": "tool_search"}]
    async with start_server(engine=calling("forecast", "{}")) as server:
        first = await answer(server, input="Tomorrow?", tools=tools)
        (call,) = first["output"]
        assert (call["name"], call["namespace"]) == ("forecast", "forecast")
        server.engine.script = echo_script
        output = {"type": "function_call_output", "call_id": "call_1", "output": "rain"}
        await answer(server, input=[output], tools=tools, previous_response_id=first["id"])
        _, called, told = server.seen()
        assert called["tool_calls"][0]["function"]["name"] == "forecast"
        assert told["content"] == "rain"
        # Sent back whole, by a client that keeps the history itself.
        question = {"role": "user", "content": "Tomorrow?"}
        await answer(server, input=[question, call, output], tools=tools, store=False)
        assert server.seen()[1]["tool_calls"][0]["function"]["name"] == "forecast"


async def test_so_has_one_that_a_search_of_the_client_found(start_server: StartServer) -> None:
    search = {
        "type": "tool_search",
        "execution": "client",
        "description": "d",
        "parameters": {"type": "object"},
    }
    async with start_server(engine=calling("tool_search", '{"query": "w"}')) as server:
        first = await answer(server, input="Tomorrow?", tools=[search])
        found = {
            "type": "tool_search_output",
            "execution": "client",
            "call_id": "call_1",
            "tools": [
                {"type": "function", "name": "forecast", "defer_loading": True},
                {"type": "function", "name": "plain"},
            ],
        }
        for name, namespace in (("forecast", "forecast"), ("plain", None)):
            server.engine.script = calling(name, "{}").script
            parent = first["id"]
            second = await answer(server, input=[found], tools=[search], previous_response_id=parent)
            (call,) = second["output"]
            assert (call["name"], call.get("namespace")) == (name, namespace)


async def test_a_tool_may_be_deferred_in_one_turn_and_not_in_the_next(start_server: StartServer) -> None:
    plain = {"type": "function", "name": "forecast"}
    async with start_server(engine=calling("forecast", "{}")) as server:
        added = {"type": "additional_tools", "role": "developer", "tools": [plain]}
        said = [added, {"role": "user", "content": "Tomorrow?"}]
        response = await answer(server, input=said, tools=[{**plain, "defer_loading": True}])
        assert response["output"][0].get("namespace") is None


async def test_the_output_of_a_local_shell_may_name_its_call_as_others_do(start_server: StartServer) -> None:
    tools = [{"type": "local_shell"}]
    async with start_server(engine=calling("local_shell", '{"command": ["ls"]}')) as server:
        first = await answer(server, input="Look.", tools=tools)
        (call,) = first["output"]
        server.engine.script = echo_script
        output = {"type": "local_shell_call_output", "call_id": call["call_id"], "output": "plum"}
        second = await answer(server, input=[output], tools=tools, previous_response_id=first["id"])
        assert server.seen()[-1] == {"role": "tool", "tool_call_id": call["call_id"], "content": "plum"}
        listed = await server.http.get(f"/responses/{second['id']}/input_items?order=asc")
        assert listed.json()["data"][-1]["id"] == call["call_id"]
        orphan = {"type": "local_shell_call_output", "output": "plum"}
        refused = await server.post("/responses", {"model": "m", "input": [orphan]})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "input[0].id")


@pytest.mark.parametrize("over", ["http", "websocket"])
async def test_a_context_that_is_too_long_has_the_code_by_which_coding_agents_compact(
    start_server: StartServer, over: str
) -> None:
    """The official API sends it in the failed response, though no list of codes has it."""
    trouble = UpstreamError("It is too long.", upstream_status=400, code="context_length_exceeded")
    async with start_server(engine=ScriptedUpstream(lambda prompt: [trouble])) as server:
        if over == "http":
            reply = await server.post("/responses", {"model": "m", "input": "hi", "stream": True})
            lines = [line for line in reply.text.splitlines() if line.startswith("data: ")]
            last = msgspec.json.decode(lines[-1].removeprefix("data: "))
        else:
            async with socket(server) as ws:
                await ws.ask("hi")
                last = await ws.end()
        assert last["type"] == "response.failed"
        assert last["response"]["error"]["code"] == "context_length_exceeded"


async def test_what_one_agent_told_another_is_shown_to_a_chat_engine(server: RunningServer) -> None:
    def message(content: str) -> dict[str, Any]:
        parts = [
            {"type": "input_text", "text": "Payload:"},
            {"type": "encrypted_content", "encrypted_content": content},
        ]
        return {"type": "agent_message", "author": "/root", "recipient": "/root/a", "content": parts}

    await answer(server, input=[message("Count the pears.")])
    assert server.seen()[-1]["content"] == "[/root to /root/a] Payload: Count the pears."
    # What another server sealed cannot be read.
    await answer(server, input=[message("gAAAAABoisZh")])
    assert server.seen()[-1]["content"] == "[/root to /root/a] Payload: [sealed]"


async def test_reasoning_that_another_such_server_sealed_is_withheld_from_an_engine_that_may_be_it(
    start_server: StartServer,
) -> None:
    native = ScriptedUpstream(dialect="responses")
    sealed = {"type": "reasoning", "summary": [], "encrypted_content": Seals().seal("anybody", b"a thought")}
    said = [{"role": "user", "content": "hi"}, sealed, {"role": "assistant", "content": "ho"}]
    async with start_server(routes={"native": native}) as server:
        await answer(server, model="native", input=[*said, {"role": "user", "content": "so?"}])
        assert [item.get("role") for item in prompt_items(native.prompts[-1])] == [
            "user",
            "assistant",
            "user",
        ]
        refused = await server.post("/responses", {"model": "m", "input": said})
        assert refused.json()["error"]["code"] == "invalid_encrypted_content"
