"""The tools that may be offered, how one is chosen, and how a response repeats them (spec §2.1.19, §9)."""

from __future__ import annotations

import copy
import typing
from typing import Any

import msgspec
import pytest
import typing_extensions
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses.tool_choice_types_param import ToolChoiceTypesParam
from openai.types.responses.tool_param import ToolParam

from catena.errors import BadRequest
from catena.wire.shapes import fields_of
from catena.wire.strict import strict_schema
from catena.wire.tools import (
    TOOL_TYPES,
    TOOLS,
    Tool,
    check_chosen,
    check_tool_choice,
    check_tools,
    echo_tools,
)
from tests.conformance.proves import proves

FUNCTION: Tool = {"type": "function", "name": "f"}
REQUIRED: Any = typing_extensions.Required

GOOD: dict[str, Tool] = {
    "code_interpreter": {"container": {"type": "auto"}},
    "programmatic_tool_calling": {},
    "function": {
        "name": "f",
        "parameters": {"type": "object", "properties": {}},
        "strict": None,
        "async": True,
    },
    "namespace": {
        "name": "crm",
        "description": "d",
        "tools": [{**FUNCTION, "parameters": {"anything": 1}}, {"type": "custom", "name": "c"}],
    },
    "tool_search": {"execution": "client", "description": "d", "parameters": {"type": "object"}},
    "file_search": {"vector_store_ids": ["vs_1"], "max_num_results": 50},
    "web_search": {"search_context_size": "low", "filters": {"allowed_domains": ["example.com"]}},
    "web_search_2025_08_26": {},
    "web_search_preview": {"user_location": {"type": "approximate", "city": "Rome"}},
    "web_search_preview_2025_03_11": {},
    "image_generation": {"output_format": "png", "quality": "xhigh", "partial_images": 3},
    "mcp": {"server_label": "l", "server_url": "https://example.com", "require_approval": {"never": {}}},
    "custom": {"name": "c", "format": {"type": "grammar", "syntax": "lark", "definition": "start: WORD"}},
    "computer": {},
    "computer_use_preview": {"display_height": 1, "display_width": 1, "environment": "linux"},
    "local_shell": {},
    "shell": {"environment": {"type": "local"}},
    "apply_patch": {"allowed_callers": ["direct"]},
}


def told(*tools: Any) -> tuple[str, str | None, str | None]:
    with pytest.raises(BadRequest) as caught:
        check_tools(tools)
    return caught.value.message, caught.value.param, caught.value.code


def test_every_kind_has_an_example() -> None:
    assert list(GOOD) == list(TOOL_TYPES)


@pytest.mark.parametrize("kind", TOOL_TYPES)
def test_a_tool_of_every_kind_may_be_offered(kind: str) -> None:
    tool = {"type": kind, **GOOD[kind]}
    before = copy.deepcopy(tool)
    check_tools([tool])
    assert tool == before


@pytest.mark.parametrize("kind", TOOL_TYPES)
def test_an_unknown_field_of_every_kind_is_refused(kind: str) -> None:
    path = "tools[1].n"
    message = f"Unknown parameter: '{path}'."
    assert told(FUNCTION, {"type": kind, **GOOD[kind], "n": 1}) == (message, path, "unknown_parameter")


@pytest.mark.parametrize("kind", TOOL_TYPES)
def test_every_required_field_of_every_kind_is_missed_by_name(kind: str) -> None:
    for name in (name for name, field in fields_of(TOOLS[kind]).items() if field.required):
        tool = {"type": kind, **GOOD[kind]}
        del tool[name]
        path = f"tools[0].{name}"
        assert told(tool) == (f"Missing required parameter: '{path}'.", path, "missing_required_parameter")


def test_a_tool_in_the_shape_of_chat_completions_lacks_its_name() -> None:
    assert told({"type": "function", "function": {"name": "f"}})[1] == "tools[0].name"


