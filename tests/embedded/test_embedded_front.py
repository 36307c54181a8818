"""The embedded engine's HTTP, with a model that is a script."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from catena.embedded.front import Front
from catena.errors import BadRequest
from tests.embedded.scripted_decoder import ScriptedDecoder

KEY = "secret"
HELLO = [{"role": "user", "content": "Hello"}]
WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {}}}},
}
RESULT = [
    {"role": "user", "content": "Weather in Oslo?"},
    {
        "role": "assistant",
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "rain"},
]


class Caller:
    """One request to the front, without a network in between."""

    def __init__(self, decoder: ScriptedDecoder, *, key: str = KEY) -> None:
        self.front = Front(decoder, name="tiny", key=KEY)
        self.status = 0
        self.content_type = ""
        self.body = b""
        self.gone = asyncio.Event()
        self._authorization = f"Bearer {key}".encode()
        self._request: list[dict[str, Any]] = []

    async def ask(self, method: str, path: str, body: Mapping[str, Any] | bytes = b"") -> Any:
        """The JSON of the reply."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        # In two pieces, as a large body comes.
        self._request = [
            {"type": "http.request", "body": data[:5], "more_body": True},
            {"type": "http.request", "body": data[5:], "more_body": False},
        ]
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": [(b"authorization", self._authorization)],
        }
        async with asyncio.timeout(5):
            await self.front(scope, self._receive, self._send)
        return json.loads(self.body) if self.content_type == "application/json" else None

    async def chat(self, **fields: Any) -> Any:
        return await self.ask("POST", "/v1/chat/completions", {"messages": HELLO, **fields})

    @property
    def events(self) -> list[Any]:
        """The events of the stream; `[DONE]` must end it."""
        *events, end, rest = self.body.decode().split("\n\n")
        assert (end, rest) == ("data: [DONE]", "")
        return [json.loads(event.removeprefix("data: ")) for event in events if event.startswith("data: ")]

    async def _receive(self) -> dict[str, Any]:
        if self._request:
            return self._request.pop(0)
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, event: Any) -> None:
        if event["type"] == "http.response.start":
            self.status = event["status"]
            self.content_type = dict(event["headers"])[b"content-type"].decode()
        else:
            self.body += event["body"]


async def test_an_answer_comes_whole_with_its_usage() -> None:
    decoder = ScriptedDecoder("Hi!")
    reply = await Caller(decoder).chat(model="gpt-4o", max_tokens=7, temperature=0.5)
    assert (reply["object"], reply["model"]) == ("chat.completion", "gpt-4o")
    (choice,) = reply["choices"]
    assert choice["message"] == {"role": "assistant", "content": "Hi!", "refusal": None}
    assert choice["finish_reason"] == "stop"
    assert reply["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 3,
        "total_tokens": 13,
        "prompt_tokens_details": {"cached_tokens": 4},
    }
    assert decoder.options == [{"temperature": 0.5, "max_tokens": 7}]


async def test_an_answer_is_greedy_and_bounded_unless_the_caller_says_otherwise() -> None:
    decoder = ScriptedDecoder("Hi!")
    await Caller(decoder).chat()
    assert decoder.options == [{"temperature": 0.0, "max_tokens": 2048}]


async def test_an_answer_streams_in_chunks() -> None:
    caller = Caller(ScriptedDecoder("Hi", reason="length"))
    await caller.chat(stream=True, stream_options={"include_usage": True})
    assert caller.content_type.startswith("text/event-stream")
    *chunks, usage = caller.events
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": ""},
        {"content": "H"},
        {"content": "i"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, None, "length"]
    assert (usage["choices"], usage["usage"]["completion_tokens"]) == ([], 2)
    assert len({event["id"] for event in caller.events}) == 1


async def test_a_stream_tells_no_usage_unless_it_is_asked_to() -> None:
    caller = Caller(ScriptedDecoder("Hi"))
    await caller.chat(stream=True)
    assert all("usage" not in event for event in caller.events)


async def test_a_long_prompt_keeps_the_stream_alive_with_comments() -> None:
    caller = Caller(ScriptedDecoder("Hi"))
    await caller.chat(stream=True)
    assert b"\n\n: reading the prompt\n\n" in caller.body


