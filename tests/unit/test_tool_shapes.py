"""The table of the tools that clients run: offered, called, told again (spec §9.18-9.22)."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catena.chunks import Chunk, Finish, Offered, ToolCallDelta
from catena.errors import CatenaError
from catena.fold import Fold
from catena.ids import TurnIds, new_tree
from catena.journal import record, replay
from catena.recovery import ended_with_what_it_had
from catena.tool_shapes import (
    SHAPES,
    answer_of,
    call_arguments,
    call_name,
    engine_name,
    is_call,
    is_output,
)
from catena.wire.events import Event, encode_event, event_type
from catena.wire.items import check_items
from catena.wire.response import Response, stored_fields, whole_response
from catena.wire.tools import TOOLS

HELD = [kind for kind, shape in SHAPES.items() if shape.read is not None]

TOOL: dict[str, dict[str, Any]] = {
    "computer_use_preview": {"display_width": 800, "display_height": 600, "environment": "linux"},
}

ARGUMENTS: dict[str, list[dict[str, Any]]] = {
    "shell": [
        {"commands": ["ls", "pwd"]},
        {"commands": ["make"], "timeout_ms": 1000, "max_output_length": 10},
    ],
    "local_shell": [
        {"command": ["ls", "-l"]},
        {"command": ["env"], "env": {"A": "b"}, "working_directory": "/", "timeout_ms": 5, "user": "u"},
    ],
    "apply_patch": [
        {"type": "create_file", "path": "a", "diff": "+x"},
        {"type": "update_file", "path": "a", "diff": ""},
        {"type": "delete_file", "path": "a"},
    ],
    "computer": [
        {"actions": [{"type": "click", "x": 1, "y": 2, "button": "left"}, {"type": "wait"}]},
        {"actions": [{"type": "drag", "path": [{"x": 1, "y": 2}]}, {"type": "type", "text": "hi"}]},
        {"actions": [{"type": "scroll", "x": 0, "y": 0, "scroll_x": 0, "scroll_y": 9, "keys": ["shift"]}]},
        {"actions": [{"type": "keypress", "keys": ["a"]}, {"type": "move", "x": 0, "y": 1}]},
    ],
    "computer_use_preview": [{"action": {"type": "screenshot"}}],
    "tool_search": [{"query": "mail", "limit": 3}, {}],
}
EVERY = [(kind, arguments) for kind in HELD for arguments in ARGUMENTS[kind]]

MALFORMED = [
    "",
    "{",
    "null",
    "[]",
    '"ls"',
    "{}",
    '{"commands":"ls"}',
    '{"type":"update_file","path":"a"}',
    "{}{}",
]


def encoded(arguments: Any) -> str:
    return msgspec.json.encode(arguments).decode()


def item_of(kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
    shape = SHAPES[kind]
    assert shape.read is not None
    fields = shape.read(encoded(arguments))
    assert fields is not None
    return {"type": shape.call, "call_id": "call_1", **fields}


def test_every_tool_in_the_table_is_one_of_the_api_and_every_held_one_is_tried() -> None:
    assert SHAPES.keys() <= TOOLS.keys()
    assert ARGUMENTS.keys() == set(HELD)


@pytest.mark.parametrize("kind", HELD)
def test_what_is_offered_has_a_schema_that_takes_what_is_read(kind: str) -> None:
    function = SHAPES[kind].offer({"type": kind, **TOOL.get(kind, {})})
    assert function["name"] == SHAPES[kind].name
    jsonschema_rs.meta.validate(function["parameters"])
    taken = jsonschema_rs.validator_for(function["parameters"])
    for arguments in ARGUMENTS[kind]:
        if kind != "tool_search" or arguments:
            taken.validate({name: value for name, value in arguments.items() if name != "user"})


@pytest.mark.parametrize(("kind", "arguments"), EVERY)
def test_a_call_is_an_item_that_clients_may_send_back_and_engines_are_told_as_they_made_it(
    kind: str, arguments: dict[str, Any]
) -> None:
    item = item_of(kind, arguments)
    check_items([item])
    assert is_call(item)
    assert call_name(item) == SHAPES[kind].name
    assert msgspec.json.decode(call_arguments(item)) == arguments


@pytest.mark.parametrize("kind", HELD)
@pytest.mark.parametrize("arguments", MALFORMED)
def test_arguments_that_make_no_sense_are_not_read(kind: str, arguments: str) -> None:
    read = SHAPES[kind].read
    assert read is not None
    if (kind, arguments) != ("tool_search", "{}") and not arguments.startswith(('{"c', '{"t')):
        assert read(arguments) is None


def test_a_patch_without_a_change_and_a_shell_without_commands_make_no_sense() -> None:
    for kind, arguments in [
        ("apply_patch", {"type": "create_file", "path": "a"}),
        ("apply_patch", {"type": "update_file", "path": "", "diff": "+x"}),
        ("apply_patch", {"type": "rename_file", "path": "a", "diff": "+x"}),
        ("shell", {"commands": []}),
        ("local_shell", {"command": []}),
        ("computer", {"actions": []}),
        ("computer", {"actions": [{"type": "click", "x": 1}]}),
        ("computer", {"actions": [{"type": "teleport"}]}),
    ]:
        read = SHAPES[kind].read
        assert read is not None
        assert read(encoded(arguments)) is None


def test_a_patch_that_deletes_has_no_change() -> None:
    item = item_of("apply_patch", {"type": "delete_file", "path": "a", "diff": "-x"})
    assert item["operation"] == {"type": "delete_file", "path": "a"}


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (
            {
                "type": "shell_call_output",
                "output": [
                    {"stdout": "a\n", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}},
                    {"stdout": "", "stderr": "slow", "outcome": {"type": "timeout"}},
                ],
            },
            "Exit code: 0\nstdout:\na\n\n\nTimed out\nstderr:\nslow",
        ),
        ({"type": "local_shell_call_output", "output": '{"a":1}'}, '{"a":1}'),
        ({"type": "apply_patch_call_output", "status": "completed"}, "Done"),
        ({"type": "apply_patch_call_output", "status": "completed", "output": "ok"}, "ok"),
        (
            {"type": "apply_patch_call_output", "status": "failed", "output": "no such file"},
            "Failed\nno such file",
        ),
        (
            {"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": "u"}},
            [{"type": "input_image", "image_url": "u"}],
        ),
        (
            {
                "type": "tool_search_output",
                "call_id": "c",
                "tools": [
                    {"type": "function", "name": "f"},
                    {"type": "shell"},
                    {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "g"}]},
                ],
            },
            "Tools that can be called now: f, shell, n__g",
        ),
        ({"type": "tool_search_output", "call_id": "c", "tools": []}, "No tools were found."),
    ],
)
def test_what_came_of_a_call_is_told_in_words(output: dict[str, Any], told: Any) -> None:
    assert is_output(output)
    assert answer_of(output) == told


def test_a_search_that_somebody_else_ran_is_no_call_of_the_clients() -> None:
    for receipt in ({"call_id": None}, {"call_id": "c", "execution": "server"}):
        assert not is_call({"type": "tool_search_call", "arguments": {}, **receipt})
        assert not is_output({"type": "tool_search_output", "tools": [], **receipt})


# Names


def test_a_name_that_fits_is_kept_and_one_in_a_namespace_has_it_before_it() -> None:
    assert engine_name("f") == "f"
    assert engine_name("a" * 128) == "a" * 128
    assert engine_name("f", "crm") == "crm__f"
    assert engine_name("f", "mcp__crm__") == "mcp__crm__f"


@given(st.text(min_size=1, max_size=128), st.none() | st.text(min_size=1, max_size=128))
def test_every_name_is_one_that_engines_take(name: str, namespace: str | None) -> None:
    made = engine_name(name, namespace)
    assert made == engine_name(name, namespace)
    assert len(made) <= (128 if namespace is None else 64)
    assert all(letter.isascii() and (letter.isalnum() or letter in "_-") for letter in made)


def test_names_that_had_to_be_changed_stay_apart() -> None:
    long = "n" * 60
    assert len({engine_name("f.g", "x"), engine_name("f-g", "x"), engine_name("f g", "x")}) == 3
    assert engine_name("first", long) != engine_name("second", long)


def test_arguments_of_a_function_are_told_again_to_the_byte_unless_they_are_no_object() -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f"}
    assert call_arguments({**call, "arguments": '{ "a" : 1 }'}) == '{ "a" : 1 }'
    assert call_arguments({**call, "arguments": ""}) == "{}"
    assert call_arguments({**call, "arguments": '{"a"'}) == '{"malformed_arguments":"{\\"a\\""}'


# Told and told again, whatever the arguments are

OFFERED = Offered(
    {
        "c": ("custom", "c", None),
        "ns__f": ("function", "f", "ns"),
        "ns__c": ("custom", "c", "ns"),
        **{kind: (kind, kind, None) for kind in HELD},
    }
)
some_arguments = st.one_of(
    st.text(max_size=12),
    st.sampled_from(MALFORMED),
    st.sampled_from([encoded(arguments) for _, arguments in EVERY]),
    st.builds(lambda words: encoded({"commands": words}), st.lists(st.text(max_size=4), max_size=3)),
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=5,
    ).map(encoded),
)


def told(chunks: list[Chunk], end: str) -> tuple[Response, list[Event]]:
    ids = TurnIds.new(new_tree(1), 1)
    fold = Fold(Response(id=ids.turn("resp_"), created_at=1, status="in_progress", model="m"), ids)
    events = [*fold.feed([OFFERED]), *fold.start(), *fold.feed(chunks)]
    events += fold.cancel() if end == "cancel" else [*fold.feed([Finish(end)]), *fold.finish(2)]
    return fold.response, [*events, *fold.terminal()]


@given(
    st.lists(st.tuples(st.sampled_from([*OFFERED.forms, "f"]), some_arguments), min_size=1, max_size=4),
    st.sampled_from(["tool_calls", "length", "cancel"]),
)
def test_whatever_the_arguments_are_a_call_is_told_and_told_again(
    calls: list[tuple[str, str]], end: str
) -> None:
    chunks: list[Chunk] = []
    for index, (name, arguments) in enumerate(calls):
        chunks += [ToolCallDelta(index, f"call_{index}", name), ToolCallDelta(index, arguments=arguments)]
    response, events = told(chunks, end)
    output = response.output
    assert isinstance(output, list)
    if end != "cancel":
        assert {item["call_id"] for item in output} == {f"call_{index}" for index in range(len(calls))}
        check_items(output)
    stored = whole_response(
        stored_fields(response),
        id=response.id,
        created_at=1,
        status=response.status,
        model="m",
        previous_response_id=None,
        output=msgspec.json.encode(output),
    )
    again = replay(stored, record(events))
    assert [msgspec.json.decode(encode_event(event)) for event in again] == [
        msgspec.json.decode(encode_event(event)) for event in events
    ]


@pytest.mark.parametrize("kind", HELD)
def test_a_call_that_was_cut_off_is_a_function_call_that_nobody_runs(kind: str) -> None:
    response, _ = told([ToolCallDelta(0, "call_1", kind, '{"comm')], "length")
    output = response.output
    assert isinstance(output, list)
    (item,) = output
    assert (item["type"], item["name"], item["arguments"]) == ("function_call", kind, '{"comm')
    assert item["status"] == "incomplete"


def test_a_journal_of_a_shell_call_does_not_hold_its_commands() -> None:
    commands = ["x" * 1000, "y" * 1000]
    _, events = told([ToolCallDelta(0, "call_1", "shell", encoded({"commands": commands}))], "tool_calls")
    assert len(record(events)) < 100


def test_a_run_that_its_server_did_not_survive_is_told_with_its_calls_as_what_they_were() -> None:
    ids = TurnIds.new(new_tree(1), 1)
    begun = Response(id=ids.turn("resp_"), created_at=1, status="in_progress", model="m")
    chunks: list[Chunk] = [
        OFFERED,
        ToolCallDelta(0, "call_0", "shell", '{"commands":["ls"]}'),
        ToolCallDelta(1, "call_1", "ns__f", "{}"),
        ToolCallDelta(2, "call_2", "apply_patch", '{"type":"delete_'),
    ]
    failed, cuts = ended_with_what_it_had(begun, ids, chunks, CatenaError("The server stopped."), now=2)
    output = failed.output
    assert isinstance(output, list)
    # The last call was told to nobody yet.
    assert [item["type"] for item in output] == ["shell_call", "function_call"]
    assert output[1]["namespace"] == "ns"
    kinds = [event_type(event) for event in replay(failed, cuts)]
    assert kinds.count("response.shell_call_command.done") == 1
    assert kinds[-1] == "response.failed"
