"""A create body becomes a request: what is taken, in which form, and what is checked later (spec §2, §9)."""

from __future__ import annotations

import json
import typing
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import (
    ResponsePromptParam,
    ResponseTextConfigParam,
    response_create_params,
    response_includable,
)
from openai.types.shared_params import Reasoning

from catena.errors import BadRequest
from catena.wire.known import KNOWN
from catena.wire.request import (
    ACCEPTED_UNUSED,
    CREATE_PARAMETERS,
    CreateRequest,
    Includable,
    decode_as,
    decode_create,
    require_input,
    require_tool_choice,
)
from catena.wire.settings import ConversationRef, JsonSchema, PlainText

WHOLE: dict[str, Any] = {
    "model": "gpt-4o",
    "input": [{"role": "user", "content": "hi"}],
    "previous_response_id": "resp_0123",
    "prompt": {
        "id": "pmpt_1",
        "version": "2",
        "variables": {"a": "b", "c": {"type": "input_text", "text": "d"}},
    },
    "moderation": {"model": "omni-moderation-latest", "policy": {"input": {"mode": "block"}}},
    "include": ["reasoning.encrypted_content"],
    "tools": [{"type": "function", "name": "f"}],
    "tool_choice": {"type": "function", "name": "f"},
    "metadata": {"a": "b"},
    "text": {
        "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}},
        "verbosity": "low",
    },
    "temperature": 1,
    "top_p": 0.5,
    "presence_penalty": -2,
    "frequency_penalty": 2,
    "parallel_tool_calls": False,
    "stream": True,
    "stream_options": {"include_obfuscation": False},
    "background": False,
    "max_output_tokens": 16,
    "max_tool_calls": 1,
    "reasoning": {"effort": "xhigh", "summary": "auto", "context": "all_turns", "mode": "pro"},
    "user": "u",
    "safety_identifier": "s" * 128,
    "prompt_cache_options": {
        "mode": "explicit",
        "ttl": "12h",
        "prewarm": True,
        "comparison_response_id": "resp_1",
    },
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
    "truncation": "auto",
    "instructions": "be brief",
    "store": False,
    "service_tier": "ultrafast",
    "top_logprobs": 20,
    "context_management": [{"type": "compaction", "compact_threshold": 1000}],
    "image": {"context_compression": "enabled"},
    "access_programs": {"cyber": "standard"},
    "client_metadata": {"session": "x"},
}


def decode(**body: Any) -> CreateRequest:
    return decode_create(json.dumps({"model": "m", "input": "hi", **body}).encode())


def test_everything_that_can_be_asked_for_is_taken() -> None:
    request = decode(**WHOLE)
    for name in CreateRequest.__struct_fields__:
        if name != "conversation":
            assert msgspec.to_builtins(getattr(request, name)) == WHOLE[name], name


def test_what_is_not_given_is_none() -> None:
    request = decode()
    given = {name for name in CreateRequest.__struct_fields__ if getattr(request, name) is not None}
    assert given == {"model", "input"}


def test_an_explicit_null_means_not_given() -> None:
    """Measured on the official API for every parameter but the model and the input."""
    nulls = dict.fromkeys(name for name in CreateRequest.__struct_fields__ if name not in ("model", "input"))
    assert decode(**nulls) == decode()
    assert decode(text={"format": None}, reasoning={"effort": None, "summary": None}).text is not None


def test_settings_are_structs_that_dump_what_was_given() -> None:
    request = decode(text={"format": {"type": "text"}}, reasoning={"effort": "low"})
    assert request.text is not None
    assert isinstance(request.text.format, PlainText)
    assert msgspec.to_builtins(request.text) == {"format": {"type": "text"}}
    assert msgspec.to_builtins(request.reasoning) == {"effort": "low"}
    schema = decode(**WHOLE).text
    assert schema is not None
    assert isinstance(schema.format, JsonSchema)
    assert schema.format.schema == {"type": "object"}


def test_a_request_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        decode().model = "other"  # type: ignore[misc]  # that it is refused is what is tested


def test_a_conversation_is_given_by_its_id_or_as_an_object() -> None:
    assert decode(conversation="conv_1").conversation_id == "conv_1"
    assert decode(conversation={"id": "conv_1"}).conversation == ConversationRef(id="conv_1")
    assert decode(conversation={"id": "conv_1"}).conversation_id == "conv_1"
    assert decode().conversation_id is None


@pytest.mark.parametrize("turn_id", ["resp_" + "0" * 50, "chatcmpl-" + "0" * 50, "resp_a-b_C9"])
def test_chains_go_through_both_doors(turn_id: str) -> None:
    assert decode(previous_response_id=turn_id).previous_response_id == turn_id


def test_what_clients_send_besides_the_api_is_accepted() -> None:
    assert set(ACCEPTED_UNUSED) <= set(CreateRequest.__struct_fields__)
    assert decode(client_metadata={"a": 1}).client_metadata == {"a": 1}


