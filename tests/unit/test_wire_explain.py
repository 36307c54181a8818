"""What a wrong body is answered with: the official API's words, `param` and `code`, in its order (spec §3.3, §10.2)."""

from __future__ import annotations

import datetime
import json
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from catena.errors import BadRequest
from catena.wire import wording
from catena.wire.explain import check_depth, explain, require
from catena.wire.request import decode_create
from tests.conformance.proves import proves

GOOD: dict[str, Any] = {"model": "m", "input": "hi"}
GONE = object()


def refusal(fault: dict[str, Any] | bytes) -> BadRequest:
    """What a body is answered with: a good one with the given changes, or the given bytes."""
    if isinstance(fault, bytes):
        body = fault
    else:
        whole = {**GOOD, **fault}
        body = json.dumps({name: value for name, value in whole.items() if value is not GONE}).encode()
    with pytest.raises(BadRequest) as caught:
        decode_create(body)
    return caught.value


def told(fault: dict[str, Any] | bytes) -> tuple[str, str | None, str | None]:
    error = refusal(fault)
    return error.message, error.param, error.code


BAD_JSON = (
    "Invalid body: failed to parse JSON value. Please check the value to ensure it is valid JSON. (Common errors "
    "include trailing commas, missing closing brackets, missing quotation marks, etc.)"
)


@proves("10.2.invalid_json")
@pytest.mark.parametrize(
    "body",
    [b"{", b'{"model": }', b"{} {}", b" ", b"\xef\xbb\xbf{}", b'{"model": NaN}', b'{"model": "\\ud800"}'],
)
def test_a_body_that_is_not_json_is_called_that(body: bytes) -> None:
    assert told(body) == (BAD_JSON, None, "invalid_json")


def test_a_number_that_no_machine_holds_is_not_json_either() -> None:
    assert told(b'{"model": "m", "input": "hi", "temperature": 1e999}')[2] == "invalid_json"
    assert (
        told(b'{"model": "m", "input": "hi", "max_output_tokens": 1' + b"0" * 5000 + b"}")[2]
        == "invalid_json"
    )


def test_bytes_that_are_not_utf8_are_called_that() -> None:
    message, param, code = told(b'{"model": "\xff", "input": "hi"}')
    assert message.startswith(
        "Invalid body: encountered a unicode decode error when parsing this JSON value."
    )
    assert (param, code) == (None, "invalid_json")


@pytest.mark.parametrize(
    ("body", "got"),
    [
        (b"[]", "an array"),
        (b'"model"', "a string"),
        (b"5", "an integer"),
        (b"1.5", "a decimal number"),
        (b"true", "a boolean"),
    ],
)
def test_a_body_that_is_not_an_object_is_told_what_it_is(body: bytes, got: str) -> None:
    assert told(body) == (f"Invalid type: expected an object, but got {got} instead.", None, "invalid_type")


@pytest.mark.parametrize("body", [b"", b"null", b"{}"])
def test_an_empty_body_lacks_its_model(body: bytes) -> None:
    assert told(body) == ("Missing required parameter: 'model'.", "model", "missing_required_parameter")


MOVED = (
    "Unsupported parameter: '{}'. In the Responses API, this parameter has moved to '{}'. Try again with the new "
    "parameter. See the API documentation for more information: "
    "https://platform.openai.com/docs/api-reference/responses/create."
)


@proves("10.2.unsupported_parameter", "3.3.45")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("messages", "input"),
        ("response_format", "text.format"),
        ("reasoning_effort", "reasoning.effort"),
        ("max_completion_tokens", "max_output_tokens"),
        ("verbosity", "text.verbosity"),
    ],
)
def test_a_parameter_of_chat_completions_is_told_where_it_went(old: str, new: str) -> None:
    assert told({old: "x"}) == (MOVED.format(old, new), None, "unsupported_parameter")


