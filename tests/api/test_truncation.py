"""`truncation`: what becomes of a context that is longer than its model can read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from openai import BadRequestError

from catena.chunks import Chunk, Finish, TextDelta, ToolCallDelta
from catena.errors import UpstreamError
from catena.upstream import Prompt
from catena.upstream.scripted import ScriptedUpstream, prompt_items
from tests.conformance.proves import proves
from tests.running import RunningServer, StartServer

WEATHER: Any = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}

FILLING = "word " * 800
"""Of 4,000 bytes, so that it matters."""


def words(prompt: Prompt) -> int:
    """A tokenizer of the tests' own: a token is a word."""
    return sum(len(str(item.get("content")).split()) for item in prompt_items(prompt))


def counting(window: int, *, script: Callable[[Prompt], Iterable[Any]] | None = None) -> ScriptedUpstream:
    """An engine that tells its window and counts."""
    options: Any = {"context_window": window, "count": words}
    return ScriptedUpstream(script, **options) if script else ScriptedUpstream(**options)


def complaining(most: int) -> ScriptedUpstream:
    """An engine that tells nothing before it is asked, and then refuses more than `most` messages."""

    def script(prompt: Prompt) -> Iterable[Chunk | Exception]:
        if len(prompt_items(prompt)) > most:
            yield UpstreamError(
                "Your input exceeds the context window of this model. Please adjust your input and try again.",
                upstream_status=400,
                param="input",
                code="context_length_exceeded",
            )
        yield TextDelta("fine")
        yield Finish("stop")

    return ScriptedUpstream(script)


def questions(server: RunningServer, prompt: int = -1) -> list[str]:
    """The first words of what users said, as the engine saw it."""
    return [
        str(message["content"]).split(" ", 1)[0]
        for message in server.seen(prompt)
        if message["role"] == "user"
    ]


async def chain(server: RunningServer, turns: int, **more: Any) -> str:
    """A chain of so many long turns; the id of its last one."""
    parent: str | None = None
    for number in range(turns):
        response = await server.client.responses.create(
            model="m", input=f"q{number} {FILLING}", previous_response_id=parent, **more
        )
        parent = response.id
    assert parent is not None
    return parent


@proves("9.truncation")
async def test_auto_drops_whole_oldest_turns_until_the_context_fits(start_server: StartServer) -> None:
    async with start_server(engine=counting(6_000)) as server:
        parent = await chain(server, 3)
        response = await server.client.responses.create(
            model="m", input=f"q3 {FILLING}", previous_response_id=parent, truncation="auto"
        )
        assert response.truncation == "auto"
        # Each turn has 1,602 words with its echo: two of them fit beside the new one and its answer.
        assert questions(server) == ["q1", "q2", "q3"]
        assert [message["role"] for message in server.seen()] == ["user", "assistant"] * 2 + ["user"]


async def test_what_is_left_begins_at_the_same_turn_for_some_turns(start_server: StartServer) -> None:
    """So an engine that keeps what it has read does not read all of it anew each time."""
    async with start_server(engine=counting(12_000)) as server:
        parent, beginnings = None, []
        for number in range(40):
            response = await server.client.responses.create(
                model="m",
                input=f"q{number} {FILLING[:1000]}",
                previous_response_id=parent,
                truncation="auto",
            )
            parent = response.id
            beginnings.append(questions(server)[0])
        begun_with = [beginnings.count(first) for first in dict.fromkeys(beginnings)][1:]
        assert len(begun_with) > 1
        assert min(begun_with[:-1]) >= 2


async def test_what_is_surely_too_long_is_not_counted_first(start_server: StartServer) -> None:
    engine = counting(1_000_000)
    async with start_server(engine=engine) as server:
        parent = await chain(server, 12)
        engine.context_window = 2_000
        await server.client.responses.create(
            model="m", input="last", previous_response_id=parent, truncation="auto"
        )
        assert 0 < max(sum(map(len, prompt.fragments)) for prompt in engine.counted) <= 2_000 * 16
        assert questions(server) == ["q11", "last"]


