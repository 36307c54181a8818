"""The embedded engine with its real model: what the documents promise of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI

from catena.embedded import EmbeddedEngine, EngineUnavailable

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="module")]

# A minute and more would pass if something that was given up went on: 2,000 tokens are written at 20 a second, and
# 6,000 read at 90.
SOON = 30.0
LONG_STORY = [{"role": "user", "content": "Write a very long story about a lighthouse keeper."}]
LONG_PROMPT = [{"role": "user", "content": "The sea was calm that day. " * 900}]

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "The city"}},
            "required": ["city"],
        },
    },
}
SUM = {
    "type": "function",
    "function": {
        "name": "calculate",
        "description": "Evaluate an arithmetic expression.",
        "parameters": {
            "type": "object",
            "properties": {"expression": {"type": "string", "description": "For example 2*(3+4)"}},
            "required": ["expression"],
        },
    },
}
MAIL = {
    "type": "function",
    "function": {
        "name": "send_email",
        "description": "Send an email.",
        "parameters": {
            "type": "object",
            "properties": {"to": {"type": "string"}, "body": {"type": "string"}},
            "required": ["to", "body"],
        },
    },
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(weights: Path) -> AsyncIterator[EmbeddedEngine]:
    engine = EmbeddedEngine(weights)
    await engine.start()
    yield engine
    await engine.close()


@pytest_asyncio.fixture(loop_scope="module")
async def client(engine: EmbeddedEngine) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(
        base_url=engine.base_url, api_key=engine.key, max_retries=0, timeout=120
    ) as client:
        yield client


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


async def ask(client: AsyncOpenAI, messages: list[Any], **options: Any) -> Any:
    return await client.chat.completions.create(model="any", messages=messages, **options)


async def test_it_remembers_a_name_and_reads_what_it_knows_from_its_cache(client: AsyncOpenAI) -> None:
    first = await ask(client, [user("My name is Ada.")])
    said = {"role": "assistant", "content": first.choices[0].message.content}
    second = await ask(client, [user("My name is Ada."), said, user("What is my name?")])
    assert "Ada" in second.choices[0].message.content
    usage = second.usage
    assert usage.prompt_tokens_details.cached_tokens > usage.prompt_tokens / 2


async def test_a_tool_is_called_and_its_result_used(client: AsyncOpenAI) -> None:
    history = [user("How warm is it in Oslo right now, in celsius?")]
    first = await ask(client, history, tools=[WEATHER, MAIL])
    message = first.choices[0].message
    (call,) = message.tool_calls
    assert (first.choices[0].finish_reason, call.function.name) == ("tool_calls", "get_weather")
    assert json.loads(call.function.arguments) == {"city": "Oslo"}
    output = {"role": "tool", "tool_call_id": call.id, "content": '{"celsius": 17, "sky": "sunny"}'}
    second = await ask(client, [*history, message.to_dict(), output], tools=[WEATHER, MAIL])
    assert second.choices[0].finish_reason == "stop"
    assert "17" in second.choices[0].message.content


async def test_a_second_tool_follows_on_the_result_of_the_first(client: AsyncOpenAI) -> None:
    history: list[Any] = [user("Compute 12*12 and email the result to bob@example.com.")]
    called = []
    for _ in range(4):
        message = (await ask(client, history, tools=[SUM, MAIL])).choices[0].message
        if not message.tool_calls:
            break
        (call,) = message.tool_calls
        called.append(call.function.name)
        result = "144" if call.function.name == "calculate" else "sent"
        history += [message.to_dict(), {"role": "tool", "tool_call_id": call.id, "content": result}]
    assert called == ["calculate", "send_email"]
    assert "144" in json.loads(call.function.arguments)["body"]


async def test_small_talk_needs_no_tool(client: AsyncOpenAI) -> None:
    reply = await ask(client, [user("Tell me a joke.")], tools=[WEATHER, MAIL], max_tokens=30)
    assert reply.choices[0].message.tool_calls is None
    assert reply.choices[0].message.content


async def test_a_tool_call_streams(client: AsyncOpenAI) -> None:
    stream = await ask(
        client, [user("Hello!")], tools=[WEATHER, MAIL], stream=True,
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
    )  # fmt: skip
    choices = [chunk.choices[0] async for chunk in stream]
    calls = [call for choice in choices for call in choice.delta.tool_calls or ()]
    assert calls[0].function.name == "get_weather"
    assert "city" in json.loads("".join(call.function.arguments for call in calls))
    assert choices[-1].finish_reason == "tool_calls"


async def test_a_schema_is_followed(client: AsyncOpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "age": {"type": "integer"},
            "mood": {"enum": ["good", "bad"]},
        },
        "required": ["name", "age", "mood"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema, "strict": True}}
    reply = await ask(client, [user("Ada is 36 and feels great.")], response_format=form)
    assert json.loads(reply.choices[0].message.content) == {"name": "Ada", "age": 36, "mood": "good"}


async def test_json_mode_gives_an_object(client: AsyncOpenAI) -> None:
    question = [user("Give me the capital of France as JSON.")]
    reply = await ask(client, question, response_format={"type": "json_object"}, max_tokens=200)
    assert isinstance(json.loads(reply.choices[0].message.content), dict)


async def test_a_stream_carries_text_logprobs_and_usage(client: AsyncOpenAI) -> None:
    stream = await ask(
        client, [user("Say hello.")], stream=True, stream_options={"include_usage": True}, logprobs=True,
        top_logprobs=2, max_tokens=5,
    )  # fmt: skip
    chunks = [chunk async for chunk in stream]
    told = [chunk.choices[0] for chunk in chunks if chunk.choices and chunk.choices[0].logprobs]
    assert "".join(choice.delta.content for choice in told).strip()
    assert all(len(choice.logprobs.content[0].top_logprobs) == 2 for choice in told)
    assert 0 < chunks[-1].usage.completion_tokens <= 5


async def test_a_seed_repeats_and_a_stop_word_stops(client: AsyncOpenAI) -> None:
    question = [user("Name an animal, a colour and a city.")]
    told = [
        (await ask(client, question, temperature=1.0, seed=3, max_tokens=20)).choices[0].message.content
        for _ in range(2)
    ]
    assert told[0] == told[1]
    reply = await ask(client, [user("Count: one, two, three, four, five.")], stop=["three"], max_tokens=40)
    assert reply.choices[0].finish_reason == "stop"
    assert "three" not in reply.choices[0].message.content


async def test_the_limit_cuts_the_answer(client: AsyncOpenAI) -> None:
    reply = await ask(client, LONG_STORY, max_tokens=3)
    assert (reply.choices[0].finish_reason, reply.usage.completion_tokens) == ("length", 3)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"messages": [user("word " * 9000)]}, "context_length_exceeded", "maximum context length is 8192"),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": {"type": "thing"}},
                }
            },
            None,
            "This schema cannot be followed",
        ),
    ],
)
async def test_what_cannot_be_answered_is_a_bad_request(
    options: dict[str, Any], code: str | None, words: str, client: AsyncOpenAI
) -> None:
    with pytest.raises(openai.BadRequestError, match=words) as refusal:
        await ask(client, **{"messages": [user("Hello")], **options})
    assert refusal.value.code == code


async def test_tokens_are_counted_as_the_model_counts_them(client: AsyncOpenAI) -> None:
    base = str(client.base_url).removesuffix("/v1/")
    counted: Any = await client.post(
        f"{base}/tokenize", body={"messages": [user("Hello there")]}, cast_to=object
    )
    reply = await ask(client, [user("Hello there")], max_tokens=1)
    assert counted["count"] == reply.usage.prompt_tokens


async def test_closing_the_connection_stops_the_writing(client: AsyncOpenAI) -> None:
    stream = await ask(client, LONG_STORY, stream=True, max_tokens=2000)
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    await stream.close()
    async with asyncio.timeout(SOON):
        await ask(client, [user("Hello")], max_tokens=2)


async def test_closing_the_connection_stops_the_reading_of_the_prompt(client: AsyncOpenAI) -> None:
    stream = await ask(client, LONG_PROMPT, stream=True)
    await anext(aiter(stream))  # says that the prompt is accepted: its reading has begun
    await stream.close()
    async with asyncio.timeout(SOON):
        await ask(client, [user("Hello")], max_tokens=2)


async def test_a_request_that_waited_in_vain_never_reaches_the_model(client: AsyncOpenAI) -> None:
    writing = await ask(client, LONG_STORY, stream=True, max_tokens=2000)
    await anext(aiter(writing))
    waiting = asyncio.create_task(ask(client, LONG_PROMPT))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await waiting
    await writing.close()
    async with asyncio.timeout(SOON):
        await ask(client, [user("Hello")], max_tokens=2)


async def test_the_model_is_listed_under_its_name(client: AsyncOpenAI, engine: EmbeddedEngine) -> None:
    assert [model.id async for model in client.models.list()] == [engine.name]


async def test_a_file_that_is_no_model_is_told() -> None:
    engine = EmbeddedEngine(Path(__file__))
    with pytest.raises(EngineUnavailable, match=r"test_embedded_model\.py cannot be loaded"):
        await engine.start()
    await engine.close()