def test_a_whole_chat_body_hears_where_messages_went_before_it_hears_of_input() -> None:
    chat = {"input": GONE, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
    assert told(chat)[0] == MOVED.format("messages", "input")


@proves("10.2.unknown_parameter", "3.3.45")
@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("zzz_unknown", ""),
        ("n", ""),
        ("seed", ""),
        ("logprobs", ""),
        ("max_tokens", ""),
        ("stop", " Did you mean 'store'?"),
        ("sto", " Did you mean 'store'?"),
        ("st", ""),
        ("tool", " Did you mean 'tools'?"),
        ("usr", " Did you mean 'user'?"),
        ("inclde", " Did you mean 'include'?"),
        ("stre", " Did you mean 'store' or 'stream'?"),
        ("strem", " Did you mean 'stream' or 'store'?"),
        ("inpu", ""),
        ("modell", ""),
    ],
)
def test_an_unknown_parameter_is_named_with_what_may_have_been_meant(name: str, hint: str) -> None:
    """Two edits at most; the nearest first, then by name; never what the body has already."""
    assert told({name: 1}) == (f"Unknown parameter: '{name}'.{hint}", name, "unknown_parameter")


@pytest.mark.parametrize(
    "path",
    [
        "reasoning.bogus",
        "reasoning.generate_summary",
        "stream_options.include_usage",
        "text.zzz",
        "prompt_cache_options.bogus",
        "moderation.bogus",
    ],
)
def test_unknown_fields_of_settings_are_refused_by_their_path(path: str) -> None:
    setting, field = path.split(".")
    fault = {setting: {"model": "m", field: 1} if setting == "moderation" else {field: 1}}
    assert told(fault) == (f"Unknown parameter: '{path}'.", path, "unknown_parameter")


A_STRING = "a string"
AN_OBJECT = "an object"
AN_INTEGER = "an integer"
INCLUDABLES = (
    "an array of one of 'fil...lts', 'web...lts', 'web...ces', 'mes...url', 'com...url', 'cod...uts', 'rea...ent', "
    "or 'mes...obs'"
)
WRONG_TYPES = [
    ("model", 7, A_STRING, AN_INTEGER),
    ("input", {"a": 1}, "one of a string or array of input items", AN_OBJECT),
    ("input", 7, "one of a string or array of input items", AN_INTEGER),
    ("previous_response_id", {"a": 1}, A_STRING, AN_OBJECT),
    ("conversation", 7, "one of an object or string", AN_INTEGER),
    ("prompt", "x", AN_OBJECT, A_STRING),
    ("moderation", "x", AN_OBJECT, A_STRING),
    (
        "include",
        "x",
        INCLUDABLES,
        A_STRING,
    ),
    ("tools", "x", "an array of tools", A_STRING),
    ("tool_choice", 7, "one of an object or 'none', 'auto', or 'required'", AN_INTEGER),
    ("metadata", "x", "a metadata object", A_STRING),
    ("text", "x", AN_OBJECT, A_STRING),
    ("temperature", "hot", "a decimal", A_STRING),
    ("top_p", True, "a decimal", "a boolean"),
    ("presence_penalty", "x", "a decimal", A_STRING),
    ("frequency_penalty", [], "a decimal", "an array"),
    ("parallel_tool_calls", "yes", "a boolean", A_STRING),
    ("stream", "yes", "a boolean", A_STRING),
    ("stream", 1, "a boolean", AN_INTEGER),
    ("stream_options", "x", AN_OBJECT, A_STRING),
    ("background", "yes", "a boolean", A_STRING),
    ("max_output_tokens", "x", AN_INTEGER, A_STRING),
    ("max_output_tokens", 16.5, AN_INTEGER, "a decimal number"),
    ("max_tool_calls", True, AN_INTEGER, "a boolean"),
    ("reasoning", "low", AN_OBJECT, A_STRING),
    ("user", {"a": 1}, A_STRING, AN_OBJECT),
    ("safety_identifier", {"a": 1}, A_STRING, AN_OBJECT),
    ("prompt_cache_options", "x", AN_OBJECT, A_STRING),
    ("prompt_cache_key", {"a": 1}, A_STRING, AN_OBJECT),
    ("prompt_cache_retention", {"a": 1}, "one of 'in_memory' or '24h'", AN_OBJECT),
    ("truncation", {"a": 1}, "one of 'auto' or 'disabled'", AN_OBJECT),
    ("instructions", {"a": 1}, A_STRING, AN_OBJECT),
    ("store", "yes", "a boolean", A_STRING),
    ("service_tier", {"a": 1}, "one of 'auto', 'default', 'fast', 'flex', or 'priority'", AN_OBJECT),
    ("top_logprobs", "x", AN_INTEGER, A_STRING),
    ("context_management", "x", "an array of objects", A_STRING),
]