async def test_instructions_and_system_messages_stay_in_force(start_server: StartServer) -> None:
    async with start_server(engine=counting(2_500)) as server:
        rule: Any = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": FILLING}]
        first = await server.client.responses.create(model="m", input=rule)
        second = await server.client.responses.create(
            model="m", input=f"q1 {FILLING}", previous_response_id=first.id, truncation="auto"
        )
        await server.client.responses.create(
            model="m",
            instructions="Speak French.",
            input="q2",
            previous_response_id=second.id,
            truncation="auto",
        )
        assert [(each["role"], each["content"].split(" ")[0]) for each in server.seen()] == [
            ("system", "Speak"),
            ("system", "Be"),
            ("user", "q1"),
            ("assistant", "2:"),
            ("user", "q2"),
        ]


async def test_a_tool_call_goes_and_stays_with_its_output(start_server: StartServer) -> None:
    def script(prompt: Prompt) -> Iterable[Chunk]:
        last = prompt_items(prompt)[-1]
        if "call" in str(last["content"]):
            yield ToolCallDelta(0, "call_1", "weather", "{}")
            yield Finish("tool_calls")
        else:
            yield TextDelta("answer")
            yield Finish("stop")

    async with start_server(engine=counting(4_000, script=script)) as server:
        calling = await server.client.responses.create(model="m", input=f"call {FILLING}", tools=[WEATHER])
        output: Any = [{"type": "function_call_output", "call_id": "call_1", "output": FILLING}]
        answered = await server.client.responses.create(
            model="m", input=output, previous_response_id=calling.id, tools=[WEATHER]
        )
        later = await server.client.responses.create(
            model="m", input=f"q2 {FILLING}", previous_response_id=answered.id
        )
        await server.client.responses.create(
            model="m", input=f"q3 {FILLING * 2}", previous_response_id=later.id, truncation="auto"
        )
        # Without the turn that calls it would fit, but the output would answer nothing.
        assert [message["role"] for message in server.seen()] == ["user", "assistant", "user"]
        assert questions(server) == ["q2", "q3"]


async def test_a_turn_whose_call_is_answered_now_is_never_dropped(start_server: StartServer) -> None:
    def script(prompt: Prompt) -> Iterable[Chunk]:
        yield ToolCallDelta(0, f"call_{len(prompt_items(prompt))}", "weather", "{}")
        yield Finish("tool_calls")

    async with start_server(engine=counting(1_000, script=script)) as server:
        first = await server.client.responses.create(model="m", input="go", tools=[WEATHER])
        output: Any = [{"type": "function_call_output", "call_id": "call_1", "output": FILLING * 2}]
        with pytest.raises(BadRequestError, match="exceeds the context window") as caught:
            await server.client.responses.create(
                model="m", input=output, previous_response_id=first.id, truncation="auto", tools=[WEATHER]
            )
        assert (caught.value.param, caught.value.code) == ("input", "context_length_exceeded")


@proves("OR.truncation")
async def test_disabled_is_an_error_before_the_engine_is_asked(start_server: StartServer) -> None:
    async with start_server(engine=counting(3_000)) as server:
        parent = await chain(server, 1)
        asked = len(server.engine.prompts)
        with pytest.raises(BadRequestError) as caught:
            await server.client.responses.create(
                model="m", input=f"q1 {FILLING * 2}", previous_response_id=parent
            )
        error: Any = caught.value.body
        assert error == {
            "message": "Your input exceeds the context window of this model. Please adjust your input and try again. "
            "The model has room for 3000 tokens; the request has 3204.",
            "type": "invalid_request_error",
            "param": "input",
            "code": "context_length_exceeded",
        }
        assert len(server.engine.prompts) == asked


async def test_what_surely_fits_is_not_counted(start_server: StartServer) -> None:
    async with start_server(engine=counting(100_000)) as server:
        await chain(server, 2, truncation="auto")
        assert server.engine.counted == []