def sdk_tools() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for shape in typing.get_args(ToolParam):
        for kind in typing_extensions.get_args(typing_extensions.get_type_hints(shape)["type"]):
            found[kind] = shape
    return found


def test_the_table_has_the_sdks_tools() -> None:
    assert set(TOOL_TYPES) == set(sdk_tools())


@pytest.mark.parametrize("kind", TOOL_TYPES)
def test_every_field_of_the_sdks_tools_is_known_and_nothing_more_is_required(kind: str) -> None:
    hints = typing_extensions.get_type_hints(sdk_tools()[kind], include_extras=True)
    ours = fields_of(TOOLS[kind])
    assert set(hints) <= set(ours)
    for name, field in ours.items():
        if field.required:
            assert typing_extensions.get_origin(hints[name]) is REQUIRED


def test_what_codex_sends_with_its_search_is_taken() -> None:
    check_tools(
        [{"type": "web_search", "indexed_web_access": True, "search_content_types": ["text", "image"]}]
    )


@pytest.mark.parametrize("kind", ["retrieval", "web_search_20250305", "Function", "", ":x", "acme:", 7, None])
def test_a_kind_that_is_not_known_is_refused_by_name(kind: Any) -> None:
    quoted = kind if isinstance(kind, str) else ""
    listed = ", ".join(f"'{each}'" for each in TOOL_TYPES[:-1])
    message = f"Invalid value: '{quoted}'. Supported values are: {listed}, and '{TOOL_TYPES[-1]}'."
    assert told({"type": kind}) == (message, "tools[0].type", "invalid_value")


def test_extensions_and_dated_versions_are_carried() -> None:
    check_tools([{"type": "acme:lookup", "anything": 1}, {"type": "web_search_2027_01_31"}])
    assert told({"type": "web_search_2027_01_31", "n": 1})[1] == "tools[0].n"


@proves("2.4.name")
@pytest.mark.parametrize(
    ("name", "code"), [("", "empty_string"), ("a.b", "invalid_value"), ("a" * 129, "string_above_max_length")]
)
def test_a_function_has_a_name_that_fits(name: str, code: str) -> None:
    check_tools([{**FUNCTION, "name": "a-B_9"}])
    assert told({**FUNCTION, "name": name})[1:] == ("tools[0].name", code)


def test_a_namespace_holds_functions_and_custom_tools() -> None:
    outer = {"type": "namespace", "name": "n", "description": "d"}
    assert told({**outer, "tools": [{"type": "function"}]})[1] == "tools[0].tools[0].name"
    message, param, _ = told({**outer, "tools": [FUNCTION, {"type": "mcp", "server_label": "l"}]})
    assert message == "Invalid value: 'mcp'. Supported values are: 'function' and 'custom'."
    assert param == "tools[0].tools[1].type"


# Choosing


@pytest.mark.parametrize(
    "choice",
    [
        "auto",
        {"type": "function", "name": "f"},
        {"type": "custom", "name": "c"},
        {"type": "mcp", "server_label": "l"},
        {"type": "mcp", "server_label": "l", "name": "n"},
        {"type": "allowed_tools", "mode": "required", "tools": [FUNCTION]},
        {"type": "apply_patch"},
        {"type": "shell"},
        {"type": "programmatic_tool_calling"},
        {"type": "acme:lookup", "which": 1},
        *(
            {"type": kind}
            for kind in typing.get_args(typing_extensions.get_type_hints(ToolChoiceTypesParam)["type"])
        ),
    ],
)
def test_a_choice_is_a_mode_or_names_a_tool(choice: str | dict[str, Any]) -> None:
    check_tool_choice(choice)


