"""Input items: what each kind requires, which are refused, and the form in which they are kept (spec §2.2, §2.3)."""

from __future__ import annotations

import typing
from typing import Any

import pytest
import typing_extensions
from openai.types.responses.response_input_item_param import ResponseInputItemParam

from catena.errors import BadRequest
from catena.wire.items import ITEM_TYPES, ITEMS, PREFIXES, AssistantMessage, check_items, normalise_input
from catena.wire.response import Item
from catena.wire.shapes import fields_of
from tests.conformance.proves import proves

USER: Item = {"role": "user", "content": "hi"}
REQUIRED: Any = typing_extensions.Required


def refusal(*items: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        check_items(items)
    return caught.value


def told(*items: Any) -> tuple[str, str | None, str | None]:
    error = refusal(*items)
    return error.message, error.param, error.code


TEXT = {"type": "input_text", "text": "t"}

GOOD: dict[str, Item] = {
    "additional_tools": {"role": "developer", "tools": [{"type": "function", "name": "f"}]},
    "agent_message": {"author": "/root", "recipient": "/root/a", "content": [TEXT]},
    "apply_patch_call": {
        "call_id": "c",
        "operation": {"type": "delete_file", "path": "p"},
        "status": "completed",
    },
    "apply_patch_call_output": {"call_id": "c", "status": "failed", "output": "no"},
    "code_interpreter_call": {
        "id": "ci_1",
        "code": None,
        "container_id": "x",
        "outputs": None,
        "status": "completed",
    },
    "compaction": {"id": "cmp_1", "encrypted_content": "e"},
    "compaction_trigger": {},
    "computer_call": {"call_id": "c", "action": {"type": "screenshot"}, "pending_safety_checks": []},
    "computer_call_output": {
        "call_id": "c",
        "output": {"type": "computer_screenshot", "image_url": "data:,"},
    },
    "configuration_update": {"reasoning": {"effort": "low"}, "text": {"format": {"type": "text"}}},
    "custom_tool_call": {"id": "ctc_1", "call_id": "c", "name": "n", "input": "i", "status": "completed"},
    "custom_tool_call_output": {"call_id": "c", "output": [TEXT]},
    "file_search_call": {"id": "fs_1", "queries": ["q"], "status": "completed", "results": None},
    "function_call": {"id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}", "async": False},
    "function_call_output": {"call_id": "c", "output": "o"},
    "image_generation_call": {"id": "ig_1", "result": None, "status": "completed"},
    "item_reference": {"id": "msg_1"},
    "local_shell_call": {"call_id": "c", "action": {"type": "exec", "command": ["ls"], "env": {}}},
    "local_shell_call_output": {"id": "call_1", "output": "o"},
    "mcp_approval_request": {"id": "mcpr_1", "arguments": "{}", "name": "n", "server_label": "l"},
    "mcp_approval_response": {"approval_request_id": "mcpr_1", "approve": True},
    "mcp_call": {"id": "mcp_1", "arguments": "{}", "name": "n", "server_label": "l", "error": None},
    "mcp_list_tools": {"id": "mcpl_1", "server_label": "l", "tools": []},
    "message": {"role": "user", "content": [TEXT]},
    "multi_agent_call": {"call_id": "c", "action": "spawn_agent", "arguments": "{}"},
    "multi_agent_call_output": {
        "call_id": "c",
        "action": "spawn_agent",
        "output": [{"type": "output_text", "text": "t"}],
    },
    "program": {"id": "p_1", "call_id": "c", "code": "1", "fingerprint": "f"},
    "program_output": {"id": "p_2", "call_id": "c", "result": "1", "status": "completed"},
    "reasoning": {"id": "rs_1", "summary": [{"type": "summary_text", "text": "s"}], "encrypted_content": "e"},
    "shell_call": {"call_id": "c", "action": {"commands": ["ls"]}},
    "shell_call_output": {
        "call_id": "c",
        "output": [{"stdout": "o", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
    },
    "tool_search_call": {"arguments": {"q": "x"}, "execution": "client", "call_id": "c"},
    "tool_search_output": {
        "tools": [{"type": "function", "name": "f"}],
        "execution": "client",
        "call_id": "c",
    },
    "web_search_call": {"id": "ws_1", "action": {"type": "search", "query": "q"}, "status": "completed"},
}


def test_every_kind_has_an_example() -> None:
    assert list(GOOD) == list(ITEM_TYPES)


@pytest.mark.parametrize("kind", ITEM_TYPES)
def test_an_item_of_every_kind_is_taken_and_carried(kind: str) -> None:
    item = {"type": kind, **GOOD[kind]}
    check_items([item])
    (kept,) = normalise_input([item])
    assert kept == {name: value for name, value in item.items() if value is not None}


@pytest.mark.parametrize("kind", ITEM_TYPES)
def test_every_required_field_of_every_kind_is_missed_by_name(kind: str) -> None:
    required = [name for name, field in fields_of(ITEMS[kind]).items() if field.required]
    for name in required:
        item = {"type": kind, **GOOD[kind]}
        del item[name]
        path = "input[0]" if (kind, name) == ("message", "role") else f"input[0].{name}"
        assert refusal(item).param == path


@pytest.mark.parametrize("kind", ITEM_TYPES)
def test_an_unknown_field_of_every_known_kind_is_refused(kind: str) -> None:
    message = "Unknown parameter: 'input[1].bogus'."
    assert told(USER, {"type": kind, **GOOD[kind], "bogus": 1}) == (
        message,
        "input[1].bogus",
        "unknown_parameter",
    )


# Against the SDK: a new release shows what is new


def sdk_items() -> dict[str, list[Any]]:
    """The SDK's item types by the `type` that they have."""
    found: dict[str, list[Any]] = {}
    for each in typing.get_args(ResponseInputItemParam):
        kinds = typing_extensions.get_type_hints(each)["type"]
        for kind in typing_extensions.get_args(kinds):
            if kind is not type(None):
                names = typing_extensions.get_args(kind) or (kind,)
                found.setdefault(str(names[0]), []).append(each)
    return found


def sdk_fields(shape: Any) -> dict[str, bool]:
    """The fields of a parameter type of the SDK, and whether each is required."""
    hints = typing_extensions.get_type_hints(shape, include_extras=True)
    return {name: typing_extensions.get_origin(hint) is REQUIRED for name, hint in hints.items()}


# The official API takes these from its multi-agent beta, which has item types of its own in the SDK.
BETA = {"agent_message", "multi_agent_call", "multi_agent_call_output"}


@proves("2.3.table")
def test_the_table_has_the_sdks_items() -> None:
    assert set(ITEM_TYPES) == set(sdk_items()) | BETA


@pytest.mark.parametrize("kind", sorted(set(ITEM_TYPES) - BETA))
def test_every_field_of_the_sdks_items_is_known_and_nothing_more_is_required(kind: str) -> None:
    known: set[str] = {*fields_of(ITEMS[kind]), *(fields_of(AssistantMessage) if kind == "message" else ())}
    for shape in sdk_items()[kind]:
        theirs = sdk_fields(shape)
        assert set(theirs) <= known
        required = {name for name, field in fields_of(ITEMS[kind]).items() if field.required}
        assert required <= {name for name, needed in theirs.items() if needed}


# Messages


def test_a_string_is_one_users_message() -> None:
    message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
    assert normalise_input("hi") == [message]
    assert normalise_input([USER]) == [message]
    assert normalise_input("") == []


@pytest.mark.parametrize("role", ["user", "system", "developer"])
def test_a_string_is_one_part_of_input(role: str) -> None:
    item = {"role": role, "content": "hi", "status": "completed"}
    check_items([item])
    (kept,) = normalise_input([item])
    part = {"type": "input_text", "text": "hi"}
    assert kept == {"type": "message", "role": role, "content": [part], "status": "completed"}
    assert item == {"role": role, "content": "hi", "status": "completed"}


def test_an_assistants_string_is_one_part_of_output_and_its_phase_is_kept() -> None:
    item = {"role": "assistant", "content": "hi", "phase": "commentary"}
    check_items([item])
    (kept,) = normalise_input([item])
    part = {"type": "output_text", "text": "hi", "annotations": []}
    assert kept == {"type": "message", "role": "assistant", "phase": "commentary", "content": [part]}


def test_an_assistants_parts_have_annotations() -> None:
    refused = {"type": "refusal", "refusal": "no"}
    item = {"role": "assistant", "content": [{"type": "output_text", "text": "a"}, refused]}
    check_items([item])
    (kept,) = normalise_input([item])
    assert kept["content"] == [{"type": "output_text", "text": "a", "annotations": []}, refused]


def test_what_needs_no_change_is_not_copied() -> None:
    item = {"type": "message", "role": "user", "content": [TEXT]}
    call = {"type": "function_call", **GOOD["function_call"]}
    kept = normalise_input([item, call])
    assert kept[0] is item
    assert kept[1] is call


def test_null_means_not_given_in_a_known_item_and_is_kept_in_an_unknown_one() -> None:
    known: Item = {"type": "reasoning", "id": None, "summary": [], "content": None, "status": None}
    unknown = {"type": "acme:note", "id": None, "x": None}
    check_items([known, unknown])
    assert normalise_input([known, unknown]) == [{"type": "reasoning", "summary": []}, unknown]


def test_the_type_of_a_reference_may_be_left_out() -> None:
    for item in ({"id": "msg_1"}, {"type": None, "id": "msg_1"}):
        check_items([item])
        assert normalise_input([item]) == [{"type": "item_reference", "id": "msg_1"}]


def test_all_parts_of_a_message_are_taken() -> None:
    parts = [
        TEXT,
        {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"},
        {"type": "input_image", "file_id": "file-1", "image_url": None},
        {"type": "input_file", "file_data": "AA==", "filename": "f"},
        {"type": "input_file", "file_url": "https://example.com/f"},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "input_text", "text": "t", "prompt_cache_breakpoint": {"mode": "explicit"}},
    ]
    check_items([{"role": "user", "content": parts}])


ROLES = "'assistant', 'system', 'developer', and 'user'"
USER_PARTS = "'input_text', 'input_image', 'input_file', and 'input_audio'"
EVERY_PART = (
    "'input_text', 'input_image', 'input_audio', 'output_text', 'refusal', 'input_file', 'computer_screenshot', "
    "'summary_text', and 'encrypted_content'"
)


@pytest.mark.parametrize(
    ("item", "message", "param"),
    [
        ({}, f"Invalid value: ''. Supported values are: {ROLES}.", "input[0]"),
        (
            {"role": "tool", "content": "x"},
            f"Invalid value: 'tool'. Supported values are: {ROLES}.",
            "input[0]",
        ),
        ({"role": 7, "content": "x"}, f"Invalid value: ''. Supported values are: {ROLES}.", "input[0]"),
        (
            {"role": "user", "content": [{"type": "text", "text": "x"}]},
            f"Invalid value: 'text'. Supported values are: {EVERY_PART}.",
            "input[0].content[0].type",
        ),
        (
            {"role": "user", "content": [TEXT, {"type": "output_text", "text": "x"}]},
            f"Invalid value: 'output_text'. Supported values are: {USER_PARTS}.",
            "input[0].content[1]",
        ),
        (
            {"role": "assistant", "content": [TEXT]},
            "Invalid value: 'input_text'. Supported values are: 'output_text' and 'refusal'.",
            "input[0].content[0]",
        ),
        (
            {"role": "assistant", "content": "x", "phase": "bogus"},
            "Invalid value: 'bogus'. Supported values are: 'commentary' and 'final_answer'.",
            "input[0].phase",
        ),
    ],
)
def test_a_message_that_cannot_be_hears_what_could(item: Item, message: str, param: str) -> None:
    assert told(item) == (message, param, "invalid_value")


@pytest.mark.parametrize(("given", "got"), [(None, "null"), (7, "an integer"), ({"a": 1}, "an object")])
def test_content_is_a_string_or_parts(given: Any, got: str) -> None:
    path = "input[0].content"
    expected = "one of an array of objects or string"
    message = f"Invalid type for '{path}': expected {expected}, but got {got} instead."
    assert told({"role": "user", "content": given}) == (message, path, "invalid_type")


def test_a_users_message_has_no_phase_and_no_name() -> None:
    for name in ("phase", "name"):
        message = f"Unknown parameter: 'input[0].{name}'."
        assert told({**USER, name: "final_answer"}) == (message, f"input[0].{name}", "unknown_parameter")


def test_what_is_missing_in_a_part_is_named_by_its_path() -> None:
    path = "input[1].content[0].text"
    message = f"Missing required parameter: '{path}'."
    assert told(USER, {"role": "user", "content": [{"type": "input_text"}]}) == (
        message,
        path,
        "missing_required_parameter",
    )


# Kinds


@proves("2.3.newer")
@pytest.mark.parametrize(
    "kind", ["bogus_item", "x", "", "functon_call", "mesage", "reasoning_v2", "mcp_calls", 7, []]
)
def test_a_kind_that_might_change_what_is_asked_is_refused_by_name(kind: Any) -> None:
    """A known kind misspelt is among them, though its name looks like a call's."""
    message, param, code = told({"type": kind, "call_id": "c"})
    quoted = kind if isinstance(kind, str) else ""
    listed = ", ".join(f"'{each}'" for each in ITEM_TYPES[:-1])
    assert message == f"Invalid value: '{quoted}'. Supported values are: {listed}, and '{ITEM_TYPES[-1]}'."
    assert (param, code) == ("input[0]", "invalid_value")


@pytest.mark.parametrize(
    "kind", ["acme:receipt", "browser_call", "browser_call_output", "video_generation_call"]
)
def test_a_receipt_of_a_kind_that_is_not_known_is_carried_whole(kind: str) -> None:
    item = {"type": kind, "id": "x_1", "anything": [None, {"at": "all"}]}
    check_items([item])
    assert normalise_input([item]) == [item]
    assert normalise_input([item])[0] is item


def test_what_codex_sends_besides_the_api_is_carried() -> None:
    passed = {"turn_id": "t"}
    items = [
        {**USER, "internal_chat_message_metadata_passthrough": passed},
        {"type": "function_call", **GOOD["function_call"], "encrypted_function_args": []},
        {"type": "reasoning", "summary": [], "content": None, "encrypted_content": None},
    ]
    check_items(items)
    assert normalise_input(items)[0]["internal_chat_message_metadata_passthrough"] == passed


# Calls


@proves("2.4.call_id")
@pytest.mark.parametrize("kind", ["function_call", "custom_tool_call", "shell_call", "computer_call"])
def test_the_name_of_a_call_keeps_to_its_length(kind: str) -> None:
    good = {"type": kind, **GOOD[kind]}
    check_items([{**good, "call_id": "c" * 64}])
    message = (
        "Invalid 'input[0].call_id': empty string. Expected a string with minimum length 1, but got an empty string "
        "instead."
    )
    assert told({**good, "call_id": ""}) == (message, "input[0].call_id", "empty_string")
    message = (
        "Invalid 'input[0].call_id': string too long. Expected a string with maximum length 64, but got a string "
        "with length 65 instead."
    )
    assert told({**good, "call_id": "c" * 65}) == (message, "input[0].call_id", "string_above_max_length")


@proves("2.4.name")
@pytest.mark.parametrize("name", ["a.b", "a b", "a\n"])
def test_a_function_is_called_by_a_name_that_fits(name: str) -> None:
    message = (
        "Invalid 'input[0].name': string does not match pattern. Expected a string that matches the pattern "
        "'^[a-zA-Z0-9_-]+$'."
    )
    assert told({"type": "function_call", **GOOD["function_call"], "name": name}) == (
        message,
        "input[0].name",
        "invalid_value",
    )


def test_an_output_answers_a_call_or_has_a_name() -> None:
    check_items([{"type": "function_call_output", "name": "notify", "output": "o"}])
    assert refusal({"type": "function_call_output", "output": "o"}).param == "input[0].call_id"


@pytest.mark.parametrize("output", ["text", [TEXT, {"type": "input_image", "image_url": "u"}]])
@pytest.mark.parametrize("kind", ["function_call_output", "custom_tool_call_output"])
def test_an_output_is_text_or_parts(kind: str, output: Any) -> None:
    check_items([{"type": kind, "call_id": "c", "output": output}])
    assert refusal({"type": kind, "call_id": "c", "output": {"a": 1}}).message == (
        "Invalid type for 'input[0].output': expected one of an array of objects or string, but got an object instead."
    )


@pytest.mark.parametrize("kind", ["additional_tools", "tool_search_output"])
def test_tools_inside_items_are_checked_as_tools(kind: str) -> None:
    item = {"type": kind, **GOOD[kind], "tools": [{"type": "function"}]}
    assert refusal(item).message == "Missing required parameter: 'input[0].tools[0].name'."


# Ids


@proves("2.2.27")
@pytest.mark.parametrize(("kind", "prefix"), PREFIXES.items())
def test_an_id_begins_as_its_kind_does(kind: str, prefix: str) -> None:
    item = {"type": kind, **GOOD[kind]}
    check_items([{**item, "id": f"{prefix}_1"}])
    message = f"Invalid 'input[0].id': 'other_1'. Expected an ID that begins with '{prefix}'."
    assert told({**item, "id": "other_1"}) == (message, "input[0].id", "invalid_id_prefix")


def test_an_id_without_a_type_is_a_messages() -> None:
    assert refusal({**USER, "id": "rs_1"}).message.endswith("Expected an ID that begins with 'msg'.")


@pytest.mark.parametrize("value", ["msg_a:b", "", "msg ü"])
def test_an_id_has_letters_digits_underscores_and_dashes(value: str) -> None:
    message = (
        f"Invalid 'input[0].id': '{value}'. Expected an ID that contains letters, numbers, underscores, or dashes, but "
        "this value contained additional characters."
    )
    assert told({**USER, "id": value}) == (message, "input[0].id", "invalid_value")


def test_an_id_keeps_to_its_length_and_is_a_string() -> None:
    check_items([{**USER, "id": "msg_" + "a" * 60}])
    assert told({**USER, "id": "msg_" + "a" * 61})[2] == "string_above_max_length"
    assert told({**USER, "id": 7})[2] == "invalid_type"
    assert told({"type": "acme:note", "id": 7})[2] == "invalid_type"


@proves("2.2.27", "3.4.duplicate")
def test_an_id_stands_for_one_item() -> None:
    one, other = {**USER, "id": "msg_1"}, {"type": "item_reference", "id": "msg_1"}
    message = "Duplicate item found with id msg_1. Remove duplicate items from your input and try again."
    assert told(one, USER, one) == (message, "input", None)
    assert told(one, other) == (message, "input", None)


def test_a_legacy_shells_output_names_its_call_by_id() -> None:
    call = {"type": "local_shell_call", **GOOD["local_shell_call"], "id": "lsh_1"}
    output = {"type": "local_shell_call_output", "id": "lsh_1", "output": "o"}
    check_items([call, output])
