"""The chat dialect of a request: what is taken, what it becomes, and what is said of one that is wrong."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.context import chat
from catena.context.attach import chat_part
from catena.context.media import Draft, filled
from catena.errors import BadRequest
from catena.wire.chat import ENGINE_OPTIONS, EXTRA_OPTIONS, ChatRequest, decode_chat, decode_update
from catena.wire.chat_turn import create_request, extra_options
from catena.wire.response import Item

PAGE = Path(__file__).parents[2] / "docs" / "chat-completions.md"

HI = {"role": "user", "content": "Hi"}
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
}
AUDIO = {"voice": "alloy", "format": "wav"}


def decoded(*messages: dict[str, Any], **settings: Any) -> ChatRequest:
    body = {"model": "m", "messages": messages or [HI], **settings}
    return decode_chat(msgspec.json.encode(body))


def items(*messages: dict[str, Any]) -> list[Item]:
    given = create_request(decoded(*messages)).input
    assert isinstance(given, list)
    return given


def refusal(body: Any) -> tuple[str | None, str | None, str]:
    with pytest.raises(BadRequest) as caught:
        decode_chat(body if isinstance(body, bytes) else msgspec.json.encode(body))
    return caught.value.param, caught.value.code, caught.value.message


# Messages to items and back


TEXT = st.text(max_size=8)
ARGUMENTS = TEXT.map(lambda text: msgspec.json.encode({"a": text}).decode())
NAMES = st.none() | st.sampled_from(["ann", "bob-2"])
TEXT_PARTS = st.builds(lambda text: {"type": "text", "text": text}, TEXT)
OTHER_PARTS = st.sampled_from(
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"}},
    ]
)


@st.composite
def asking(draw: st.DrawFn) -> dict[str, Any]:
    role = draw(st.sampled_from(["user", "system", "developer"]))
    parts = TEXT_PARTS | OTHER_PARTS if role == "user" else TEXT_PARTS
    message = {"role": role, "content": draw(TEXT | st.lists(parts, min_size=1, max_size=3))}
    name = draw(NAMES)
    return message if name is None else {**message, "name": name}


@st.composite
def answering(draw: st.DrawFn) -> list[dict[str, Any]]:
    """An assistant's message, and the outputs of the tools that it calls."""
    place = draw(st.integers(0, 10**6))
    calls: list[dict[str, Any]] = []
    for number in range(draw(st.integers(0, 2))):
        call: dict[str, Any] = {"id": f"call_{place}_{number}"}
        if draw(st.booleans()):
            call |= {"type": "function", "function": {"name": "f", "arguments": draw(ARGUMENTS)}}
        else:
            call |= {"type": "custom", "custom": {"name": "c", "input": draw(TEXT)}}
        calls.append(call)
    content = draw(st.none() | TEXT | st.lists(TEXT_PARTS, min_size=1, max_size=2))
    message = {"role": "assistant", "content": content, "refusal": draw(st.none() | TEXT)}
    outputs = [
        {"role": "tool", "tool_call_id": call["id"], "content": draw(TEXT | st.lists(TEXT_PARTS, min_size=1))}
        for call in calls
    ]
    return [message | ({"tool_calls": calls} if calls else {}), *outputs]


CONVERSATIONS = st.lists(st.tuples(asking(), answering()), min_size=1, max_size=4).map(
    lambda turns: [message for question, answer in turns for message in (question, *answer)]
)


def text_of(content: Any) -> str:
    return "".join(part["text"] for part in content) if isinstance(content, list) else content or ""


def plain(message: dict[str, Any]) -> dict[str, Any]:
    """A message as an engine is sent it: the one form of those that mean the same."""
    role, content = message["role"], message["content"]
    if role == "tool":
        return {**message, "content": text_of(content)}
    if role == "assistant":
        said = text_of(content) + (message["refusal"] or "")
        calls = [plain_call(call) for call in message.get("tool_calls", ())]
        if not calls:
            return {"role": role, "content": said}
        return {"role": role, "content": said or None, "tool_calls": calls}
    if isinstance(content, list) and len(content) == 1 and content[0]["type"] == "text":
        content = content[0]["text"]
    return {**message, "role": "system" if role == "developer" else role, "content": content}