@pytest.mark.parametrize(
    ("choice", "param", "code"),
    [
        ({}, "tool_choice.type", "missing_required_parameter"),
        ({"type": "auto"}, "tool_choice.type", "invalid_value"),
        ({"type": None}, "tool_choice.type", "invalid_value"),
        ({"type": "function"}, "tool_choice.name", "missing_required_parameter"),
        ({"type": "function", "function": {"name": "f"}}, "tool_choice.name", "missing_required_parameter"),
        ({"type": "function", "name": 7}, "tool_choice.name", "invalid_type"),
        ({"type": "mcp"}, "tool_choice.server_label", "missing_required_parameter"),
        ({"type": "allowed_tools", "tools": []}, "tool_choice.mode", "missing_required_parameter"),
        ({"type": "shell", "x": 1}, "tool_choice.x", "unknown_parameter"),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [FUNCTION, {}]},
            "tool_choice.tools[1].type",
            "missing_required_parameter",
        ),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function"}]},
            "tool_choice.tools[0].name",
            "missing_required_parameter",
        ),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": []}]},
            "tool_choice.tools[0].type",
            "invalid_type",
        ),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "name": "n"}]},
            "tool_choice.tools[0].server_label",
            "missing_required_parameter",
        ),
    ],
)
def test_a_choice_that_cannot_be_is_refused(choice: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(BadRequest) as caught:
        check_tool_choice(choice)
    assert (caught.value.param, caught.value.code) == (param, code)


OFFERED: list[Tool] = [
    FUNCTION,
    {"type": "custom", "name": "c"},
    {"type": "mcp", "server_label": "l"},
    {"type": "web_search_2025_08_26"},
    {"type": "computer_use_preview"},
    {"type": "namespace", "name": "n", "description": "d", "tools": [{"type": "function", "name": "inner"}]},
]


@pytest.mark.parametrize(
    "choice",
    [
        "auto",
        "none",
        "required",
        {"type": "function", "name": "f"},
        {"type": "function", "name": "inner"},
        {"type": "custom", "name": "c"},
        {"type": "mcp", "server_label": "l"},
        {"type": "web_search"},
        {"type": "computer_use"},
        {"type": "allowed_tools", "mode": "auto", "tools": []},
        {"type": "allowed_tools", "mode": "auto", "tools": [{**FUNCTION, "description": "in full"}]},
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "namespace", "name": "n"}]},
    ],
)
def test_a_tool_that_is_offered_may_be_chosen(choice: str | dict[str, Any]) -> None:
    check_chosen(choice, OFFERED)


@pytest.mark.parametrize(
    ("choice", "tools", "named"),
    [
        ({"type": "function", "name": "g"}, OFFERED, "g"),
        ({"type": "function", "name": "c"}, OFFERED, "c"),
        ({"type": "custom", "name": "f"}, OFFERED, "f"),
        ({"type": "mcp", "server_label": "other"}, OFFERED, "other"),
        ({"type": "image_generation"}, OFFERED, "image_generation"),
        ({"type": "function", "name": "f"}, [], "function"),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [FUNCTION, {"type": "function", "name": "g"}]},
            OFFERED,
            "g",
        ),
    ],
)
def test_a_tool_that_is_not_offered_may_not_be_chosen(
    choice: dict[str, Any], tools: list[Tool], named: str
) -> None:
    with pytest.raises(BadRequest) as caught:
        check_chosen(choice, tools)
    assert caught.value.message == f"Tool choice '{named}' not found in 'tools' parameter."
    assert (caught.value.param, caught.value.code) == ("tool_choice", None)


# What a response repeats


OPEN: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": ["integer", "null"]},
        "where": {"type": "object", "properties": {"lat": {"type": "number"}}},
        "tags": {"type": "array", "items": {"type": "object", "properties": {}}},
        "either": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/thing"}]},
    },
    "required": ["city"],
    "$defs": {"thing": {"type": "object", "properties": {"a": {"enum": ["b"]}}}},
}