@proves("10.2.invalid_type")
@pytest.mark.parametrize(("name", "value", "expected", "got"), WRONG_TYPES)
def test_a_value_of_the_wrong_type_hears_what_was_expected(
    name: str, value: Any, expected: str, got: str
) -> None:
    message = f"Invalid type for '{name}': expected {expected}, but got {got} instead."
    assert told({name: value}) == (message, name, "invalid_type")


@pytest.mark.parametrize("name", ["model", "input"])
def test_null_for_a_required_parameter_is_called_a_failed_string(name: str) -> None:
    message = f"Invalid type for '{name}': expected a string, but got an object instead."
    assert told({name: None}) == (message, name, "invalid_type")


EFFORTS = "'none', 'minimal', 'low', 'medium', 'high', 'xhigh', and 'max'"
INCLUDE = (
    "'file_search_call.results', 'web_search_call.results', 'web_search_call.action.sources', "
    "'message.input_image.image_url', 'computer_call_output.output.image_url', 'code_interpreter_call.outputs', "
    "'reasoning.encrypted_content', and 'message.output_text.logprobs'"
)


@proves("10.2.invalid_value")
@pytest.mark.parametrize(
    ("fault", "path", "supported"),
    [
        ({"truncation": "bogus"}, "truncation", "'auto' and 'disabled'"),
        ({"reasoning": {"effort": "bogus"}}, "reasoning.effort", EFFORTS),
        ({"reasoning": {"summary": "bogus"}}, "reasoning.summary", "'concise', 'detailed', and 'auto'"),
        ({"include": ["bogus"]}, "include[0]", INCLUDE),
        ({"service_tier": "bogus"}, "service_tier", "'auto', 'default', 'fast', 'flex', and 'priority'"),
        ({"prompt_cache_retention": "bogus"}, "prompt_cache_retention", "'in_memory' and '24h'"),
        ({"tool_choice": "bogus"}, "tool_choice", "'none', 'auto', and 'required'"),
        ({"text": {"verbosity": "bogus"}}, "text.verbosity", "'low', 'medium', and 'high'"),
        (
            {"text": {"format": {"type": "bogus"}}},
            "text.format.type",
            "'json_object', 'text', and 'json_schema'",
        ),
        ({"context_management": [{"type": "bogus"}]}, "context_management[0].type", "'compaction'"),
    ],
)
def test_a_value_outside_its_list_hears_the_list_in_order(
    fault: dict[str, Any], path: str, supported: str
) -> None:
    message = f"Invalid value: 'bogus'. Supported values are: {supported}."
    assert told(fault) == (message, path, "invalid_value")


@proves("10.2.bounds", "2.4.max_output_tokens", "2.4.top_logprobs", "2.4.temperature", "2.4.top_p")
@pytest.mark.parametrize(
    ("name", "value", "kind", "bound"),
    [
        ("max_output_tokens", 0, "integer", 16),
        ("max_output_tokens", 15, "integer", 16),
        ("max_tool_calls", 0, "integer", 1),
        ("top_logprobs", -1, "integer", 0),
        ("temperature", -0.1, "decimal", 0),
        ("top_p", -1, "decimal", 0),
        ("presence_penalty", -3, "decimal", -2),
        ("frequency_penalty", -2.5, "decimal", -2),
    ],
)
def test_a_number_below_its_bound_hears_the_bound(name: str, value: float, kind: str, bound: int) -> None:
    message = (
        f"Invalid '{name}': {kind} below minimum value. Expected a value >= {bound}, but got {value} instead."
    )
    assert told({name: value}) == (message, name, f"{kind}_below_min_value")


@proves("10.2.bounds", "2.4.top_logprobs", "2.4.temperature", "2.4.top_p")
@pytest.mark.parametrize(
    ("name", "value", "kind", "bound"),
    [
        ("top_logprobs", 21, "integer", 20),
        ("temperature", 3, "decimal", 2),
        ("temperature", 100.0, "decimal", 2),
        ("top_p", 1.5, "decimal", 1),
        ("presence_penalty", 3, "decimal", 2),
    ],
)
def test_a_number_above_its_bound_hears_the_bound(name: str, value: float, kind: str, bound: int) -> None:
    message = (
        f"Invalid '{name}': {kind} above maximum value. Expected a value <= {bound}, but got {value} instead."
    )
    assert told({name: value}) == (message, name, f"{kind}_above_max_value")


