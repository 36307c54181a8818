"""The tools that clients run, as an engine sees them that knows only functions.

One row for each type of tool says how it is offered, what becomes of a call, and how the call and what came of it are
told to the engine again on later turns:

    offer   tool        → the function that the engine may call
    read    arguments   → what the call item holds; None for arguments that make no sense
    write   call item   → the arguments, as the engine would have made them
    answer  output item → what the engine is told of it: text, or content parts

`read` and `write` are each other's inverse. Nothing here knows requests, chains or streams.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from catena.wire.response import Item
from catena.wire.tools import Tool

__all__ = [
    "SHAPES",
    "Shape",
    "answer_of",
    "call_arguments",
    "call_name",
    "engine_name",
    "is_call",
    "is_output",
]

Fields: TypeAlias = dict[str, Any]

_encode: Final = msgspec.json.Encoder().encode


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """One type of tool. `name` is what the engine knows it by, where the tool itself has none.

    Without `read`, a call is told while it is made: that of a function, or of a custom tool.
    """

    call: str
    output: str
    offer: Callable[[Tool], Fields]
    write: Callable[[Item], Fields]
    answer: Callable[[Item], str | list[Fields]]
    name: str = ""
    read: Callable[[str], Fields | None] | None = None


# What a tool is called

_LONGEST: Final = 64
_PLAIN: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}\Z")


def engine_name(name: str, namespace: str | None = None) -> str:
    """What an engine knows a function or custom tool by: `name`, or `namespace__name`. A tool whose namespace has its
    own name stands in none: so the API tells the calls of one that was deferred.

    Where that is longer than engines take, or has letters that they do not take, it is cut and told apart by a hash,
    always the same.
    """
    if namespace is None or namespace == name:
        whole, longest = name, 128
    else:
        joint = "" if namespace.endswith("__") else "__"
        whole, longest = f"{namespace}{joint}{name}", _LONGEST
    if len(whole) <= longest and _PLAIN.match(whole):
        return whole
    mark = hashlib.blake2b(whole.encode(), digest_size=4).hexdigest()
    return f"{re.sub('[^a-zA-Z0-9_-]', '_', whole)[: _LONGEST - 9]}_{mark}"


# Functions and custom tools


def _offer_function(tool: Tool) -> Fields:
    function = {
        "name": tool["name"],
        "parameters": tool.get("parameters") or {"type": "object", "properties": {}},
    }
    if tool.get("description"):
        function["description"] = tool["description"]
    if tool.get("strict"):
        function["strict"] = True
    return function


def _offer_custom(tool: Tool) -> Fields:
    text = {"type": "string", "description": _input_description(tool.get("format") or {})}
    return {
        "name": tool["name"],
        "description": tool.get("description") or "",
        "parameters": _object({"input": text}),
    }


def _input_description(form: Mapping[str, Any]) -> str:
    if form.get("type") != "grammar":
        return "The tool's input, as free text."
    return f"The tool's input. It must match this {form['syntax']} grammar:\n{form['definition']}"


def _object(properties: Fields, *optional: str, **more: Any) -> Fields:
    """The schema of an object with these properties, all required but the `optional` ones."""
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
        **more,
    }


def _write_function(item: Item) -> Fields:
    # Engines decode what they are told again, and some refuse a history with arguments that are no object.
    arguments = _decoded(_OBJECT, item["arguments"] or "{}")
    return {"malformed_arguments": item["arguments"]} if arguments is None else arguments


def _write_custom(item: Item) -> Fields:
    return {"input": item["input"]}


def _answer_as_given(item: Item) -> str | list[Fields]:
    output: str | list[Fields] = item["output"]
    return output


# Shells


class _ShellArguments(msgspec.Struct, frozen=True):
    commands: Annotated[list[str], Meta(min_length=1)]
    timeout_ms: int | None = None
    max_output_length: int | None = None


class _LocalShellArguments(msgspec.Struct, frozen=True, omit_defaults=True):
    command: Annotated[list[str], Meta(min_length=1)]
    timeout_ms: int | None = None
    user: str | None = None
    working_directory: str | None = None
    env: dict[str, str] | None = None


def _offer_shell(tool: Tool) -> Fields:
    commands = {
        "type": "array",
        "items": {"type": "string"},
        "description": "Commands, run one after another.",
    }
    timeout = {"type": "integer", "description": "Milliseconds after which a command is stopped."}
    longest = {"type": "integer", "description": "How many characters of a command's output are wanted."}
    return {
        "name": "shell",
        "description": "Runs commands in a shell on the user's machine and returns what they print.",
        "parameters": _object(
            {"commands": commands, "timeout_ms": timeout, "max_output_length": longest},
            "timeout_ms",
            "max_output_length",
        ),
    }


def _read_shell(arguments: str) -> Fields | None:
    read = _decoded(_SHELL, arguments)
    return None if read is None else {"action": msgspec.to_builtins(read)}


def _write_shell(item: Item) -> Fields:
    return {name: value for name, value in item["action"].items() if value is not None}


def _answer_shell(item: Item) -> str | list[Fields]:
    output = item["output"]
    return output if isinstance(output, str) else "\n\n".join(_ran(each) for each in output)


def _ran(output: Fields) -> str:
    outcome = output["outcome"]
    ended = "Timed out" if outcome.get("type") == "timeout" else f"Exit code: {outcome.get('exit_code')}"
    printed = [f"{name}:\n{output[name]}" for name in ("stdout", "stderr") if output[name]]
    return "\n".join([ended, *printed])


def _offer_local_shell(tool: Tool) -> Fields:
    command = {"type": "array", "items": {"type": "string"}, "description": "The program and its arguments."}
    return {
        "name": "local_shell",
        "description": "Runs a command on the user's machine and returns what it prints.",
        "parameters": _object(
            {
                "command": command,
                "working_directory": {"type": "string"},
                "timeout_ms": {"type": "integer"},
                "env": {"type": "object", "additionalProperties": {"type": "string"}},
            },
            "working_directory",
            "timeout_ms",
            "env",
        ),
    }


def _read_local_shell(arguments: str) -> Fields | None:
    read = _decoded(_LOCAL_SHELL, arguments)
    return None if read is None else {"action": {"type": "exec", "env": {}, **msgspec.to_builtins(read)}}


def _write_local_shell(item: Item) -> Fields:
    return {name: value for name, value in item["action"].items() if name != "type" and value}


# Patches


class _PatchArguments(msgspec.Struct, frozen=True, omit_defaults=True):
    type: Literal["create_file", "update_file", "delete_file"]
    path: Annotated[str, Meta(min_length=1)]
    diff: str | None = None


def _offer_apply_patch(tool: Tool) -> Fields:
    kinds = ["create_file", "update_file", "delete_file"]
    diff = (
        "The change in V4A form, without a header: lines that begin with '+' are added, with '-' removed, with a space "
        "kept, and '@@ …' says where. A new file has only '+' lines; to delete a file, leave it out."
    )
    return {
        "name": "apply_patch",
        "description": "Creates, changes or deletes one file on the user's machine.",
        "parameters": _object(
            {
                "type": {"type": "string", "enum": kinds},
                "path": {"type": "string", "description": "The file, from the root of the workspace."},
                "diff": {"type": "string", "description": diff},
            },
            "diff",
        ),
    }


def _read_apply_patch(arguments: str) -> Fields | None:
    read = _decoded(_PATCH, arguments)
    if read is None or (read.diff is None and read.type != "delete_file"):
        return None
    operation = {"type": read.type, "path": read.path}
    return {"operation": operation if read.type == "delete_file" else {**operation, "diff": read.diff}}


def _write_apply_patch(item: Item) -> Fields:
    return dict(item["operation"])


def _answer_apply_patch(item: Item) -> str:
    told = item.get("output") or ""
    return f"Failed\n{told}".rstrip() if item.get("status") == "failed" else told or "Done"


# Computers


class _Action(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    keys: list[str] | None = None


class _Click(_Action, frozen=True, kw_only=True, tag="click"):
    x: int
    y: int
    button: Literal["left", "right", "wheel", "back", "forward"]


class _DoubleClick(_Action, frozen=True, kw_only=True, tag="double_click"):
    x: int
    y: int
    # The API requires the keys of this action, though there may be none.
    keys: list[str] | None = msgspec.field(default_factory=list)


class _Point(msgspec.Struct, frozen=True):
    x: int
    y: int


class _Drag(_Action, frozen=True, kw_only=True, tag="drag"):
    path: list[_Point]


class _Keypress(msgspec.Struct, frozen=True, tag_field="type", tag="keypress"):
    keys: list[str]


class _Move(_Action, frozen=True, kw_only=True, tag="move"):
    x: int
    y: int


class _Screenshot(msgspec.Struct, frozen=True, tag_field="type", tag="screenshot"):
    pass


class _Scroll(_Action, frozen=True, kw_only=True, tag="scroll"):
    x: int
    y: int
    scroll_x: int
    scroll_y: int


class _Typing(msgspec.Struct, frozen=True, tag_field="type", tag="type"):
    text: str


class _Wait(msgspec.Struct, frozen=True, tag_field="type", tag="wait"):
    pass


_AnyAction: TypeAlias = (
    _Click | _DoubleClick | _Drag | _Keypress | _Move | _Screenshot | _Scroll | _Typing | _Wait
)


class _Actions(msgspec.Struct, frozen=True):
    actions: Annotated[list[_AnyAction], Meta(min_length=1)]


class _OneAction(msgspec.Struct, frozen=True):
    action: _AnyAction


_INTEGER: Final = {"type": "integer"}
_WORDS: Final = {"type": "array", "items": {"type": "string"}}
_ACTION: Final[Fields] = {
    "type": "object",
    "properties": {
        "type": {
            "type": "string",
            "enum": [
                *("click", "double_click", "drag", "keypress", "move"),
                *("screenshot", "scroll", "type", "wait"),
            ],
        },
        "x": _INTEGER,
        "y": _INTEGER,
        "button": {"type": "string", "enum": ["left", "right", "wheel", "back", "forward"]},
        "keys": {**_WORDS, "description": "The keys to press, or to hold meanwhile."},
        "path": {"type": "array", "items": _object({"x": _INTEGER, "y": _INTEGER})},
        "scroll_x": _INTEGER,
        "scroll_y": _INTEGER,
        "text": {"type": "string", "description": "What to type."},
    },
    "required": ["type"],
    "additionalProperties": False,
}


def _offer_computer(tool: Tool) -> Fields:
    return {
        "name": "computer",
        "description": "Acts on the user's computer, in order, and returns a screenshot.",
        "parameters": _object({"actions": {"type": "array", "items": _ACTION}}),
    }


def _offer_computer_preview(tool: Tool) -> Fields:
    size = f"{tool['display_width']} by {tool['display_height']}"
    return {
        "name": "computer",
        "description": f"Acts once on the user's computer ({tool['environment']}, {size} pixels) and returns a "
        "screenshot.",
        "parameters": _object({"action": _ACTION}),
    }


def _read_computer(arguments: str) -> Fields | None:
    read = _decoded(_ACTIONS, arguments)
    return None if read is None else {**msgspec.to_builtins(read), "pending_safety_checks": []}


def _read_computer_preview(arguments: str) -> Fields | None:
    read = _decoded(_ONE_ACTION, arguments)
    return None if read is None else {**msgspec.to_builtins(read), "pending_safety_checks": []}


def _write_computer(item: Item) -> Fields:
    return {name: item[name] for name in ("actions", "action") if item.get(name) is not None}


def _answer_computer(item: Item) -> str | list[Fields]:
    output = item["output"]
    return output if isinstance(output, str) else [{**output, "type": "input_image"}]


# Looking for tools

_QUERY: Final = _object({"query": {"type": "string"}, "limit": _INTEGER}, "limit")


def _offer_tool_search(tool: Tool) -> Fields:
    return {
        "name": "tool_search",
        "description": tool.get("description")
        or "Finds further tools. Those that are found can be called then.",
        "parameters": tool.get("parameters") or _QUERY,
    }


def _read_tool_search(arguments: str) -> Fields | None:
    read = _decoded(_OBJECT, arguments)
    return None if read is None else {"arguments": read, "execution": "client"}


def _write_tool_search(item: Item) -> Fields:
    arguments = item["arguments"]
    return arguments if isinstance(arguments, dict) else {"query": arguments}


def _answer_tool_search(item: Item) -> str:
    found = [name for tool in item.get("tools", ()) for name in _names(tool)]
    return f"Tools that can be called now: {', '.join(found)}" if found else "No tools were found."


def _names(tool: Tool) -> list[str]:
    if tool["type"] == "namespace":
        return [engine_name(inner["name"], tool["name"]) for inner in tool["tools"]]
    shape = SHAPES.get(tool["type"])
    return [shape.name or engine_name(tool["name"])] if shape is not None else []


# Reading arguments

_SHELL: Final = msgspec.json.Decoder(_ShellArguments)
_LOCAL_SHELL: Final = msgspec.json.Decoder(_LocalShellArguments)
_PATCH: Final = msgspec.json.Decoder(_PatchArguments)
_ACTIONS: Final = msgspec.json.Decoder(_Actions)
_ONE_ACTION: Final = msgspec.json.Decoder(_OneAction)
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])


def _decoded(decoder: msgspec.json.Decoder[Any], arguments: str) -> Any:
    try:
        return decoder.decode(arguments)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None


# The table

_COMPUTER: Final[Fields] = {
    "name": "computer",
    "call": "computer_call",
    "output": "computer_call_output",
    "write": _write_computer,
    "answer": _answer_computer,
}

SHAPES: Final[Mapping[str, Shape]] = {
    "function": Shape(
        call="function_call",
        output="function_call_output",
        offer=_offer_function,
        write=_write_function,
        answer=_answer_as_given,
    ),
    "custom": Shape(
        call="custom_tool_call",
        output="custom_tool_call_output",
        offer=_offer_custom,
        write=_write_custom,
        answer=_answer_as_given,
    ),
    "shell": Shape(
        name="shell",
        call="shell_call",
        output="shell_call_output",
        offer=_offer_shell,
        read=_read_shell,
        write=_write_shell,
        answer=_answer_shell,
    ),
    "local_shell": Shape(
        name="local_shell",
        call="local_shell_call",
        output="local_shell_call_output",
        offer=_offer_local_shell,
        read=_read_local_shell,
        write=_write_local_shell,
        answer=_answer_as_given,
    ),
    "apply_patch": Shape(
        name="apply_patch",
        call="apply_patch_call",
        output="apply_patch_call_output",
        offer=_offer_apply_patch,
        read=_read_apply_patch,
        write=_write_apply_patch,
        answer=_answer_apply_patch,
    ),
    "computer": Shape(**_COMPUTER, offer=_offer_computer, read=_read_computer),
    "computer_use_preview": Shape(**_COMPUTER, offer=_offer_computer_preview, read=_read_computer_preview),
    "tool_search": Shape(
        name="tool_search",
        call="tool_search_call",
        output="tool_search_output",
        offer=_offer_tool_search,
        read=_read_tool_search,
        write=_write_tool_search,
        answer=_answer_tool_search,
    ),
}
"""Every type of tool that clients run."""

_OF_CALL: Final = {shape.call: shape for shape in SHAPES.values()}
_OF_OUTPUT: Final = {shape.output: shape for shape in SHAPES.values()}
_SEARCHES: Final = frozenset({"tool_search_call", "tool_search_output"})


# Items of these tools


def is_call(item: Item) -> bool:
    """Whether this is the call of a tool that the client runs."""
    kind = item.get("type")
    return kind in _OF_CALL and not (kind in _SEARCHES and _searched_elsewhere(item))


def is_output(item: Item) -> bool:
    """Whether this is what came of such a call."""
    kind = item.get("type")
    return kind in _OF_OUTPUT and not (kind in _SEARCHES and _searched_elsewhere(item))


def _searched_elsewhere(item: Item) -> bool:
    # A search may also have been run by an engine that finds tools itself; then both items are receipts.
    return item.get("call_id") is None or item.get("execution") == "server"


def call_name(item: Item) -> str:
    """What the engine knows the tool of a call item by."""
    return _OF_CALL[item["type"]].name or engine_name(item["name"], item.get("namespace"))


def call_arguments(item: Item) -> str:
    """The arguments of a call item, as JSON: those that the engine made, or would have made."""
    if item["type"] == "function_call" and _decoded(_OBJECT, item["arguments"]) is not None:
        return str(item["arguments"])
    return _encode(_OF_CALL[item["type"]].write(item)).decode()


def answer_of(item: Item) -> str | list[Fields]:
    """What an engine is told of an output item: text, or content parts as the Responses API has them."""
    return _OF_OUTPUT[item["type"]].answer(item)