@proves("2.1.19")
def test_a_function_that_does_not_say_is_made_strict() -> None:
    before = copy.deepcopy(OPEN)
    (echo,) = echo_tools([{**FUNCTION, "parameters": OPEN}])
    assert echo["strict"] is True
    assert echo["description"] is None
    parameters = echo["parameters"]
    assert parameters["required"] == ["city", "days", "where", "tags", "either"]
    assert parameters["additionalProperties"] is False
    where = {"type": "object", "properties": {"lat": {"type": "number"}}}
    assert parameters["properties"]["where"] == {**where, "required": ["lat"], "additionalProperties": False}
    closed = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    assert parameters["properties"]["tags"]["items"] == closed
    assert parameters["$defs"]["thing"]["required"] == ["a"]
    assert before == OPEN


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


@proves("2.1.19")
@pytest.mark.parametrize(
    "parameters",
    [
        {"type": "object", "properties": {}, "additionalProperties": True},
        {"type": "object", "properties": {}, "additionalProperties": {"type": "string"}},
        {"type": "object", "properties": {"a": {}}},
        {"type": "object", "properties": {"a": True}},
        {"type": "object", "properties": {"a": {"type": "array"}}},
        {"type": "object", "properties": {"a": {"allOf": [{"type": "string"}]}}},
        {"type": "object", "properties": {"a": {"anyOf": "x"}}},
        {"type": "object", "properties": [], "required": []},
        {"type": "object", "properties": {}, "required": ["a"]},
        {"type": "object", "properties": {}, "required": "a"},
        {"type": "object", "patternProperties": {"^a": {"type": "string"}}},
        {"type": "object", "properties": {}, "anyOf": [{"type": "object"}]},
        {"type": "string"},
        {},
        deep(40),
        deep(400),
    ],
)
def test_a_schema_that_does_not_permit_it_stays_as_it_is(parameters: dict[str, Any]) -> None:
    (echo,) = echo_tools([{**FUNCTION, "parameters": parameters}])
    assert echo["strict"] is False
    assert echo["parameters"] is parameters
    (said,) = echo_tools([{**FUNCTION, "parameters": parameters, "strict": True}])
    assert (said["strict"], said["parameters"]) == (True, parameters)


def test_what_a_function_says_of_itself_holds() -> None:
    (echo,) = echo_tools(
        [{**FUNCTION, "parameters": OPEN, "strict": False, "description": "d", "async": True}]
    )
    assert echo == {**FUNCTION, "parameters": OPEN, "strict": False, "description": "d", "async": True}
    (bare,) = echo_tools([FUNCTION])
    assert bare == {**FUNCTION, "parameters": None, "strict": True, "description": None}


def test_functions_in_a_namespace_are_repeated_likewise() -> None:
    (echo,) = echo_tools([{"type": "namespace", "name": "n", "description": "d", "tools": [FUNCTION]}])
    assert echo["tools"][0]["strict"] is True


def test_credentials_are_not_repeated() -> None:
    tool = {"type": "mcp", "server_label": "l", "authorization": "secret", "headers": {"x": "secret"}}
    (echo,) = echo_tools([tool])
    assert "secret" not in msgspec.json.encode(echo).decode()
    assert tool["authorization"] == "secret"


def test_other_tools_are_repeated_as_they_are() -> None:
    tool = {"type": "web_search", "search_context_size": "low"}
    assert echo_tools([tool]) == [tool]


schemas = st.recursive(
    st.sampled_from([{"type": "string"}, {"type": "integer"}, {"enum": [1]}, {}, True]),
    lambda inner: (
        st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.dictionaries(st.sampled_from("abc"), inner)},
            optional={"required": st.lists(st.sampled_from("abc")), "additionalProperties": st.booleans()},
        )
        | st.fixed_dictionaries({"type": st.just("array"), "items": inner})
        | st.fixed_dictionaries({"anyOf": st.lists(inner, max_size=2)})
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(schemas)
def test_a_strict_schema_is_already_strict(schema: Any) -> None:
    made = strict_schema(schema)
    if made is not None:
        assert strict_schema(made) == made
        assert made["additionalProperties"] is False
        assert set(made["required"]) == set(made["properties"])