def test_a_bound_deep_inside_is_named_by_its_path() -> None:
    fault = {"context_management": [{"type": "compaction", "compact_threshold": 1}]}
    path = "context_management[0].compact_threshold"
    message = f"Invalid '{path}': integer below minimum value. Expected a value >= 1000, but got 1 instead."
    assert told(fault) == (message, path, "integer_below_min_value")


@proves("2.4.metadata", "10.2.object_above_max_properties")
def test_metadata_keeps_to_its_bounds() -> None:
    many = {f"k{number}": "v" for number in range(17)}
    message = (
        "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, but got an object "
        "with 17 properties instead."
    )
    assert told({"metadata": many}) == (message, "metadata", "object_above_max_properties")
    message = (
        "Invalid property name in 'metadata': 'kkk...kkk' is too long. Expected a string with maximum length 64, but "
        "got a string with length 70 instead."
    )
    assert told({"metadata": {"k" * 70: "v"}}) == (
        message,
        "metadata." + "k" * 70,
        "property_name_above_max_length",
    )
    message = (
        "Invalid 'metadata.k': string too long. Expected a string with maximum length 512, but got a string with "
        "length 600 instead."
    )
    assert told({"metadata": {"k": "v" * 600}}) == (message, "metadata.k", "string_above_max_length")
    message = "Invalid type for 'metadata.k': expected a string, but got an integer instead."
    assert told({"metadata": {"k": 7}}) == (message, "metadata.k", "invalid_type")


@proves("2.4.input", "2.4.safety_identifier", "2.4.prompt_cache_key")
@pytest.mark.parametrize(
    ("name", "bound"), [("safety_identifier", 128), ("prompt_cache_key", 64), ("input", 10_485_760)]
)
def test_a_string_that_is_too_long_hears_both_lengths(name: str, bound: int) -> None:
    message = (
        f"Invalid '{name}': string too long. Expected a string with maximum length {bound}, but got a string with "
        f"length {bound + 1} instead."
    )
    assert told({name: "x" * (bound + 1)}) == (message, name, "string_above_max_length")


