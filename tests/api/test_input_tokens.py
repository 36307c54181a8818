"""`POST /v1/responses/input_tokens`: how long a context is, without a response."""

from __future__ import annotations

from typing import Any

import pytest

from catena.upstream import Prompt
from catena.upstream.scripted import ScriptedUpstream, prompt_items
from tests.conformance.proves import proves
from tests.running import RunningServer, StartServer

WEATHER: Any = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}

BOTH_PARENTS = {"conversation": "conv_1", "previous_response_id": "resp_1"}


def words(prompt: Prompt) -> int:
    """A tokenizer of the tests' own: a token is a word, and each tool has ten."""
    said = sum(len(str(item.get("content")).split()) for item in prompt_items(prompt))
    return said + 10 * len(prompt.options.get("tools", ()))


@proves("1.1.input_tokens", "1.1.6")
async def test_the_whole_context_is_counted_and_nothing_is_created(start_server: StartServer) -> None:
    async with start_server(engine=ScriptedUpstream(count=words)) as server:
        first = await server.client.responses.create(model="m", input="one two three")
        raw = await server.client.responses.input_tokens.with_raw_response.count(
            model="m",
            instructions="be brief",
            input="four five",
            previous_response_id=first.id,
            tools=[WEATHER],
            tool_choice="auto",
            parallel_tool_calls=False,
            text={"format": {"type": "text"}},
            reasoning={"effort": "low"},
        )
        counted = raw.parse()
        # Three words, their echo with its number, two of instructions, two new ones, a tool.
        assert (counted.object, counted.input_tokens) == ("response.input_tokens", 3 + 4 + 2 + 2 + 10)
        assert raw.headers["catena-token-count"] == "engine"
        assert raw.http_response.json() == {"object": "response.input_tokens", "input_tokens": 21}
        assert len(server.engine.prompts) == 1
        items = await server.client.responses.input_items.list(first.id)
        assert len(items.data) == 1


async def test_a_conversation_is_counted(start_server: StartServer) -> None:
    async with start_server(engine=ScriptedUpstream(count=words)) as server:
        conversation = await server.client.conversations.create(
            items=[{"type": "message", "role": "user", "content": "one two"}]
        )
        counted = await server.client.responses.input_tokens.count(
            model="m", input="three", conversation=conversation.id
        )
        assert counted.input_tokens == 3
        listed = await server.client.conversations.items.list(conversation.id)
        assert len(listed.data) == 1


async def test_without_a_tokenizer_it_is_an_estimate_and_says_so(server: RunningServer) -> None:
    raw = await server.client.responses.input_tokens.with_raw_response.count(model="m", input="Hello, world!")
    assert raw.headers["catena-token-count"] == "estimate"
    assert 4 <= raw.parse().input_tokens <= 12
    longer = await server.client.responses.input_tokens.count(model="m", input="Hello, world! " * 100)
    assert 250 <= longer.input_tokens <= 500


async def test_an_image_is_not_counted_as_its_letters(server: RunningServer) -> None:
    part: Any = {"type": "input_image", "image_url": "data:image/png;base64," + "A" * 100_000}
    counted = await server.client.responses.input_tokens.count(
        model="m", input=[{"role": "user", "content": [part]}]
    )
    assert counted.input_tokens < 2_000


async def test_what_is_too_long_is_counted_and_with_auto_what_is_left_of_it(
    start_server: StartServer,
) -> None:
    engine = ScriptedUpstream(count=words, context_window=2_500)
    async with start_server(engine=engine) as server:
        first = await server.client.responses.create(model="m", input="word " * 900)
        for truncation, tokens in (("disabled", 901 + 900 + 900), ("auto", 900)):
            counted = await server.client.responses.input_tokens.count(
                model="m",
                input="word " * 900,
                previous_response_id=first.id,
                truncation=truncation,  # type: ignore[arg-type]
            )
            assert counted.input_tokens == tokens


async def test_without_a_model_the_default_engine_counts(start_server: StartServer) -> None:
    async with start_server(engine=ScriptedUpstream(count=words)) as server:
        counted = await server.client.responses.input_tokens.count(input="one two")
        assert counted.input_tokens == 2


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, None, "missing_required_parameter"),
        ({"model": "m", "input": 7}, "input", "invalid_type"),
        ({"model": "m", "input": "hi", "bogus": 1}, "bogus", "unknown_parameter"),
        ({"model": "m", "input": "hi", "truncation": "x"}, "truncation", "invalid_value"),
        ({"model": "m", "input": "hi", "personality": "friendly"}, "personality", "unsupported_parameter"),
        ({"input": "x", **BOTH_PARENTS}, None, "mutually_exclusive_parameters"),
        ({"input": "x", "previous_response_id": "resp_1"}, "previous_response_id", "previous_response_not_found"),
    ],
)  # fmt: skip
async def test_a_bad_request_names_its_parameter(
    server: RunningServer, body: dict[str, Any], param: str | None, code: str
) -> None:
    reply = await server.post("/responses/input_tokens", body)
    error = reply.json()["error"]
    assert (reply.status_code, error["param"], error["code"]) == (400, param, code)