def plain_call(call: dict[str, Any]) -> dict[str, Any]:
    """Engines know functions: a custom tool is one of a single `input`."""
    if call["type"] == "function":
        return call
    arguments = msgspec.json.encode({"input": call["custom"]["input"]}).decode()
    function = {"name": call["custom"]["name"], "arguments": arguments}
    return {"id": call["id"], "type": "function", "function": function}


@given(CONVERSATIONS)
def test_messages_come_back_as_the_same_messages_for_the_engine(messages: list[dict[str, Any]]) -> None:
    attach = partial(chat_part, found=None, accepts=frozenset({"image", "audio", "file"}))
    written = filled(Draft(chat.render(items(*messages))), attach)
    assert msgspec.json.decode(b"[%b]" % written) == [plain(message) for message in messages]


def test_an_answer_of_an_assistant_is_one_item_of_each_kind() -> None:
    answer = {
        "role": "assistant",
        "content": "Let me see.",
        "reasoning_content": "Weather, so ask.",
        "annotations": [],
        "audio": None,
        "function_call": None,
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "weather", "arguments": "{}"},
                "index": 0,
            },
            {"id": "call_2", "type": "custom", "custom": {"name": "shell", "input": "ls"}},
        ],
    }
    thought, said, function, custom = items(answer)[:4]
    assert thought["content"] == [{"type": "reasoning_text", "text": "Weather, so ask."}]
    assert said["content"] == [{"type": "output_text", "text": "Let me see.", "annotations": []}]
    assert function == {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"}
    assert custom == {"type": "custom_tool_call", "call_id": "call_2", "name": "shell", "input": "ls"}


def test_the_output_of_a_custom_tool_is_told_from_that_of_a_function_by_its_call() -> None:
    call = {"id": "call_1", "type": "custom", "custom": {"name": "shell", "input": "ls"}}
    given = items(
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "a b"},
        {"role": "tool", "tool_call_id": "call_elsewhere", "content": "c"},
    )
    assert [item["type"] for item in given] == [
        "custom_tool_call",
        "custom_tool_call_output",
        "function_call_output",
    ]