@proves("10.2.missing_required_parameter")
@pytest.mark.parametrize(
    ("fault", "path"),
    [
        ({"model": GONE}, "model"),
        ({"input": GONE}, "input"),
        ({"input": GONE, "previous_response_id": "resp_x"}, "input"),
        ({"text": {"format": {}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.name"),
        ({"moderation": {}}, "moderation.model"),
        ({"prompt": {}}, "prompt.id"),
        ({"conversation": {}}, "conversation.id"),
        ({"context_management": [{}]}, "context_management[0].type"),
    ],
)
def test_what_is_missing_is_named_by_its_path(fault: dict[str, Any], path: str) -> None:
    assert told(fault) == (f"Missing required parameter: '{path}'.", path, "missing_required_parameter")


def test_a_format_that_is_no_object_was_expected_to_be_one() -> None:
    message = "Invalid type for 'text.format': expected a text format, but got a string instead."
    assert told({"text": {"format": "json"}}) == (message, "text.format", "invalid_type")


def test_a_schema_without_the_format_that_takes_one_is_unknown() -> None:
    fault = {"text": {"format": {"type": "text", "schema": {}}}}
    assert told(fault)[0] == "Unknown parameter: 'text.format.schema'."


def test_an_empty_model_does_not_exist() -> None:
    message = "The requested model '' does not exist."
    assert told({"model": ""}) == (message, "model", "model_not_found")


TOO_LONG = "resp_" + "a" * 60
CHARACTERS = (
    "'{}'. Expected an ID that contains letters, numbers, underscores, or dashes, but this value contained additional "
    "characters."
)
LENGTH = "string too long. Expected a string with maximum length 64, but got a string with length 65 instead."


@proves("3.3.prefix", "3.3.characters")
@pytest.mark.parametrize(
    ("value", "message", "code"),
    [
        ("gen-123", "'gen-123'. Expected an ID that begins with 'resp'.", "invalid_id_prefix"),
        ("resp_a b", CHARACTERS.format("resp_a b"), "invalid_value"),
        ("", CHARACTERS.format(""), "invalid_value"),
        (TOO_LONG, LENGTH, "string_above_max_length"),
    ],
)
def test_a_parent_that_cannot_be_an_id_is_refused(value: str, message: str, code: str) -> None:
    name = "previous_response_id"
    assert told({name: value}) == (f"Invalid '{name}': {message}", name, code)


def test_a_conversation_is_named_by_its_own_prefix() -> None:
    message = "Invalid 'conversation': 'wa_10'. Expected an ID that begins with 'conv'."
    assert told({"conversation": "wa_10"}) == (message, "conversation", "invalid_id_prefix")
    assert told({"conversation": {"id": "wa_10"}})[1] == "conversation.id"
    # The same on the second look, when another parameter has brought it about.
    assert told({"conversation": {"id": "wa_10"}, "store": 1})[1] == "conversation.id"


@proves("3.3.conversation")
def test_two_parents_exclude_one_another() -> None:
    message = "Mutually exclusive parameters: ''. Ensure you are only providing one of: 'pre..._id' or 'conversation'."
    assert told({"conversation": "conv_x", "previous_response_id": "resp_x"}) == (
        message,
        None,
        "mutually_exclusive_parameters",
    )


# The order in which faults are found: of two in one body, the first is told.

IN_ORDER: list[tuple[dict[str, Any], str]] = [
    ({"zzz": 1}, "zzz"),
    ({"input": [{}]}, "input[0]"),
    ({"previous_response_id": 7}, "previous_response_id"),
    ({"prompt": 7}, "prompt"),
    ({"moderation": "x"}, "moderation"),
    ({"include": ["x"]}, "include[0]"),
    ({"tools": [{}]}, "tools[0].type"),
    ({"tool_choice": {}}, "tool_choice.type"),
    ({"metadata": "x"}, "metadata"),
    ({"text": "x"}, "text"),
    ({"temperature": "x"}, "temperature"),
    ({"top_p": "x"}, "top_p"),
    ({"presence_penalty": "x"}, "presence_penalty"),
    ({"frequency_penalty": "x"}, "frequency_penalty"),
    ({"parallel_tool_calls": "x"}, "parallel_tool_calls"),
    ({"stream": "x"}, "stream"),
    ({"stream_options": "x"}, "stream_options"),
    ({"background": "x"}, "background"),
    ({"max_output_tokens": "x"}, "max_output_tokens"),
    ({"max_tool_calls": "x"}, "max_tool_calls"),
    ({"reasoning": "x"}, "reasoning"),
    ({"user": 7}, "user"),
    ({"safety_identifier": 7}, "safety_identifier"),
    ({"prompt_cache_options": "x"}, "prompt_cache_options"),
    ({"prompt_cache_key": 7}, "prompt_cache_key"),
    ({"prompt_cache_retention": "x"}, "prompt_cache_retention"),
    ({"truncation": "x"}, "truncation"),
    ({"instructions": 7}, "instructions"),
    ({"store": "x"}, "store"),
    ({"service_tier": "x"}, "service_tier"),
    ({"top_logprobs": "x"}, "top_logprobs"),
    ({"context_management": "x"}, "context_management"),
]


@proves("3.3.45.order")
@pytest.mark.parametrize("position", range(len(IN_ORDER) - 1))
def test_of_two_faults_the_official_apis_first_is_told(position: int) -> None:
    (first, param), (second, other) = IN_ORDER[position : position + 2]
    assert told({**second, **first})[1] == param
    assert told(second)[1] == other


@proves("3.3.45.order")
def test_missing_parameters_come_before_unknown_ones() -> None:
    assert told({"model": GONE, "input": GONE, "zzz": 1})[1] == "model"
    assert told({"input": GONE, "zzz": 1})[1] == "input"
    assert told({"input": GONE, "truncation": "bogus"})[1] == "input"


# Bounds on what an error carries, and on what is looked at


def test_an_error_stays_small_whatever_it_quotes() -> None:
    huge = "z" * 1_000_000
    for fault in (
        {huge: 1},
        {"truncation": huge},
        {"metadata": {huge: "v"}},
        {"previous_response_id": "!" + huge[:63]},
    ):
        error = refusal(fault)
        assert len(error.message) < 600
        assert len(error.param or "") < 300


@pytest.mark.parametrize("depth", [600, 100_000])
def test_a_body_nested_too_deeply_is_refused(depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    for body in (
        b'{"model": "m", "input": "hi", "client_metadata": %s}' % nested,
        b'{"model": "m", "input": [{"type": "acme:note", "x": %s}]}' % nested,
        b'{"model": "m", "input": "hi", "zzz": %s, "store": 1}' % nested,
        nested,
    ):
        with pytest.raises(BadRequest) as caught:
            decode_create(body)
        assert caught.value.code in ("invalid_json", "unknown_parameter", "invalid_type")


def test_many_objects_side_by_side_are_not_deep() -> None:
    request = decode_create(json.dumps({**GOOD, "client_metadata": [{"a": [{}]}] * 1000}).encode())
    assert len(request.client_metadata) == 1000


@pytest.mark.parametrize(("depth", "fits"), [(wording.MAX_DEPTH - 1, True), (wording.MAX_DEPTH, False)])
def test_the_depth_is_counted_to_the_level(depth: int, fits: bool) -> None:
    """The body itself is the first level."""
    value: Any = "bottom"
    for _ in range(depth):
        value = [value]
    body = b"[" * (wording.MAX_DEPTH + 1)
    if fits:
        check_depth(body, value, "text", None)
    else:
        with pytest.raises(BadRequest, match="nested too deeply"):
            check_depth(body, value, "text", None)


# The explainer serves any struct


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    count: Annotated[int, Meta(ge=1)]


class Letter(msgspec.Struct, forbid_unknown_fields=True):
    to: str
    kind: Literal["b", "a"] = "b"
    parts: Annotated[list[Inner], Meta(min_length=1, max_length=2)] | None = None
    code: Annotated[str, Meta(min_length=2)] | None = None
    when: datetime.datetime | None = None


def letter(body: dict[str, Any]) -> BadRequest:
    raw = json.dumps(body).encode()
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(raw, type=Letter)
    return explain(raw, Letter, caught.value, checks={}, moved={"cc": "There is no copy."})


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"kind": "a"}, "to", "missing_required_parameter"),
        ({"to": "x", "cc": "y"}, None, "unsupported_parameter"),
        ({"to": "x", "parts": []}, "parts", "empty_array"),
        ({"to": "x", "parts": [{"count": 1}] * 3}, "parts", "array_above_max_length"),
        ({"to": "x", "parts": [{"count": 1}, {"count": 0}]}, "parts[1].count", "integer_below_min_value"),
        ({"to": "x", "parts": [3]}, "parts[0]", "invalid_type"),
        ({"to": "x", "code": ""}, "code", "empty_string"),
        ({"to": "x", "code": "y"}, "code", "string_below_min_length"),
    ],
)
def test_another_struct_is_explained_by_its_own_annotations(
    body: dict[str, Any], param: str | None, code: str
) -> None:
    error = letter(body)
    assert (error.param, error.code) == (param, code)
    assert error.message


