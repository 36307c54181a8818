"""Reasoning along a chain: sealed for who keeps it, shown to engines that take it back, else withheld and told of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from catena.chunks import Chunk, Finish, ReasoningDelta, TextDelta, ToolCallDelta
from catena.upstream import Dialect, Prompt
from catena.upstream.scripted import ScriptedUpstream, prompt_items
from tests.conformance.proves import proves
from tests.running import StartServer

WEATHER: Any = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
SEALED: Any = ["reasoning.encrypted_content"]


def thinking(prompt: Prompt) -> Iterable[Chunk]:
    yield ReasoningDelta("Let me ")
    yield ReasoningDelta("think.")
    if "call" in str(prompt_items(prompt)[-1]["content"]):
        yield ToolCallDelta(0, "call_1", "weather", "{}")
        yield Finish("tool_calls")
    else:
        yield TextDelta("Done.")
        yield Finish("stop")


def engine(dialect: Dialect = "chat") -> ScriptedUpstream:
    return ScriptedUpstream(thinking, dialect=dialect)


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
async def test_an_engine_that_takes_it_back_is_shown_the_reasoning_of_its_chain(
    start_server: StartServer, field: str
) -> None:
    async with start_server(engine=engine(f"chat/{field}")) as server:  # type: ignore[arg-type]
        first = await server.client.responses.create(model="m", input="call", tools=[WEATHER])
        output: Any = [{"type": "function_call_output", "call_id": "call_1", "output": "rain"}]
        second = await server.client.responses.create(
            model="m", input=output, previous_response_id=first.id, tools=[WEATHER]
        )
        await server.client.responses.create(model="m", input="again", previous_response_id=second.id)
        call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
        assert server.seen() == [
            {"role": "user", "content": "call"},
            {"role": "assistant", "content": None, field: "Let me think.", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
            {"role": "assistant", "content": "Done.", field: "Let me think."},
            {"role": "user", "content": "again"},
        ]
        assert getattr(second, "input_transformations", None) is None


@proves("2.1.18")
async def test_what_is_withheld_is_told_once(start_server: StartServer) -> None:
    async with start_server(engine=engine()) as server:
        first = await server.client.responses.create(model="m", input="one")
        second = await server.client.responses.create(model="m", input="two", previous_response_id=first.id)
        assert "think" not in str(server.seen())
        removed = second.input_transformations
        assert removed is not None
        assert [each.model_dump() for each in removed] == [
            {
                "id": first.output[0].id,
                "action": "removed",
                "reason": "model_mismatch",
                "type": "reasoning",
            }
        ]
        third = await server.client.responses.create(model="m", input="three", previous_response_id=second.id)
        assert third.input_transformations is not None
        assert [each.id for each in third.input_transformations] == [second.output[0].id]
        assert await server.client.responses.retrieve(third.id) == third


async def test_a_client_that_keeps_its_own_history_gets_it_sealed_and_brings_it_back(
    start_server: StartServer,
) -> None:
    async with start_server(engine=engine("chat/reasoning_content")) as server:
        body = {"model": "m", "input": "one", "store": False, "include": SEALED}
        first = (await server.post("/responses", body)).json()
        thought = first["output"][0]
        assert thought["type"] == "reasoning"
        assert thought["encrypted_content"].startswith("catena.1.")
        kept = {"type": "reasoning", "summary": [], "encrypted_content": thought["encrypted_content"]}
        said = {"role": "assistant", "content": "Done."}
        await server.post(
            "/responses",
            {"model": "m", "store": False, "input": [kept, said, {"role": "user", "content": "two"}]},
        )
        assert server.seen() == [
            {"role": "assistant", "content": "Done.", "reasoning_content": "Let me think."},
            {"role": "user", "content": "two"},
        ]


async def test_in_a_stream_it_comes_with_the_end_of_its_item(start_server: StartServer) -> None:
    async with start_server(engine=engine()) as server:
        stream = await server.client.responses.create(model="m", input="call", include=SEALED, stream=True)
        events: list[Any] = [event async for event in stream]
        done = [event.item for event in events if event.type == "response.output_item.done"]
        assert [item.type for item in done] == ["reasoning", "function_call"]
        assert done[0].encrypted_content.startswith("catena.1.")
        assert done[0].content[0].text == "Let me think."
        stored = await server.client.responses.retrieve(events[-1].response.id)
        assert stored == events[-1].response


async def test_without_being_asked_for_nothing_is_sealed(start_server: StartServer) -> None:
    async with start_server(engine=engine()) as server:
        first = await server.client.responses.create(model="m", input="one", store=False)
        assert getattr(first.output[0], "encrypted_content", None) is None


async def test_reasoning_that_was_changed_is_refused(start_server: StartServer) -> None:
    async with start_server(engine=engine()) as server:
        first = await server.client.responses.create(model="m", input="one", store=False, include=SEALED)
        token: Any = first.output[0].encrypted_content  # type: ignore[union-attr]
        changed = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")
        reasoning = {"type": "reasoning", "summary": [], "encrypted_content": changed}
        reply = await server.post(
            "/responses", {"model": "m", "input": [reasoning, {"role": "assistant", "content": "x"}]}
        )
        error = reply.json()["error"]
        assert (reply.status_code, error["code"]) == (400, "invalid_encrypted_content")
        assert error["param"] == "input[0].encrypted_content"
        assert len(server.engine.prompts) == 1


async def test_what_another_model_sealed_is_withheld_and_told_of(start_server: StartServer) -> None:
    async with start_server(engine=engine("chat/reasoning")) as server:
        reasoning = {"id": "rs_theirs", "type": "reasoning", "summary": [], "encrypted_content": "gAAAAABx"}
        said = {"role": "assistant", "content": "hello"}
        reply = await server.post(
            "/responses", {"model": "m", "input": [reasoning, said, {"role": "user", "content": "hi"}]}
        )
        assert [each["id"] for each in reply.json()["input_transformations"]] == ["rs_theirs"]
        assert server.seen()[0] == {"role": "assistant", "content": "hello"}


async def test_an_engine_of_the_responses_api_gets_what_was_sealed_here_in_plain_text(
    start_server: StartServer,
) -> None:
    there = ScriptedUpstream(dialect="responses")
    async with start_server(engine=engine(), routes={"gpt-x": there}) as server:
        first = await server.client.responses.create(model="m", input="one", include=SEALED)
        await server.client.responses.create(model="gpt-x", input="two", previous_response_id=first.id)
        items = prompt_items(there.prompts[-1])
        assert items[1] == {
            "type": "reasoning",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "Let me think."}],
        }
        assert "catena.1." not in str(items)