def test_the_old_form_of_calls_gets_the_ids_that_it_lacks() -> None:
    call, output = items(
        {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": "{}"}},
        {"role": "function", "name": "weather", "content": "sunny"},
    )
    assert call["type"] == "function_call"
    assert output["type"] == "function_call_output"
    assert output["call_id"] == call["call_id"]


def test_a_function_message_whose_call_is_not_there_keeps_its_name() -> None:
    (output,) = items({"role": "function", "name": "weather", "content": "sunny"})
    assert output == {"type": "function_call_output", "name": "weather", "output": "sunny"}


@pytest.mark.parametrize("role", ["user", "system", "developer", "assistant"])
def test_a_message_without_content_is_an_empty_one(role: str) -> None:
    """The official API takes both a missing content and a null."""
    for message in ({"role": role}, {"role": role, "content": None}):
        (item,) = items(message)
        assert [part["text"] for part in item["content"]] == [""]


def test_cache_breakpoints_stay_on_their_parts() -> None:
    mark = {"mode": "explicit"}
    part = {"type": "text", "text": "x", "prompt_cache_breakpoint": mark}
    (item,) = items({"role": "user", "content": [part]})
    assert item["content"] == [{"type": "input_text", "text": "x", "prompt_cache_breakpoint": mark}]


# Settings


SETTINGS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"max_completion_tokens": 5}, {"max_tokens": 5}),
    ({"max_tokens": 7}, {"max_tokens": 7}),
    ({"temperature": 0, "top_p": 0.5, "user": "u"}, {"temperature": 0, "top_p": 0.5, "user": "u"}),
    (
        {"presence_penalty": 1, "frequency_penalty": -1},
        {"presence_penalty": 1, "frequency_penalty": -1},
    ),
    ({"reasoning_effort": "low", "verbosity": "high"}, {"reasoning_effort": "low", "verbosity": "high"}),
    ({"logprobs": True, "top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
    ({"response_format": {"type": "json_object"}}, {"response_format": {"type": "json_object"}}),
    ({"response_format": {"type": "text"}}, {}),
    (
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {}, "strict": True},
            }
        },
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {}, "strict": True},
            }
        },
    ),
    ({"tools": [WEATHER], "tool_choice": "auto"}, {"tools": [WEATHER]}),
    (
        {
            "tools": [WEATHER],
            "tool_choice": {"type": "function", "function": {"name": "weather"}},
            "parallel_tool_calls": False,
        },
        {
            "tools": [WEATHER],
            "tool_choice": {"type": "function", "function": {"name": "weather"}},
            "parallel_tool_calls": False,
        },
    ),
    (
        {"functions": [WEATHER["function"]], "function_call": {"name": "weather"}},
        {
            "tools": [WEATHER],
            "tool_choice": {"type": "function", "function": {"name": "weather"}},
            "parallel_tool_calls": False,
        },
    ),
    ({"store": True, "metadata": {"a": "b"}, "stream": True, "n": 1, "modalities": ["text"]}, {}),
]


@pytest.mark.parametrize(("asked", "sent"), SETTINGS)
def test_settings_reach_a_chat_engine_as_they_were_asked_for(
    asked: dict[str, Any], sent: dict[str, Any]
) -> None:
    request = create_request(decoded(**asked))
    assert chat.options(request, chat.offer(request, (), frozenset())) == sent


def test_the_settings_of_a_turn_are_told_in_the_words_of_the_responses_api() -> None:
    made = create_request(
        decoded(
            max_tokens=5,
            store=False,
            metadata={"a": "b"},
            tools=[
                {"type": "function", "function": {"name": "f", "description": "d"}},
                {"type": "custom", "custom": {"name": "c", "format": {"type": "text"}}},
                {
                    "type": "custom",
                    "custom": {
                        "name": "g",
                        "format": {"type": "grammar", "grammar": {"syntax": "regex", "definition": "a+"}},
                    },
                },
            ],
            tool_choice={
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "custom", "custom": {"name": "c"}}]},
            },
        )
    )
    assert (made.max_output_tokens, made.store, made.metadata) == (5, False, {"a": "b"})
    assert made.tools == [
        {"type": "function", "name": "f", "strict": False, "description": "d"},
        {"type": "custom", "name": "c", "format": {"type": "text"}},
        {"type": "custom", "name": "g", "format": {"type": "grammar", "syntax": "regex", "definition": "a+"}},
    ]
    assert made.tool_choice == {
        "type": "allowed_tools",
        "mode": "auto",
        "tools": [{"type": "custom", "name": "c"}],
    }


def test_what_only_the_chat_dialect_has_is_passed_on_as_it_is() -> None:
    given = {
        "seed": 3,
        "stop": ["a", "b"],
        "logit_bias": {"50256": -100},
        "prediction": {"type": "content", "content": [{"type": "text", "text": "x"}]},
        "web_search_options": {"search_context_size": "low"},
        "top_k": 40,
        "min_p": 0.1,
        "chat_template_kwargs": {"enable_thinking": False},
    }
    assert extra_options(decoded(**given)) == given
    assert extra_options(decoded()) == {}