def test_values_are_named_in_the_order_in_which_they_were_declared() -> None:
    assert (
        letter({"to": "x", "kind": "c"}).message == "Invalid value: 'c'. Supported values are: 'b' and 'a'."
    )


def test_what_only_the_decoder_sees_is_told_in_its_words() -> None:
    error = letter({"to": "x", "when": "yesterday"})
    assert (error.message, error.param) == ("Invalid body: Invalid RFC3339 encoded datetime.", "when")


class Wishes(msgspec.Struct, forbid_unknown_fields=True):
    colour: str | None = None


def test_a_struct_that_requires_nothing_is_explained_too() -> None:
    for body, param in ((b'{"colour": 7}', "colour"), (b'{"color": "red"}', "color")):
        error = explain(body, Wishes, ValueError(), checks={}, moved={})
        assert error.param == param
    assert error.message == "Unknown parameter: 'color'. Did you mean 'colour'?"


class Dated(msgspec.Struct):
    when: datetime.datetime
    all: list[datetime.datetime] = []


def test_a_value_is_explained_below_its_path() -> None:
    with pytest.raises(BadRequest) as caught:
        require({"when": "never"}, Dated, "input[3]")
    assert caught.value.param == "input[3].when"
    with pytest.raises(BadRequest) as caught:
        require({}, Dated, "input[3]")
    assert caught.value.param == "input[3].when"
    assert caught.value.code == "missing_required_parameter"


@given(st.text(max_size=6), st.text(max_size=6))
def test_the_edit_distance_is_one_of_edits(one: str, other: str) -> None:
    distance = wording.edit_distance(one, other, 10)
    assert distance == wording.edit_distance(other, one, 10)
    assert (distance == 0) == (one == other)
    assert abs(len(one) - len(other)) <= distance <= max(len(one), len(other))
    assert wording.edit_distance(one + "x", other + "x", 10) <= distance + 1
    assert wording.edit_distance(one, one + "xyz", 2) == 3
