"""Chat completions with `previous_response_id`: turns of the same chains in another dialect (spec §1.3, §11)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec
import pytest
from openai import APIError, APIStatusError, BadRequestError, InternalServerError, NotFoundError, OpenAI
from openai.types.chat import ChatCompletion

import catena
from catena import sse
from catena.chunks import Chunk, Finish, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta, UsageReport
from catena.config import ChainSettings, Config, ServerSettings
from catena.errors import NotFound, UpstreamError
from catena.history import History
from catena.planning import Order
from catena.prefix import PrefixCache
from catena.runs import Runs
from catena.upstream import Prompt
from catena.upstream.routing import Router
from catena.upstream.scripted import ScriptedUpstream, echo_script, prompt_items
from catena.wire.chat import decode_chat
from catena.wire.chat_turn import create_request
from tests.conformance.proves import proves
from tests.running import LIMIT, RunningServer, StartServer

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
SHELL: Any = {"type": "custom", "custom": {"name": "shell"}}


async def ask(server: RunningServer, text: str, parent: str | None = None, **settings: Any) -> ChatCompletion:
    """One more turn, as a user of the official SDK has to write it."""
    completion: ChatCompletion = await server.client.chat.completions.create(
        model=settings.pop("model", "gpt-4o"),
        messages=settings.pop("messages", [{"role": "user", "content": text}]),
        extra_body=settings.pop("extra_body", {}) | ({"previous_response_id": parent} if parent else {}),
        **settings,
    )
    return completion


def told(messages: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    return [(message["role"], message["content"]) for message in messages]


def said(completion: ChatCompletion) -> str | None:
    return completion.choices[0].message.content


async def refused(server: RunningServer, **body: Any) -> tuple[int, dict[str, Any]]:
    """The status and the error of a request that is refused; no engine may have heard of it."""
    before = len(server.engine.prompts)
    asked = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **body}
    reply = await server.post("/chat/completions", asked)
    assert len(server.engine.prompts) == before
    assert reply.headers["content-type"] == "application/json"
    assert reply.json().keys() == {"error"}
    return reply.status_code, reply.json()["error"]


# The document that this door is for


def linked_completions(client: Any, **link: Any) -> list[str | None]:
    first = client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "What are the key features of Python?"}]
    )
    link = (
        {"previous_response_id": first.id} if not link else {"extra_body": {"previous_response_id": first.id}}
    )
    second = client.chat.completions.create(
        model="gpt-4o",
        messages=[{"role": "user", "content": "Can you give more details about the second one?"}],
        **link,
    )
    assert second.previous_response_id == first.id
    return [said(first), said(second)]


@proves("1.3.create", "1.3.12", "11.2", "11.4.a", "11.4.c", "11.extra_field", "11.5.echo")
@pytest.mark.parametrize("drop_in", [False, True])
async def test_two_linked_completions_share_their_context(server: RunningServer, drop_in: bool) -> None:
    def program() -> list[str | None]:
        if drop_in:
            with catena.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client:
                return linked_completions(client)
        with OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as official:
            return linked_completions(official, through="extra_body")

    answers = await asyncio.to_thread(program)
    assert told(server.seen()) == [
        ("user", "What are the key features of Python?"),
        ("assistant", answers[0]),
        ("user", "Can you give more details about the second one?"),
    ]
    assert answers[1] == "3: Can you give more details about the second one?"


async def test_many_chained_requests_at_once_stay_on_their_own_chains(server: RunningServer) -> None:
    async def conversation(number: int) -> list[tuple[str, Any]]:
        parent, expected = None, []
        for step in range(4):
            question = f"{number}.{step}"
            completion = await ask(server, question, parent, model="gpt-4o-mini")
            expected += [("user", question), ("assistant", said(completion))]
            parent = completion.id
        return expected

    chains = await asyncio.gather(*[conversation(number) for number in range(8)])
    seen = [told(prompt_items(prompt)) for prompt in server.engine.prompts]
    for chain in chains:
        assert chain[:-1] in seen


@proves("P.forks")
async def test_two_children_of_one_parent_never_mix(start_server: StartServer) -> None:
    """Both children are under way at the same time: neither answers before both were asked."""
    both = asyncio.Event()

    def script(prompt: Prompt) -> Iterator[Any]:
        last = prompt_items(prompt)[-1]["content"]
        if last in ("left", "right"):
            if len(engine.prompts) == 3:
                both.set()
            yield TextDelta(f"{last} begins, ")
            yield both
        yield TextDelta(f"{last} ends")
        yield Finish("stop")

    engine = ScriptedUpstream(script)
    async with start_server(engine=engine) as server, asyncio.timeout(LIMIT):
        root = await ask(server, "root")
        children = await asyncio.gather(ask(server, "left", root.id), ask(server, "right", root.id))
        for name, child in zip(("left", "right"), children, strict=True):
            assert said(child) == f"{name} begins, {name} ends"
            await ask(server, "more", child.id)
            assert told(server.seen()) == [
                ("user", "root"),
                ("assistant", "root ends"),
                ("user", name),
                ("assistant", f"{name} begins, {name} ends"),
                ("user", "more"),
            ]


async def test_the_model_may_change_along_the_chain_unless_a_setting_forbids_it(
    start_server: StartServer,
) -> None:
    async with start_server() as server:
        first = await ask(server, "Hi", model="gpt-4o")
        second = await ask(server, "Go on", first.id, model="gpt-4o-mini")
        assert (first.model, second.model) == ("gpt-4o", "gpt-4o-mini")
        assert [prompt.model for prompt in server.engine.prompts] == ["gpt-4o", "gpt-4o-mini"]
    async with start_server(config=Config(chains=ChainSettings(require_same_model=True))) as server:
        with pytest.raises(BadRequestError) as mixed:
            await ask(server, "Go on", first.id, model="gpt-4o-mini")
        assert (mixed.value.param, mixed.value.code) == ("model", "model_mismatch")


# What is carried


@proves("11.5.context")
async def test_messages_of_ancestors_come_first_system_messages_among_them(server: RunningServer) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}
    question: Any = {
        "role": "user",
        "name": "ann",
        "content": [{"type": "text", "text": "What is this?"}, image],
    }
    first = await ask(server, "", messages=[{"role": "system", "content": "Be brief."}, question])
    await ask(server, "", first.id, messages=[{"role": "developer", "content": "Be long."}, question])
    assert server.seen() == [
        {"role": "system", "content": "Be brief."},
        question,
        {"role": "assistant", "content": said(first)},
        {"role": "system", "content": "Be long."},
        question,
    ]


@proves("11.5.id", "1.3.12")
async def test_chains_go_through_both_dialects(server: RunningServer) -> None:
    response = await server.client.responses.create(model="m", input="one", instructions="Only now.")
    completion = await ask(server, "two", response.id)
    last = await server.client.responses.create(model="m", input="three", previous_response_id=completion.id)
    assert last.previous_response_id == completion.id
    assert told(server.seen()) == [
        ("user", "one"),
        ("assistant", response.output_text),
        ("user", "two"),
        ("assistant", said(completion)),
        ("user", "three"),
    ]
    listed = [item async for item in server.client.responses.input_items.list(last.id, order="asc")]
    assert [getattr(item, "role", None) for item in listed] == ["user", "assistant"] * 2 + ["user"]


async def test_a_chain_outlives_the_server(start_server: StartServer) -> None:
    async with start_server() as server:
        first = await ask(server, "one")
    async with start_server() as server:
        await ask(server, "two", first.id)
        assert told(server.seen()) == [("user", "one"), ("assistant", said(first)), ("user", "two")]


@proves("3.2.store_false", "3.2.42")
async def test_store_false_reads_its_chain_and_cannot_be_continued(server: RunningServer) -> None:
    first = await ask(server, "one")
    second = await ask(server, "two", first.id, store=False)
    assert len(server.seen()) == 3
    with pytest.raises(BadRequestError) as lost:
        await ask(server, "three", second.id)
    assert lost.value.code == "previous_response_not_found"


# Tools


def tool_script(prompt: Prompt) -> Iterable[Chunk]:
    """Calls both tools when asked, and reads out what they gave."""
    messages = prompt_items(prompt)
    if messages[-1]["role"] == "tool":
        outputs = [message["content"] for message in messages if message["role"] == "tool"]
        return [TextDelta(" and ".join(outputs)), Finish("stop")]
    return [
        TextDelta("Let me see."),
        ToolCallDelta(0, "call_1", "weather", '{"city":'),
        ToolCallDelta(0, arguments='"Oslo"}'),
        ToolCallDelta(1, "call_2", "shell", '{"input": "ls"}'),
        Finish("tool_calls"),
    ]


async def test_calls_and_their_outputs_are_chained(start_server: StartServer) -> None:
    async with start_server(engine=ScriptedUpstream(tool_script)) as server:
        first = await ask(server, "Well?", tools=[WEATHER, SHELL])
        choice = first.choices[0]
        assert choice.finish_reason == "tool_calls"
        assert choice.message.content == "Let me see."
        assert [call.to_dict() for call in choice.message.tool_calls or ()] == [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "weather", "arguments": '{"city":"Oslo"}'},
            },
            {"id": "call_2", "type": "custom", "custom": {"name": "shell", "input": "ls"}},
        ]
        outputs: Any = [
            {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "a.txt"}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        ]
        second = await ask(server, "", first.id, messages=outputs)
        assert said(second) == "a.txt and sunny"
        assert server.seen()[1]["tool_calls"][0]["id"] == "call_1"
        items = (await server.store.load_chain("default", second.id))[-1].input
        kinds = [item["type"] for item in msgspec.json.decode(items)]
        assert kinds == ["custom_tool_call_output", "function_call_output"]


async def test_a_call_that_was_not_answered_is_named_as_one_of_the_messages(
    start_server: StartServer,
) -> None:
    async with start_server(engine=ScriptedUpstream(tool_script)) as server:
        first = await ask(server, "Well?", tools=[WEATHER, SHELL])
        status, error = await refused(server, previous_response_id=first.id)
        assert (status, error["param"]) == (400, "messages")
        assert error["message"] == "No tool output found for function call call_1."
        lonely = {"role": "tool", "tool_call_id": "call_9", "content": "?"}
        status, error = await refused(server, messages=[lonely])
        assert (status, error["param"]) == (400, "messages")
        assert error["message"] == "No tool call found for function call output with call_id call_9."


async def test_a_whole_history_may_still_be_sent_with_every_request(start_server: StartServer) -> None:
    """What the SDK gave goes back as it is, as programs for the official API do."""
    async with start_server(engine=ScriptedUpstream(tool_script)) as server:
        history: list[Any] = [{"role": "user", "content": "Well?"}]
        first = await ask(server, "", messages=history, tools=[WEATHER, SHELL])
        history.append(first.choices[0].message)
        history += [
            {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
            {"role": "tool", "tool_call_id": "call_2", "content": "a.txt"},
        ]
        second = await ask(server, "", messages=history, tools=[WEATHER, SHELL])
        assert said(second) == "sunny and a.txt"


async def test_functions_of_old_work_along_a_chain(start_server: StartServer) -> None:
    def script(prompt: Prompt) -> Iterable[Chunk]:
        last = prompt_items(prompt)[-1]
        if last["role"] == "tool":
            return [TextDelta(f"It is {last['content']}."), Finish("stop")]
        return [ToolCallDelta(0, "call_1", "weather", "{}"), Finish("tool_calls")]

    engine = ScriptedUpstream(script)
    async with start_server(engine=engine) as server:
        first = await ask(server, "Well?", functions=[WEATHER["function"]], function_call="auto")
        choice = first.choices[0]
        assert choice.finish_reason == "function_call"
        assert choice.message.function_call is not None
        assert choice.message.function_call.name == "weather"
        assert choice.message.tool_calls is None
        assert engine.prompts[0].options["tools"] == [WEATHER]
        output: Any = {"role": "function", "name": "weather", "content": "sunny"}
        second = await ask(server, "", first.id, messages=[output])
        assert said(second) == "It is sunny."
        assert server.seen()[-1] == {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}


async def test_a_function_of_old_that_nobody_called_is_told_as_a_message(server: RunningServer) -> None:
    """An engine takes no output without its call."""
    news: Any = {"role": "function", "name": "weather", "content": "sunny"}
    await ask(server, "", messages=[news, {"role": "user", "content": "Well?"}])
    assert told(server.seen()) == [("user", "[Result of weather] sunny"), ("user", "Well?")]


# The reply


@proves("1.3.create")
async def test_a_reply_says_all_that_the_official_one_says(start_server: StartServer) -> None:
    logprob = {"token": "Hi", "bytes": [72, 105], "logprob": -0.5, "top_logprobs": []}
    engine = ScriptedUpstream(
        lambda _: [
            ReasoningDelta("Greet."),
            TextDelta("Hi", [logprob]),
            UsageReport(7, 3, cached_tokens=2, reasoning_tokens=1),
            Finish("stop"),
        ]
    )
    async with start_server(engine=engine) as server:
        reply = await server.post(
            "/chat/completions",
            {
                "model": "m",
                "messages": [{"role": "user", "content": "?"}],
                "logprobs": True,
                "metadata": {"a": "b"},
            },
        )
        body = reply.json()
        assert body.pop("id").startswith("chatcmpl-")
        assert isinstance(body.pop("created"), int)
        assert body == {
            "object": "chat.completion",
            "model": "m",
            "service_tier": "default",
            "system_fingerprint": None,
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": "Hi",
                        "refusal": None,
                        "annotations": [],
                        "reasoning_content": "Greet.",
                    },
                    "logprobs": {"content": [logprob], "refusal": None},
                    "finish_reason": "stop",
                }
            ],
            "usage": {
                "prompt_tokens": 7,
                "completion_tokens": 3,
                "total_tokens": 10,
                "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 1},
            },
        }
        assert engine.prompts[0].options == {"logprobs": True}


async def test_a_refusal_is_not_an_answer(start_server: StartServer) -> None:
    engine = ScriptedUpstream(lambda _: [RefusalDelta("I cannot."), Finish("stop")])
    async with start_server(engine=engine) as server:
        message = (await ask(server, "?")).choices[0].message
        assert (message.content, message.refusal) == (None, "I cannot.")


async def test_what_only_this_dialect_has_reaches_an_engine_that_speaks_it(server: RunningServer) -> None:
    await ask(server, "?", seed=1, stop="x", max_tokens=5, extra_body={"top_k": 3})
    assert server.engine.prompts[0].options == {"seed": 1, "stop": "x", "max_tokens": 5, "top_k": 3}


async def test_an_engine_of_the_other_dialect_gets_what_it_knows_and_the_rest_is_refused_by_name(
    start_server: StartServer,
) -> None:
    other = ScriptedUpstream(lambda _: [TextDelta("Hi"), Finish("stop")], dialect="responses")
    async with start_server(routes={"other": other}) as server:
        question: Any = {"role": "user", "name": "ann", "content": "?"}
        await ask(server, "", model="other", messages=[question], max_completion_tokens=50, tools=[WEATHER])
        (item,) = prompt_items(other.prompts[0])
        assert (item["role"], item["content"]) == ("user", [{"type": "input_text", "text": "?"}])
        assert "name" not in item
        options = other.prompts[0].options
        assert options["max_output_tokens"] == 50
        assert options["tools"] == [{"type": "function", "strict": False, **WEATHER["function"]}]
        status, error = await refused(server, model="other", seed=1)
        assert (status, error["param"], error["code"]) == (400, "seed", "unsupported_parameter")
        assert len(other.prompts) == 1


# Streams


async def streamed(server: RunningServer, **body: Any) -> list[Any]:
    asked = {"model": "m", "messages": [{"role": "user", "content": "a b"}], "stream": True, **body}
    async with server.http.stream("POST", "/chat/completions", json=asked) as reply:
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
        frames = sse.Decoder().feed(await reply.aread())
    assert all(frame.event == "" for frame in frames)
    return [frame.data if frame.data == b"[DONE]" else msgspec.json.decode(frame.data) for frame in frames]


@proves("4.1.4", "1.3.13", "11.5.echo")
async def test_a_stream_begins_with_the_role_and_ends_with_usage_and_done(server: RunningServer) -> None:
    root = await ask(server, "root")
    told = await streamed(
        server,
        stream_options={"include_usage": True},
        previous_response_id=root.id,
        messages=[{"role": "user", "content": "a b"}],
    )
    *chunks, usage, done = told
    assert done == b"[DONE]"
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "3:"},
        {"content": " a"},
        {"content": " b"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, None, None, "stop"]
    assert all(chunk["usage"] is None for chunk in chunks)
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == 3
    assert {chunk["object"] for chunk in (*chunks, usage)} == {"chat.completion.chunk"}
    assert {chunk["previous_response_id"] for chunk in (*chunks, usage)} == {root.id}
    (completion_id,) = {chunk["id"] for chunk in (*chunks, usage)}
    await ask(server, "more", completion_id)
    assert [message["content"] for message in server.seen()] == ["root", "1: root", "a b", "3: a b", "more"]


async def test_the_sdks_stream_and_its_helper_both_work(start_server: StartServer) -> None:
    async with start_server(engine=ScriptedUpstream(tool_script)) as server:
        question: Any = [{"role": "user", "content": "Well?"}]
        stream = await server.client.chat.completions.create(
            model="m", messages=question, tools=[WEATHER], stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Let me see."
        async with server.client.chat.completions.stream(
            model="m", messages=question, tools=[WEATHER]
        ) as helped:
            async for _ in helped:
                pass
            final = await helped.get_final_completion()
        message = final.choices[0].message
        assert message.content == "Let me see."
        assert message.tool_calls is not None
        assert message.tool_calls[0].function.arguments == '{"city":"Oslo"}'
        assert final.choices[0].finish_reason == "tool_calls"


async def test_an_error_before_the_first_word_has_its_own_status(start_server: StartServer) -> None:
    trouble = UpstreamError(
        "The engine is busy.", upstream_status=429, retry_after=2, code="rate_limit_exceeded"
    )
    engine = ScriptedUpstream(lambda _: [trouble])
    async with start_server(engine=engine) as server:
        for body in ({"stream": True}, {}):
            reply = await server.post(
                "/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "?"}], **body}
            )
            assert (reply.status_code, reply.headers["retry-after"]) == (429, "2")
            assert reply.json()["error"]["message"] == "The engine is busy."


async def test_an_error_after_the_first_word_is_in_the_stream(start_server: StartServer) -> None:
    trouble = UpstreamError("The engine went away.", code="upstream_disconnected")
    engine = ScriptedUpstream(lambda _: [TextDelta("half"), trouble])
    async with start_server(engine=engine) as server:
        *_, half, last = await streamed(server)
        assert half["choices"][0]["delta"] == {"content": "half"}
        assert last == {
            "error": {
                "message": "The engine went away.",
                "type": "upstream_error",
                "param": None,
                "code": "upstream_disconnected",
            }
        }
        stream = await server.client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "?"}], stream=True
        )
        with pytest.raises(APIError, match="went away"):
            [chunk async for chunk in stream]
        with pytest.raises(InternalServerError, match="went away"):
            await ask(server, "?")
        engine.script = echo_script
        await ask(server, "Go on", half["id"])
        assert [message["content"] for message in server.seen()] == ["a b", "half", "Go on"]


@proves("P.announced", "3.2.running")
async def test_an_id_is_stored_before_it_is_told(start_server: StartServer) -> None:
    told = asyncio.Event()

    def script(_: Prompt) -> Iterator[Any]:
        yield TextDelta("a")
        yield told
        yield Finish("stop")

    async with start_server(engine=ScriptedUpstream(script)) as server, asyncio.timeout(LIMIT):
        stream = await server.client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "?"}], stream=True
        )
        chunk = await anext(aiter(stream))
        stored = await server.store.load("default", chunk.id)
        assert stored is not None
        assert stored.status == "in_progress"
        status, error = await refused(server, previous_response_id=chunk.id)
        assert (status, error["code"]) == (400, "previous_response_not_ready")
        told.set()
        assert [each async for each in stream][-1].choices[0].finish_reason == "stop"


class Held(asyncio.Event):
    """An event that an engine waits for; `left` tells that it waits no more."""

    def __init__(self) -> None:
        super().__init__()
        self.left = asyncio.Event()

    async def wait(self) -> Literal[True]:
        try:
            return await super().wait()
        finally:
            self.left.set()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_before_the_first_word_stops_the_engine(
    start_server: StartServer, stream: bool
) -> None:
    asked, held = asyncio.Event(), Held()

    def script(_: Prompt) -> Iterator[Any]:
        asked.set()
        yield held

    async with start_server(engine=ScriptedUpstream(script)) as server, asyncio.timeout(LIMIT):
        body = {"model": "m", "messages": [{"role": "user", "content": "?"}], "stream": stream}
        request = asyncio.create_task(server.post("/chat/completions", body))
        await asked.wait()
        request.cancel()
        await asyncio.wait([request])
        await held.left.wait()


async def test_a_reply_that_was_cut_short_says_so(start_server: StartServer) -> None:
    engine = ScriptedUpstream(lambda _: [TextDelta("and so"), Finish("length")])
    async with start_server(engine=engine) as server:
        assert (await ask(server, "?", max_tokens=2)).choices[0].finish_reason == "length"
        assert (await streamed(server))[-2]["choices"][0]["finish_reason"] == "length"


# What is stored


@proves("1.3.list", "1.3.11")
async def test_only_what_was_stored_on_purpose_is_listed(server: RunningServer) -> None:
    client = server.client
    kept = [await ask(server, str(number), store=True, metadata={"n": str(number)}) for number in range(5)]
    await ask(server, "quiet")
    await client.responses.create(model="m", input="elsewhere", store=True)
    ids = [completion.id for completion in kept]
    assert [each.id async for each in client.chat.completions.list()] == ids
    assert [each.id async for each in client.chat.completions.list(order="desc", limit=2)] == ids[::-1]
    page = await client.chat.completions.list(after=ids[1], limit=2)
    assert [each.id for each in page.data] == ids[2:4]
    assert page.has_more
    body = (await server.http.get("/chat/completions", params={"limit": 3})).json()
    assert (body["object"], body["first_id"], body["last_id"]) == ("list", ids[0], ids[2])
    assert [each.id async for each in client.chat.completions.list(metadata={"n": "3"})] == [ids[3]]
    assert [each async for each in client.chat.completions.list(model="elsewhere")] == []
    assert len([each async for each in client.chat.completions.list(model="gpt-4o")]) == 5


@proves("1.3.retrieve", "1.3.update", "1.3.delete")
async def test_a_stored_completion_is_retrieved_updated_and_deleted(server: RunningServer) -> None:
    completions = server.client.chat.completions
    root = await ask(server, "root")
    kept = await ask(server, "one", root.id, store=True, metadata={"a": "b"})
    child = await ask(server, "two", kept.id)
    found = await completions.retrieve(kept.id)
    assert found.metadata == {"a": "b"}
    assert {**found.to_dict(), "metadata": None} == {**kept.to_dict(), "metadata": None}
    updated = await completions.update(kept.id, metadata={"c": "d"})
    assert updated.metadata == {"c": "d"}
    assert (await completions.retrieve(kept.id)).to_dict() == updated.to_dict()
    assert (await completions.update(kept.id, metadata=None)).metadata == {}
    deleted = await completions.delete(kept.id)
    assert deleted.to_dict() == {"id": kept.id, "object": "chat.completion.deleted", "deleted": True}
    with pytest.raises(NotFoundError):
        await completions.retrieve(kept.id)
    await ask(server, "three", child.id)
    assert [message["content"] for message in server.seen()] == ["root", "1: root", "two", "5: two", "three"]


@proves("1.3.messages")
async def test_the_messages_of_a_completion_are_all_that_the_model_saw(server: RunningServer) -> None:
    root = await server.client.responses.create(model="m", input="root")
    image: Any = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    question: Any = {"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]}
    kept = await ask(
        server, "", root.id, store=True, messages=[{"role": "developer", "content": "Be brief."}, question]
    )
    messages = server.client.chat.completions.messages
    listed = [each async for each in messages.list(kept.id)]
    assert [(each.id, each.role, each.content) for each in listed] == [
        (f"{kept.id}-0", "user", "root"),
        (f"{kept.id}-1", "assistant", "1: root"),
        (f"{kept.id}-2", "developer", "Be brief."),
        (f"{kept.id}-3", "user", "What is this?"),
    ]
    assert listed[0].content_parts is None
    assert [part.to_dict() for part in listed[3].content_parts or ()] == question["content"]
    assert [each.id async for each in messages.list(kept.id, order="desc", limit=1)] == [
        each.id for each in reversed(listed)
    ]
    page = await messages.list(kept.id, after=listed[0].id, limit=2)
    assert [each.id for each in page.data] == [listed[1].id, listed[2].id]
    assert page.has_more


@proves("1.3.11")
@pytest.mark.parametrize("which", ["unknown", "quiet", "response", "deleted"])
async def test_a_completion_that_is_not_listed_is_not_found(start_server: StartServer, which: str) -> None:
    async with start_server() as server:
        match which:
            case "unknown":
                completion_id = "chatcmpl-123"
            case "quiet":
                completion_id = (await ask(server, "quiet")).id
            case "response":
                completion_id = (await server.client.responses.create(model="m", input="x")).id
            case _:
                completion_id = (await ask(server, "x", store=True)).id
                await server.client.chat.completions.delete(completion_id)
        path = f"/chat/completions/{completion_id}"
        replies = [
            await server.http.get(path),
            await server.http.get(f"{path}/messages"),
            await server.http.delete(path),
            await server.post(path, {"metadata": {}}),
        ]
        for reply in replies:
            assert reply.status_code == 404
            assert reply.json()["error"] == {
                "message": f"Completion with id '{completion_id}' not found.",
                "type": "invalid_request_error",
                "param": None,
                "code": None,
            }


async def test_a_completion_is_listed_when_it_has_ended_and_is_no_response(start_server: StartServer) -> None:
    go_on = asyncio.Event()

    def script(_: Prompt) -> Iterator[Any]:
        yield TextDelta("a")
        yield go_on
        yield Finish("stop")

    async with start_server(engine=ScriptedUpstream(script)) as server, asyncio.timeout(LIMIT):
        completions = server.client.chat.completions
        stream = await completions.create(
            model="m", messages=[{"role": "user", "content": "?"}], stream=True, store=True
        )
        chunk = await anext(aiter(stream))
        under_way = [
            await server.http.get(f"/{door}/{chunk.id}") for door in ("chat/completions", "responses")
        ]
        assert [reply.status_code for reply in under_way] == [404, 404]
        assert [each async for each in completions.list()] == []
        go_on.set()
        [each async for each in stream]
        assert said(await completions.retrieve(chunk.id)) == "a"
        assert [each.id async for each in completions.list()] == [chunk.id]
        assert (await server.http.get(f"/responses/{chunk.id}")).status_code == 404


async def test_a_stream_that_failed_is_not_listed(start_server: StartServer) -> None:
    engine = ScriptedUpstream(lambda _: [TextDelta("half"), UpstreamError("The engine went away.")])
    async with start_server(engine=engine) as server:
        await streamed(server, store=True)
        assert [each async for each in server.client.chat.completions.list()] == []


@pytest.mark.parametrize(
    ("query", "param", "code"),
    [
        ("limit=0", "limit", "integer_below_min_value"),
        ("limit=101", "limit", "integer_above_max_value"),
        ("limit=x", "limit", "invalid_type"),
        ("order=up", "order", "invalid_value"),
    ],
)
async def test_a_wrong_page_is_refused(server: RunningServer, query: str, param: str, code: str) -> None:
    kept = await ask(server, "x", store=True)
    for path in ("/chat/completions", f"/chat/completions/{kept.id}/messages"):
        reply = await server.http.get(f"{path}?{query}")
        assert reply.status_code == 400
        assert (reply.json()["error"]["param"], reply.json()["error"]["code"]) == (param, code)


async def test_a_page_after_something_unknown_is_refused(server: RunningServer) -> None:
    kept = await ask(server, "x", store=True)
    assert (await server.http.get("/chat/completions?after=chatcmpl-9")).status_code == 404
    assert (await server.http.get(f"/chat/completions/{kept.id}/messages?after=9")).status_code == 400


# Errors


UNKNOWN = "chatcmpl-" + "0123456789abcdef" + "00" + "69000000" + "0" * 24


@proves("1.3.choices")
@pytest.mark.parametrize(
    ("body", "status", "param", "code", "message"),
    [
        ({"model": None}, 400, "model", "invalid_type", "Invalid type for 'model'"),
        ({"messages": []}, 400, "messages", "empty_array", "Invalid 'messages': empty array."),
        (
            {"messages": None},
            400,
            "messages",
            "invalid_type",
            "Invalid type for 'messages': expected an array of objects, but got an object instead.",
        ),
        (
            {"functions": [{"name": "f"}], "function_call": {"name": "g"}},
            400,
            "function_call",
            None,
            "Invalid value for 'function_call': no function named 'g' was specified in the 'functions' parameter.",
        ),
        ({"bogus": 1}, 400, "bogus", "unknown_parameter", "Unknown parameter: 'bogus'."),
        ({"n": 2}, 400, "n", "unsupported_value", "Unsupported value: 'n' does not support 2"),
        (
            {"moderation": {"model": "x"}},
            400,
            "moderation",
            "unsupported_parameter",
            "Unsupported parameter: 'moderation' is not supported by this server.",
        ),
        (
            {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "x"}}},
            400,
            "tool_choice",
            None,
            "Tool choice 'x' not found in 'tools' parameter.",
        ),
        (
            {"previous_response_id": UNKNOWN},
            400,
            "previous_response_id",
            "previous_response_not_found",
            f"Previous response with id '{UNKNOWN}' not found.",
        ),
        (
            {"previous_response_id": "resp_1"},
            400,
            "previous_response_id",
            "previous_response_not_found",
            "Previous response with id 'resp_1' not found.",
        ),
        (
            {"previous_response_id": {"id": "resp_1"}},
            400,
            "previous_response_id",
            "invalid_type",
            "Invalid type for 'previous_response_id': expected a string, but got an object instead.",
        ),
        (
            {"previous_response_id": "gen-1"},
            400,
            "previous_response_id",
            "invalid_id_prefix",
            "Invalid 'previous_response_id': 'gen-1'. Expected an ID that begins with 'resp'.",
        ),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_that_is_refused_reaches_no_engine(
    server: RunningServer,
    body: dict[str, Any],
    status: int,
    param: str,
    code: str | None,
    message: str,
    stream: bool,
) -> None:
    told_status, error = await refused(server, stream=stream, **body)
    assert told_status == status
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)
    assert error["message"].startswith(message)
    assert (await server.store.usage()).turns == 0


@proves("11.5.unknown")
async def test_an_unknown_parent_is_the_same_error_at_both_doors(server: RunningServer) -> None:
    errors = []
    for create in (
        server.client.responses.create(model="m", input="x", previous_response_id=UNKNOWN),
        ask(server, "x", UNKNOWN),
    ):
        with pytest.raises(BadRequestError) as caught:
            await create
        errors.append(caught.value.body)
    assert errors[0] == errors[1]


async def test_a_model_that_nobody_serves_is_not_found(server: RunningServer) -> None:
    runs = Runs(server.store, Router({}), History(server.store, PrefixCache(0)))
    request = create_request(decode_chat(b'{"model":"gpt-9","messages":[{"role":"user","content":"x"}]}'))
    with pytest.raises(NotFound) as missing:
        await runs.plan("default", Order(request=request, door="chat"))
    assert (missing.value.param, missing.value.code) == ("model", "model_not_found")
    assert missing.value.message == "The model 'gpt-9' does not exist or you do not have access to it."


async def test_a_key_that_may_only_read_creates_and_changes_nothing(start_server: StartServer) -> None:
    settings = ServerSettings(api_key="all", read_only_api_key="read")
    async with start_server(config=Config(server=settings)) as server:
        writer, reader = (server.client.with_options(api_key=key) for key in ("all", "read"))
        question: Any = [{"role": "user", "content": "x"}]
        kept = await writer.chat.completions.create(model="m", messages=question, store=True)
        assert (await reader.chat.completions.retrieve(kept.id)).id == kept.id
        for attempt in (
            reader.chat.completions.create(model="m", messages=question),
            reader.chat.completions.update(kept.id, metadata={}),
            reader.chat.completions.delete(kept.id),
        ):
            with pytest.raises(APIStatusError) as forbidden:
                await attempt
            assert forbidden.value.status_code == 403