SAMPLES: dict[str, Any] = {
    "previous_response_id": "resp_1",
    "functions": [{"name": "f"}],
    "function_call": "none",
    "tools": [WEATHER],
    "tool_choice": "none",
    "parallel_tool_calls": False,
    "max_completion_tokens": 9,
    "temperature": 1,
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "logprobs": True,
    "top_logprobs": 2,
    "user": "u",
    "seed": 1,
    "moderation": {"model": "omni-moderation-latest"},
    "safety_identifier": "s",
    "prompt_cache_options": {"ttl": "30m"},
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
    "response_format": {"type": "text"},
    "service_tier": "flex",
    "max_tokens": 9,
    "reasoning_effort": "low",
    "logit_bias": {"1": 1},
    "stop": "x",
    "stream": True,
    "store": False,
    "metadata": {"a": "b"},
    "prediction": {"type": "content", "content": "x"},
    "verbosity": "low",
    "web_search_options": {},
    "bad_words": ["x"],
    "cache_prompt": False,
    "chat_template_kwargs": {},
    "ebnf": "x",
    "enable_thinking": False,
    "grammar": "x",
    "ignore_eos": True,
    "include_stop_str_in_output": True,
    "min_p": 0.1,
    "min_tokens": 1,
    "regex": "x",
    "repeat_penalty": 1.1,
    "repetition_penalty": 1.1,
    "skip_special_tokens": False,
    "stop_token_ids": [1],
    "structured_outputs": {},
    "thinking": {},
    "top_k": 1,
    "typical_p": 0.5,
}

NEEDED: dict[str, dict[str, Any]] = {
    "function_call": {"functions": [{"name": "f"}]},
    "top_logprobs": {"logprobs": True},
}

AT_THE_DOOR = {"model", "messages", "n", "modalities", "audio", "stream_options"}
"""What is settled before there is a turn: checked, or part of how the reply is told."""


def test_there_is_a_sample_of_every_parameter() -> None:
    assert SAMPLES.keys() == set(ChatRequest.__struct_fields__) - AT_THE_DOOR
    assert set(EXTRA_OPTIONS) < SAMPLES.keys()


@pytest.mark.parametrize("name", SAMPLES)
def test_no_parameter_is_accepted_and_forgotten(name: str) -> None:
    without = decoded(**NEEDED.get(name, {}))
    given = decoded(**NEEDED.get(name, {}), **{name: SAMPLES[name]})
    told = create_request(given) != create_request(without)
    assert told != (name in EXTRA_OPTIONS)
    assert extra_options(given) == ({name: SAMPLES[name]} if name in EXTRA_OPTIONS else {})


# What is wrong


def body(**more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [HI], **more}


def with_message(**message: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [message]}