async def test_logprobs_come_with_each_chunk_and_all_together() -> None:
    caller = Caller(ScriptedDecoder("Hi"))
    await caller.chat(stream=True, logprobs=True)
    told = [chunk["choices"][0]["logprobs"] for chunk in caller.events]
    assert told == [None, {"content": [{"token": "H"}]}, {"content": [{"token": "i"}]}, None]
    reply = await Caller(ScriptedDecoder("Hi")).chat(logprobs=True)
    assert reply["choices"][0]["logprobs"] == {"content": [{"token": "H"}, {"token": "i"}]}


async def test_a_response_format_is_for_the_decoder() -> None:
    decoder = ScriptedDecoder("{}")
    await Caller(decoder).chat(response_format={"type": "json_object"})
    assert decoder.options[0]["response_format"] == {"type": "json_object"}


async def test_a_tool_is_chosen_and_then_its_arguments() -> None:
    decoder = ScriptedDecoder('{"tool": "get_weather"}', '{"city": "Oslo"}')
    reply = await Caller(decoder).chat(tools=[WEATHER], stop="}", logprobs=True)
    (choice,) = reply["choices"]
    (call,) = choice["message"]["tool_calls"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert call["function"] == {"name": "get_weather", "arguments": '{"city": "Oslo"}'}
    first, second = (options["response_format"]["json_schema"]["schema"] for options in decoder.options)
    assert first["properties"]["tool"]["enum"] == ["get_weather", "none"]
    assert second["properties"] == {"city": {}}
    assert not {"stop", "logprobs"} & {*decoder.options[0], *decoder.options[1]}


async def test_a_tool_call_streams_its_name_first_and_then_its_arguments() -> None:
    caller = Caller(ScriptedDecoder('{"tool": "get_weather"}', "{}"))
    await caller.chat(tools=[WEATHER], stream=True)
    role, name, *arguments, end = [event["choices"][0] for event in caller.events]
    assert role["delta"] == {"role": "assistant", "content": ""}
    (call,) = name["delta"]["tool_calls"]
    assert call.pop("id").startswith("call_")
    assert call == {"index": 0, "type": "function", "function": {"name": "get_weather", "arguments": ""}}
    pieces = [piece["delta"]["tool_calls"][0] for piece in arguments]
    assert "".join(piece["function"]["arguments"] for piece in pieces) == "{}"
    assert all(piece["index"] == 0 for piece in pieces)
    assert end["finish_reason"] == "tool_calls"


async def test_arguments_that_the_limit_cut_are_told_as_cut() -> None:
    reply = await Caller(ScriptedDecoder('{"tool": "get_weather"}', '{"ci', reason="length")).chat(
        tools=[WEATHER]
    )
    assert reply["choices"][0]["finish_reason"] == "length"


async def test_where_no_tool_is_needed_the_model_answers_in_words() -> None:
    decoder = ScriptedDecoder('{"tool": "none"}', "Hi!")
    reply = await Caller(decoder).chat(tools=[WEATHER], response_format={"type": "json_object"})
    assert reply["choices"][0]["message"]["content"] == "Hi!"
    assert decoder.options[1]["response_format"] == {"type": "json_object"}


async def test_the_one_tool_that_is_required_needs_no_question() -> None:
    decoder = ScriptedDecoder("{}")
    reply = await Caller(decoder).chat(tools=[WEATHER], tool_choice="required")
    assert reply["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "get_weather"
    assert len(decoder.questions) == 1


async def test_no_tool_is_asked_for_where_none_may_be_called() -> None:
    decoder = ScriptedDecoder("Hi!")
    await Caller(decoder).chat(tools=[WEATHER], tool_choice="none")
    assert len(decoder.questions) == 1


async def test_the_same_call_again_becomes_an_answer_in_words() -> None:
    decoder = ScriptedDecoder('{"tool": "get_weather"}', '{"city":"Oslo"}', "It rains.")
    reply = await Caller(decoder).chat(messages=RESULT, tools=[WEATHER])
    assert reply["choices"][0]["message"]["content"] == "It rains."
    assert reply["choices"][0]["finish_reason"] == "stop"


async def test_another_call_after_a_result_is_made() -> None:
    decoder = ScriptedDecoder('{"tool": "get_weather"}', '{"city":"Rome"}')
    reply = await Caller(decoder).chat(messages=RESULT, tools=[WEATHER])
    call = reply["choices"][0]["message"]["tool_calls"][0]
    assert call["function"]["arguments"] == '{"city":"Rome"}'


async def test_the_same_call_is_made_again_where_a_tool_is_required() -> None:
    decoder = ScriptedDecoder('{"city": "Oslo"}')
    reply = await Caller(decoder).chat(messages=RESULT, tools=[WEATHER], tool_choice="required")
    assert reply["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_that_is_too_long_is_refused_before_anything_is_sent(stream: bool) -> None:
    caller = Caller(
        ScriptedDecoder(BadRequest("Too long.", param="messages", code="context_length_exceeded"))
    )
    reply = await caller.chat(stream=stream)
    assert caller.status == 400
    assert reply == {
        "error": {
            "message": "Too long.",
            "type": "invalid_request_error",
            "param": "messages",
            "code": "context_length_exceeded",
        }
    }


async def test_a_bug_is_a_500_that_reveals_nothing() -> None:
    caller = Caller(ScriptedDecoder(RuntimeError("at 0x1234")))
    reply = await caller.chat()
    assert caller.status == 500
    assert reply["error"]["type"] == "server_error"
    assert "0x1234" not in reply["error"]["message"]


async def test_the_choice_of_a_tool_sends_nothing_so_that_an_error_after_it_has_its_status() -> None:
    caller = Caller(ScriptedDecoder('{"tool": "none"}', BadRequest("No.")))
    await caller.chat(tools=[WEATHER], stream=True)
    assert caller.status == 400


async def test_an_error_after_the_stream_has_begun_is_its_last_event() -> None:
    class Breaking(ScriptedDecoder):
        async def decode(self, messages: Any, options: Any) -> Any:
            async for piece in super().decode(messages, options):
                yield piece
            raise BadRequest("Broken.")

    caller = Caller(Breaking("Hi"))
    await caller.chat(stream=True)
    *_, last, end = caller.body.decode().split("\n\n")
    assert (caller.status, end) == (200, "")
    assert json.loads(last.removeprefix("data: "))["error"]["message"] == "Broken."


@pytest.mark.parametrize("stream", [False, True])
async def test_the_model_stops_when_the_caller_has_gone(stream: bool) -> None:
    decoder = ScriptedDecoder(None)
    caller = Caller(decoder)
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(caller.chat(stream=stream))
        await decoder.speaking.wait()
        assert not decoder.closed.is_set()
        caller.gone.set()
        await decoder.closed.wait()


async def test_the_key_is_asked_for_everywhere_but_in_health_checks() -> None:
    for method, path in (
        ("POST", "/v1/chat/completions"),
        ("GET", "/v1/models"),
        ("POST", "/tokenize"),
        ("GET", "/"),
    ):
        caller = Caller(ScriptedDecoder(), key="wrong")
        reply = await caller.ask(method, path, b"{}")
        assert caller.status == 401
        assert reply["error"]["code"] == "invalid_api_key"
    caller = Caller(ScriptedDecoder(), key="wrong")
    assert await caller.ask("GET", "/health") == {"status": "ok"}


async def test_the_model_is_listed() -> None:
    reply = await Caller(ScriptedDecoder()).ask("GET", "/v1/models")
    assert [model["id"] for model in reply["data"]] == ["tiny"]


async def test_with_tools_the_question_which_one_is_needed_is_counted() -> None:
    question = {"messages": HELLO, "tools": [{"type": "function", "function": {"name": "weather"}}]}
    plain = await Caller(ScriptedDecoder()).ask("POST", "/tokenize", {"messages": HELLO})
    reply = await Caller(ScriptedDecoder()).ask("POST", "/tokenize", question)
    assert reply["count"] > plain["count"]
    caller = Caller(ScriptedDecoder())
    error = (await caller.ask("POST", "/tokenize", {**question, "tools": [{"type": "web_search"}]}))["error"]
    assert (caller.status, error["param"]) == (400, "tools[0]")


async def test_other_routes_and_methods_are_told_apart() -> None:
    caller = Caller(ScriptedDecoder())
    await caller.ask("GET", "/v1/embeddings")
    assert caller.status == 404
    caller = Caller(ScriptedDecoder())
    await caller.ask("GET", "/v1/chat/completions")
    assert caller.status == 405


async def test_tokens_of_a_text_and_of_messages_are_counted() -> None:
    reply = await Caller(ScriptedDecoder()).ask("POST", "/tokenize", {"prompt": "one two three"})
    assert reply == {"count": 3, "max_model_len": 100, "tokens": [0, 1, 2]}
    messages = [{"role": "system", "content": "Be brief."}, *HELLO]
    reply = await Caller(ScriptedDecoder()).ask("POST", "/tokenize", {"messages": messages})
    assert reply["count"] == 3
    caller = Caller(ScriptedDecoder())
    await caller.ask("POST", "/tokenize", {"prompt": 5})
    assert caller.status == 400