def test_empty_input_is_for_later() -> None:
    """The official API looks for the parent first, so an unknown parent is told even where there is no input."""
    nothing: list[str | list[Any]] = ["", []]
    for empty in nothing:
        with pytest.raises(BadRequest) as caught:
            require_input(decode(input=empty))
        assert caught.value.message == (
            "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation' must be provided."
        )
        assert (caught.value.param, caught.value.code) == (None, "missing_required_parameter")
        require_input(decode(input=empty, previous_response_id="resp_1"))
        require_input(decode(input=empty, conversation="conv_1"))
        require_input(decode(input=empty, prompt={"id": "pmpt_1"}))
    require_input(decode())


def test_a_tool_that_must_be_used_has_to_be_there() -> None:
    function = {"type": "function", "name": "f"}
    require_tool_choice(decode())
    require_tool_choice(decode(tool_choice="auto"))
    require_tool_choice(decode(tool_choice=function, tools=[function]))
    require_tool_choice(decode(tool_choice=function), others=[function])
    with pytest.raises(BadRequest) as caught:
        require_tool_choice(decode(tool_choice="required"))
    assert caught.value.message == "Tool choice 'required' must be specified with 'tools' parameter."
    assert caught.value.param == "tool_choice"


def test_another_door_may_take_more() -> None:
    class WithLane(CreateRequest, frozen=True, kw_only=True):
        stream_id: str | None = None

    decoder = msgspec.json.Decoder(WithLane)
    request = decode_as(decoder, b'{"model": "m", "input": "hi", "stream_id": "a"}')
    assert (request.stream_id, request.model) == ("a", "m")


# Against the SDK: a new release shows what is new


def test_every_parameter_of_the_sdk_is_known() -> None:
    theirs = typing.get_type_hints(response_create_params.ResponseCreateParamsStreaming)
    not_in_sdk = {"presence_penalty", "frequency_penalty"}
    assert set(theirs) == set(CREATE_PARAMETERS) - not_in_sdk


@pytest.mark.parametrize(
    ("setting", "theirs"),
    [
        ("moderation", response_create_params.Moderation),
        ("prompt", ResponsePromptParam),
        ("text", ResponseTextConfigParam),
        ("stream_options", response_create_params.StreamOptions),
        ("reasoning", Reasoning),
        ("prompt_cache_options", response_create_params.PromptCacheOptions),
        ("image", response_create_params.Image),
        ("access_programs", response_create_params.AccessPrograms),
    ],
)
def test_every_field_of_the_sdks_settings_is_known(setting: str, theirs: Any) -> None:
    hints = typing.get_type_hints(CreateRequest)
    struct = next(each for each in typing.get_args(hints[setting]) if each is not type(None))
    # The API has dropped it, though the SDK still has it (spec §9.12).
    dropped = {"generate_summary"}
    assert set(typing.get_type_hints(theirs)) - dropped == set(struct.__struct_fields__)


def test_what_can_be_included_is_what_the_sdk_has_in_its_order() -> None:
    assert typing.get_args(Includable) == typing.get_args(response_includable.ResponseIncludable)


def test_what_is_known_can_be_written_as_json() -> None:
    table = json.loads(msgspec.json.encode(KNOWN))
    assert table["create_parameters"][:2] == ["model", "input"]
    assert "client_metadata" in table["accepted_unused"]
    assert table["items"]["function_call"]["required"] == ["call_id", "name", "arguments"]
    assert table["items"]["message"]["required"] == ["role", "content"]
    assert "phase" in table["items"]["message"]["optional"]
    assert "async" in table["tools"]["function"]["optional"]


# Whatever is sent

leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
json_values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
words = st.sampled_from(
    [
        *(
            "message",
            "function_call",
            "function_call_output",
            "reasoning",
            "item_reference",
            "mcp_call",
            "acme:x",
        ),
        *(
            "user",
            "assistant",
            "input_text",
            "output_text",
            "text",
            "json_schema",
            "function",
            "namespace",
            "auto",
        ),
        *(
            "type",
            "role",
            "content",
            "call_id",
            "id",
            "name",
            "tools",
            "format",
            "schema",
            "output",
            "summary",
        ),
        *("msg_1", "resp_1", "conv_1", "fc_1", "rs_1"),
    ]
)
likely_values = st.recursive(
    leaves | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=5),
    max_leaves=12,
)
bodies = st.fixed_dictionaries(
    {"model": st.just("m") | json_values, "input": st.just("hi") | likely_values},
    optional=dict.fromkeys(CreateRequest.__struct_fields__[2:], likely_values),
) | st.dictionaries(st.text(max_size=8) | st.sampled_from(CREATE_PARAMETERS), json_values)


@settings(max_examples=400, deadline=None)
@given(bodies)
def test_any_object_is_a_request_or_a_bad_request(body: dict[str, Any]) -> None:
    raw = json.dumps(body).encode()
    try:
        model = decode_create(raw).model
    except BadRequest as error:
        refused: str | None = error.message
    else:
        refused = None
        assert model == body["model"]
    # The second look found the fault: no message is the decoder's own.
    assert refused != ""
    assert not (refused or "").startswith("Invalid body: Expected")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_any_bytes_are_a_request_or_a_bad_request(body: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        decode_create(body)
    assert caught.value.message