WRONG: list[tuple[Any, str | None, str | None, str]] = [
    (b"{", None, "invalid_json", "Invalid body: failed to parse JSON value."),
    ({}, None, None, "you must provide a model parameter"),
    (body(model=""), None, None, "you must provide a model parameter"),
    ({"model": "m"}, "messages", "missing_required_parameter", "Missing required parameter: 'messages'."),
    (body(messages=[]), "messages", "empty_array", "Invalid 'messages': empty array."),
    (
        body(messages="Hi"),
        "messages",
        "invalid_type",
        "Invalid type for 'messages': expected an array of objects, but got a string instead.",
    ),
    (body(messages=[7]), "messages[0]", "invalid_type", "Invalid type for 'messages[0]': expected an object"),
    (
        with_message(content="x"),
        "messages[0].role",
        "missing_required_parameter",
        "Missing required parameter: 'messages[0].role'.",
    ),
    (
        with_message(role="bogus"),
        "messages[0].role",
        "invalid_value",
        "Invalid value: 'bogus'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and 'dev",
    ),
    (
        with_message(role="user", content=7),
        "messages[0].content",
        "invalid_type",
        "Invalid type for 'messages[0].content': expected one of a string or array of objects, but got an integer",
    ),
    (
        with_message(role="user", content=[{"type": "thinking"}]),
        "messages[0].content[0].type",
        "invalid_value",
        "Invalid value: 'thinking'. Supported values are: 'text', 'image_url', 'input_audio', 'refusal', 'audio', a",
    ),
    (
        with_message(role="user", content="x", name="a b"),
        "messages[0].name",
        "invalid_value",
        "Invalid 'messages[0].name': string does not match pattern.",
    ),
    (
        with_message(role="user", content="x", bogus=1),
        "messages[0].bogus",
        "unknown_parameter",
        "Unknown parameter: 'messages[0].bogus'.",
    ),
    (
        with_message(role="tool", content="x"),
        "messages[0].tool_call_id",
        "missing_required_parameter",
        "Missing required parameter: 'messages[0].tool_call_id'.",
    ),
    (
        with_message(role="assistant", tool_calls=[{"id": "c", "type": "function"}]),
        "messages[0].tool_calls[0].function",
        "missing_required_parameter",
        "Missing required parameter: 'messages[0].tool_calls[0].function'.",
    ),
    (
        with_message(role="assistant", audio={"id": "audio_1"}),
        "messages[0].audio",
        "unsupported_parameter",
        "Unsupported parameter: 'messages[0].audio'",
    ),
    (
        body(max_token=3),
        "max_token",
        "unknown_parameter",
        "Unknown parameter: 'max_token'. Did you mean 'max_tokens'?",
    ),
    (
        body(previous_response_id=7),
        "previous_response_id",
        "invalid_type",
        "Invalid type for 'previous_response_id': expected a string, but got an integer instead.",
    ),
    (
        body(previous_response_id="gen-1"),
        "previous_response_id",
        "invalid_id_prefix",
        "Invalid 'previous_response_id': 'gen-1'. Expected an ID that begins with 'resp'.",
    ),
    (
        body(tools=[{"type": "function"}]),
        "tools[0].function",
        "missing_required_parameter",
        "Missing required",
    ),
    (
        body(tools=[{"type": "web_search"}]),
        "tools[0].type",
        "invalid_value",
        "Invalid value: 'web_search'. Supported values are: 'function' and 'custom'.",
    ),
    (
        body(functions=[{"parameters": {}}]),
        "functions[0].name",
        "missing_required_parameter",
        "Missing required parameter: 'functions[0].name'.",
    ),
    (
        body(tool_choice="bogus"),
        "tool_choice",
        "invalid_value",
        "Invalid value: 'bogus'. Supported values are: 'none', 'auto', and 'required'.",
    ),
    (
        body(tool_choice={"type": "function"}),
        "tool_choice.function",
        "missing_required_parameter",
        "Missing required parameter: 'tool_choice.function'.",
    ),
    (
        body(tool_choice="required"),
        "tool_choice",
        None,
        "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
    ),
    (
        body(function_call={"name": "f"}),
        "function_call",
        None,
        "Invalid value for 'function_call': 'function_call' is only allowed when 'functions' are specified.",
    ),
    (
        body(tools=[WEATHER], functions=[WEATHER["function"]]),
        "functions",
        "invalid_parameter_combination",
        "Setting 'functions' and 'tools' at the same time is not supported.",
    ),
    (body(n=0), "n", "integer_below_min_value", "Invalid 'n': integer below minimum value."),
    (body(n=2), "n", "unsupported_value", "Unsupported value: 'n' does not support 2 with this server."),
    (
        body(temperature=3),
        "temperature",
        "decimal_above_max_value",
        "Invalid 'temperature': decimal above maximum",
    ),
    (
        body(max_tokens=0),
        "max_tokens",
        "integer_below_min_value",
        "Invalid 'max_tokens': integer below minimum",
    ),
    (
        body(max_tokens=1, max_completion_tokens=1),
        "max_tokens",
        "invalid_parameter_combination",
        "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
    ),
    (
        body(top_logprobs=1),
        "top_logprobs",
        None,
        "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.",
    ),
    (
        body(stream_options={"include_usage": True}),
        "stream_options",
        None,
        "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
    ),
    (
        body(stream=True, stream_options={"bogus": 1}),
        "stream_options.bogus",
        "unknown_parameter",
        "Unknown parameter: 'stream_options.bogus'.",
    ),
    (
        body(response_format={"type": "bogus"}),
        "response_format.type",
        "invalid_value",
        "Invalid value: 'bogus'. Supported values are: 'json_object', 'json_schema', and 'text'.",
    ),
    (
        body(response_format={"type": "json_schema", "json_schema": {}}),
        "response_format.json_schema.name",
        "missing_required_parameter",
        "Missing required parameter: 'response_format.json_schema.name'.",
    ),
    (body(stop=list("abcde")), "stop", "array_above_max_length", "Invalid 'stop': array too long."),
    (
        body(stop=7),
        "stop",
        "invalid_type",
        "Invalid type for 'stop': expected one of a string or array of strings, but got an integer instead.",
    ),
    (body(logit_bias={"1": 200}), "logit_bias.1", "decimal_above_max_value", "Invalid 'logit_bias.1'"),
    (
        body(metadata={str(number): "" for number in range(17)}),
        "metadata",
        "object_above_max_properties",
        "Invalid 'metadata': too many properties.",
    ),
    (
        body(audio=AUDIO, modalities=["audio"]),
        "audio",
        "unsupported_parameter",
        "Unsupported parameter: 'audio'",
    ),
    (
        body(modalities=["text", "audio"]),
        "modalities",
        "unsupported_parameter",
        "Unsupported parameter: 'audio'",
    ),
    (body(reasoning={"effort": "low"}), "reasoning", "unknown_parameter", "Unknown parameter: 'reasoning'."),
]