async def test_an_engine_that_only_complains_is_asked_again_without_the_older_half(
    start_server: StartServer,
) -> None:
    async with start_server(engine=complaining(most=9)) as server:
        parent = None
        for number in range(5):
            response = await server.client.responses.create(
                model="m", input=f"q{number}", previous_response_id=parent, truncation="auto"
            )
            parent = response.id
        response = await server.client.responses.create(
            model="m", input="q5", previous_response_id=parent, truncation="auto"
        )
        assert response.output_text == "fine"
        assert questions(server, -2) == ["q0", "q1", "q2", "q3", "q4", "q5"]
        assert questions(server) == ["q3", "q4", "q5"]


async def test_an_engine_that_only_complains_is_shown_the_same_beginning_for_some_turns(
    start_server: StartServer,
) -> None:
    engine = ScriptedUpstream()
    async with start_server(engine=engine) as server:
        parents: list[str | None] = [None]
        for number in range(40):
            response = await server.client.responses.create(
                model="m", input=f"q{number}", previous_response_id=parents[-1]
            )
            parents.append(response.id)
        engine.script = complaining(most=60).script
        beginnings = []
        for parent in parents[33:]:
            await server.client.responses.create(
                model="m", input="last", previous_response_id=parent, truncation="auto"
            )
            beginnings.append(questions(server)[0])
        assert beginnings == ["q20"] * 8


async def test_it_is_asked_again_until_nothing_is_left_to_drop(start_server: StartServer) -> None:
    engine = ScriptedUpstream()
    async with start_server(engine=engine) as server:
        parent = await chain(server, 4)
        engine.script = complaining(most=0).script
        with pytest.raises(BadRequestError, match="exceeds the context window"):
            await server.client.responses.create(
                model="m", input="last", previous_response_id=parent, truncation="auto"
            )
        assert questions(server) == ["last"]
        assert len(engine.prompts) == 4 + 4


async def test_with_disabled_a_complaint_is_passed_on_at_once(start_server: StartServer) -> None:
    engine = ScriptedUpstream()
    async with start_server(engine=engine) as server:
        parent = await chain(server, 2)
        engine.script = complaining(most=0).script
        with pytest.raises(BadRequestError, match="exceeds the context window"):
            await server.client.responses.create(model="m", input="last", previous_response_id=parent)
        assert len(engine.prompts) == 3


async def test_the_stored_chain_keeps_what_was_dropped(start_server: StartServer) -> None:
    async with start_server(engine=counting(2_500)) as server:
        parent = await chain(server, 3, truncation="auto")
        assert questions(server) == ["q2"]
        items = await server.client.responses.input_items.list(parent, order="asc")
        said = [item.content[0].text.split(" ")[0] async for item in items if item.type == "message"]  # type: ignore[union-attr]
        assert [text for text in said if text.startswith("q")] == ["q0", "q1", "q2"]


async def test_a_stream_is_shortened_too(start_server: StartServer) -> None:
    async with start_server(engine=complaining(most=1)) as server:
        first = await server.client.responses.create(model="m", input="q0")
        stream = await server.client.responses.create(
            model="m", input="q1", previous_response_id=first.id, truncation="auto", stream=True
        )
        kinds = [event.type async for event in stream]
        assert kinds[0] == "response.created"
        assert kinds[-1] == "response.completed"
        assert questions(server) == ["q1"]


async def test_a_context_that_is_only_estimated_is_shortened_but_never_refused(
    start_server: StartServer,
) -> None:
    engine = ScriptedUpstream(context_window=3_000)
    async with start_server(engine=engine) as server:
        parent = await chain(server, 3)
        await server.client.responses.create(
            model="m", input=f"q3 {FILLING * 4}", previous_response_id=parent
        )
        assert questions(server) == ["q0", "q1", "q2", "q3"]
        await server.client.responses.create(
            model="m", input=f"q3 {FILLING * 2}", previous_response_id=parent, truncation="auto"
        )
        assert questions(server) == ["q3"]
