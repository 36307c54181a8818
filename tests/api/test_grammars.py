"""Custom tools with a grammar: engines that can be held to it are, where one such tool must be called."""

from __future__ import annotations

from typing import Any

import pytest

from catena.chunks import Finish, ReasoningDelta, TextDelta
from catena.upstream.scripted import ScriptedUpstream
from catena.upstream.traits import Grammar, Traits
from tests.conformance.proves import proves
from tests.running import StartServer

LARK = {"type": "grammar", "syntax": "lark", "definition": 'start: "a"+'}
REGEX = {"type": "grammar", "syntax": "regex", "definition": "a+/"}
OTHER = {"type": "function", "name": "f"}
CHOSEN = {"type": "custom", "name": "c"}


def tool(form: dict[str, Any]) -> dict[str, Any]:
    return {"type": "custom", "name": "c", "description": "Counts.", "format": form}


def writing(*pieces: str, reason: Any = "stop") -> ScriptedUpstream:
    return ScriptedUpstream(lambda _: [ReasoningDelta("hm"), *map(TextDelta, pieces), Finish(reason)])


@proves("9.19.grammar")
@pytest.mark.parametrize(
    ("grammar", "form", "option"),
    [
        ("vllm", LARK, {"structured_outputs": {"grammar": 'start: "a"+'}}),
        ("vllm", REGEX, {"structured_outputs": {"regex": "a+/"}}),
        ("guided", LARK, {"guided_grammar": 'start: "a"+'}),
        ("guided", REGEX, {"guided_regex": "a+/"}),
        ("llama.cpp", LARK, {"grammar": '%llguidance {}\nstart: "a"+'}),
        ("llama.cpp", REGEX, {"grammar": "%llguidance {}\nstart: /a+\\//"}),
    ],
)
async def test_an_engine_writes_the_input_within_the_grammar_and_that_is_the_call(
    start_server: StartServer, grammar: Grammar, form: dict[str, Any], option: dict[str, Any]
) -> None:
    traits = {"": Traits(grammar=grammar)}
    async with start_server(engine=writing("a", "a"), traits=traits) as server:
        asked = {"model": "m", "input": "?", "tools": [tool(form), OTHER], "tool_choice": CHOSEN}
        response = (await server.post("/responses", {**asked, "parallel_tool_calls": False})).json()
        assert server.engine.prompts[-1].options == option
        told = "Answer with nothing but the input of the tool 'c'. Counts."
        assert server.seen()[0] == {"role": "system", "content": told}
        call = response["output"][-1]
        assert (call["type"], call["name"], call["input"]) == ("custom_tool_call", "c", "aa")
        output = {"type": "custom_tool_call_output", "call_id": call["call_id"], "output": "2"}
        reply = await server.post(
            "/responses", {"model": "m", "input": [output], "previous_response_id": response["id"]}
        )
        assert reply.status_code == 200
        assert server.seen()[1]["tool_calls"][0]["function"] == {"name": "c", "arguments": '{"input":"aa"}'}


@proves("9.19.grammar")
async def test_the_only_tool_that_may_be_called_is_the_one_that_must_be(start_server: StartServer) -> None:
    async with start_server(engine=writing("a"), traits={"": Traits(grammar="vllm")}) as server:
        asked = {"model": "m", "input": "?", "tools": [tool(LARK)], "tool_choice": "required"}
        response = (await server.post("/responses", asked)).json()
        assert response["output"][-1]["input"] == "a"
        assert "tools" not in server.engine.prompts[-1].options


@proves("9.19.grammar")
@pytest.mark.parametrize(
    ("choice", "tools"),
    [
        ("auto", [tool(LARK)]),
        ("required", [tool(LARK), OTHER]),
        ({"type": "function", "name": "f"}, [tool(LARK), OTHER]),
        (CHOSEN, [tool({"type": "text"})]),
    ],
)
async def test_elsewhere_the_grammar_is_a_wish(
    start_server: StartServer, choice: Any, tools: list[dict[str, Any]]
) -> None:
    async with start_server(engine=writing("a"), traits={"": Traits(grammar="vllm")}) as server:
        await server.post("/responses", {"model": "m", "input": "?", "tools": tools, "tool_choice": choice})
        assert "structured_outputs" not in server.engine.prompts[-1].options
        assert "tools" in server.engine.prompts[-1].options


async def test_an_input_that_was_cut_short_is_no_whole_call(start_server: StartServer) -> None:
    async with start_server(
        engine=writing("a", reason="length"), traits={"": Traits(grammar="vllm")}
    ) as server:
        asked = {"model": "m", "input": "?", "tools": [tool(LARK)], "tool_choice": CHOSEN}
        response = (await server.post("/responses", asked)).json()
        assert (response["status"], response["output"][-1]["type"]) == ("incomplete", "custom_tool_call")


async def test_the_input_is_streamed_as_that_of_any_custom_tool(start_server: StartServer) -> None:
    async with start_server(engine=writing("a", "b"), traits={"": Traits(grammar="vllm")}) as server:
        tools: Any = [tool(LARK)]
        choice: Any = CHOSEN
        stream = await server.client.responses.create(
            model="m", input="?", tools=tools, tool_choice=choice, stream=True
        )
        told = [event async for event in stream]
        deltas = [event.delta for event in told if event.type == "response.custom_tool_call_input.delta"]
        assert deltas == ["a", "b"]