@pytest.mark.parametrize(("wrong", "param", "code", "message"), WRONG)
def test_a_wrong_body_is_refused_in_the_official_words(
    wrong: Any, param: str | None, code: str | None, message: str
) -> None:
    said = refusal(wrong)
    assert said[:2] == (param, code)
    assert said[2].startswith(message)


def test_parameters_are_looked_at_in_the_official_order() -> None:
    everything_wrong = {"temperature": 3, "bogus": 1, "n": 0, "messages": []}
    seen = []
    for fixed in ({"model": "m"}, {"bogus": None}, {"messages": [HI]}, {"n": 1}, {"temperature": 1}):
        seen.append(refusal(everything_wrong)[0])
        everything_wrong = {**everything_wrong, **fixed}
        everything_wrong.pop("bogus" if "bogus" in fixed else "", None)
    assert seen == [None, "bogus", "messages", "n", "temperature"]


def test_a_body_that_is_too_deep_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(600):
        schema = {"items": schema}
    function = {"name": "f", "parameters": schema}
    deep = refusal(body(tools=[{"type": "function", "function": function}]))
    assert deep[1] == "invalid_json"


def test_null_is_not_given() -> None:
    names = [name for name in ChatRequest.__struct_fields__ if name not in ("model", "messages")]
    assert decoded(**dict.fromkeys(names)) == decoded()


def test_the_options_of_engines_are_not_of_the_api() -> None:
    from openai.types.chat import completion_create_params as sdk

    official = {*sdk.CompletionCreateParamsBase.__annotations__, "stream"}
    ours = set(ChatRequest.__struct_fields__)
    assert official <= ours
    assert ours - official == {"previous_response_id", *ENGINE_OPTIONS}


def test_an_update_names_the_metadata_which_may_be_null() -> None:
    assert decode_update(b'{"metadata":{"a":"b"}}').metadata == {"a": "b"}
    assert decode_update(b'{"metadata":null}').metadata is None
    with pytest.raises(BadRequest, match="Missing required parameter: 'metadata'"):
        decode_update(b"{}")


@pytest.mark.parametrize("name", ChatRequest.__struct_fields__)
def test_every_parameter_is_documented(name: str) -> None:
    assert f"`{name}`" in PAGE.read_text(encoding="utf-8")
