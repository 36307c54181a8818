"""Input items: which kinds there are, what each requires, and the one form in which they are kept (spec §2.2, §2.3).

Items are checked against structs and carried as the objects that they were. An item of a kind that this server does
not know is carried whole where that is safe, and refused by name where it is not: an extension (`vendor:name`), and
a call or its output of a kind newer than this server, are receipts of what happened, which an engine may be shown or
not; anything else might change what is asked, and must not be passed over in silence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from catena.ids import is_well_formed
from catena.wire import calls, wording
from catena.wire.explain import require
from catena.wire.parts import InputPart, OutputPart, StoredPart
from catena.wire.response import Item
from catena.wire.schemas import check_format
from catena.wire.settings import TextFormat
from catena.wire.tools import check_tools, is_extension

__all__ = [
    "ITEMS",
    "ITEM_TYPES",
    "PREFIXES",
    "ROLES",
    "STORED_ROLES",
    "AssistantMessage",
    "InputMessage",
    "check_id",
    "check_items",
    "check_stored_items",
    "listed_item",
    "normalise_input",
    "user_message",
]

ROLES: Final = ("assistant", "system", "developer", "user")
"""Who may speak, in the order in which the official API names them."""

STORED_ROLES: Final = (*ROLES, "tool", "critic", "discriminator", "unknown")
"""Who may have spoken in a conversation: what was read from one can be put into another."""


class InputMessage(calls.AnyItem, frozen=True, kw_only=True):
    role: str
    content: str | list[InputPart]
    status: calls.Status | None = None


class StoredMessage(calls.AnyItem, frozen=True, kw_only=True):
    role: str
    content: str | list[StoredPart]
    phase: Literal["commentary", "final_answer"] | None = None
    status: calls.Status | None = None


class AssistantMessage(calls.AnyItem, frozen=True, kw_only=True):
    role: str
    content: str | list[OutputPart]
    phase: Literal["commentary", "final_answer"] | None = None
    status: calls.Status | None = None


ITEMS: Final[Mapping[str, type[calls.AnyItem]]] = {
    "additional_tools": calls.AdditionalTools,
    "agent_message": calls.AgentMessage,
    "apply_patch_call": calls.ApplyPatchCall,
    "apply_patch_call_output": calls.ApplyPatchCallOutput,
    "code_interpreter_call": calls.CodeInterpreterCall,
    "compaction": calls.Compaction,
    "compaction_trigger": calls.AnyItem,
    "computer_call": calls.ComputerCall,
    "computer_call_output": calls.ComputerCallOutput,
    "configuration_update": calls.ConfigurationUpdate,
    "custom_tool_call": calls.CustomToolCall,
    "custom_tool_call_output": calls.CustomToolCallOutput,
    "file_search_call": calls.FileSearchCall,
    "function_call": calls.FunctionCall,
    "function_call_output": calls.FunctionCallOutput,
    "image_generation_call": calls.ImageGenerationCall,
    "item_reference": calls.ItemReference,
    "local_shell_call": calls.LocalShellCall,
    "local_shell_call_output": calls.LocalShellCallOutput,
    "mcp_approval_request": calls.McpApprovalRequest,
    "mcp_approval_response": calls.McpApprovalResponse,
    "mcp_call": calls.McpCall,
    "mcp_list_tools": calls.McpListTools,
    "message": InputMessage,
    "multi_agent_call": calls.MultiAgentCall,
    "multi_agent_call_output": calls.MultiAgentCallOutput,
    "program": calls.Program,
    "program_output": calls.ProgramOutput,
    "reasoning": calls.Reasoning,
    "shell_call": calls.ShellCall,
    "shell_call_output": calls.ShellCallOutput,
    "tool_search_call": calls.ToolSearchCall,
    "tool_search_output": calls.ToolSearchOutput,
    "web_search_call": calls.WebSearchCall,
}
"""Every kind of item, in the order in which the official API names them, with what it requires and allows."""

ITEM_TYPES: Final = tuple(ITEMS)

PREFIXES: Final[Mapping[str, str]] = {
    "code_interpreter_call": "ci",
    "compaction": "cmp",
    "custom_tool_call": "ctc",
    "file_search_call": "fs",
    "function_call": "fc",
    "image_generation_call": "ig",
    "mcp_approval_request": "mcpr",
    "mcp_call": "mcp",
    "mcp_list_tools": "mcpl",
    "message": "msg",
    "reasoning": "rs",
    "web_search_call": "ws",
}
"""What the id of an item begins with, for the kinds whose prefix is known for certain (spec §2.2)."""

_NEWER: Final = re.compile(r"[a-z][a-z0-9_]*_call(_output)?")
_MAX_ID: Final = 64


# What may come in


def check_stored_items(items: Sequence[Item], path: str = "items") -> None:
    """The same as `check_items` for what is put into a conversation."""
    check_items(items, path, _check_stored_message)


def check_items(
    items: Sequence[Item], path: str = "input", check_message: Callable[[Item, str], None] | None = None
) -> None:
    """Raise BadRequest unless each of the items, an array at `path`, may be given, under an id of its own."""
    check_message = check_message or _check_message
    taken: set[str] = set()
    for index, item in enumerate(items):
        place = f"{path}[{index}]"
        kind = _kind(item, place)
        if kind == "message":
            check_message(item, place)
        else:
            _check_item(item, kind, place)
        if kind == "compaction_trigger" and index < len(items) - 1:
            raise wording.trigger_not_last(place)
        item_id = item.get("id")
        if item_id is None:
            continue
        # The shell of old names its call by `id` on the output, too, which is then no id of an item.
        if kind != "local_shell_call_output":
            check_id(item_id, f"{place}.id", PREFIXES.get(kind, ""))
            if item_id in taken:
                raise wording.duplicate_item(item_id, path)
            taken.add(item_id)


def _kind(item: Item, place: str) -> str:
    kind = item.get("type")
    if kind is None:
        # Of two kinds the type may be left out.
        return "item_reference" if "id" in item and not item.keys() & {"role", "content"} else "message"
    if not isinstance(kind, str):
        raise wording.wrong_value(place, kind, ITEM_TYPES)
    return kind


def _check_item(item: Item, kind: str, place: str) -> None:
    shape = ITEMS.get(kind)
    if shape is not None:
        require(item, shape, place)
        further = _FURTHER.get(kind)
        if further is not None:
            further(item, place)
    elif not _is_safe(kind):
        raise wording.wrong_value(place, kind, ITEM_TYPES)


def _check_message(item: Item, place: str) -> None:
    role = item.get("role")
    if role == "assistant":
        require(item, AssistantMessage, place)
    elif role in ROLES:
        require(item, InputMessage, place)
    else:
        raise wording.wrong_value(place, role, ROLES)


def _check_stored_message(item: Item, place: str) -> None:
    role = item.get("role")
    if role in ROLES:
        _check_message(item, place)
    elif role in STORED_ROLES:
        require(item, StoredMessage, place)
    else:
        raise wording.wrong_value(place, role, STORED_ROLES)


def _check_answers_something(item: Item, place: str) -> None:
    if item.get("call_id") is None and item.get("name") is None:
        raise wording.missing(f"{place}.call_id")


def _check_names_its_call(item: Item, place: str) -> None:
    if item.get("id") is None and item.get("call_id") is None:
        raise wording.missing(f"{place}.id")


def _check_inner_tools(item: Item, place: str) -> None:
    check_tools(item["tools"], f"{place}.tools")


def _check_update(item: Item, place: str) -> None:
    if item.get("text"):
        form: TextFormat = msgspec.convert(item["text"]["format"], TextFormat)
        check_format(form, f"{place}.text.format.schema")


_FURTHER: Final[Mapping[str, Callable[[Item, str], None]]] = {
    "additional_tools": _check_inner_tools,
    "configuration_update": _check_update,
    "function_call_output": _check_answers_something,
    "local_shell_call_output": _check_names_its_call,
    "tool_search_output": _check_inner_tools,
}


def _is_safe(kind: str) -> bool:
    """Whether an item of this unknown kind may be carried. A known kind misspelt may not."""
    if is_extension(kind):
        return True
    return _NEWER.fullmatch(kind) is not None and all(wording.edit_distance(kind, each) > 2 for each in ITEMS)


def check_id(value: Any, path: str, begins: str | tuple[str, ...] = "") -> None:
    """Raise BadRequest unless `value` can be an id that begins so; of several beginnings the first is named."""
    if not isinstance(value, str):
        raise wording.wrong_type(path, "a string", value)
    if len(value) > _MAX_ID:
        raise wording.too_long(path, _MAX_ID, value)
    if not is_well_formed(value):
        raise wording.id_characters(path, value)
    if not value.startswith(begins):
        raise wording.id_prefix(path, value, begins if isinstance(begins, str) else begins[0])


# The form in which items are kept


def normalise_input(given: str | Sequence[Item]) -> list[Item]:
    """The items of a request's `input`, which were checked: messages with their type and their content as parts.

    A string is one user message; an empty one says nothing. Items that need no change are the given objects.
    """
    if isinstance(given, str):
        return [user_message(given)] if given else []
    return [_normal(item) for item in given]


def user_message(text: str) -> Item:
    """What a plain string stands for."""
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def _normal(item: Item) -> Item:
    kind = item.get("type")
    if kind is None:
        kind = "item_reference" if "role" not in item else "message"
        item = {**item, "type": kind}
    if None in item.values():
        item = _without_nulls(item, kind)
    if kind == "local_shell_call_output" and "id" not in item:
        return {**item, "id": item["call_id"]}
    if kind != "message":
        return item
    content = item["content"]
    if isinstance(content, str):
        return {**item, "content": [_part(content, item["role"])]}
    if any(part["type"] == "output_text" and part.get("annotations") is None for part in content):
        return {**item, "content": [_whole(part) for part in content]}
    return item


def _part(text: str, role: str) -> dict[str, Any]:
    if role == "assistant":
        return {"type": "output_text", "text": text, "annotations": []}
    return {"type": "input_text", "text": text}


def _whole(part: dict[str, Any]) -> dict[str, Any]:
    return part if part["type"] != "output_text" else {**part, "annotations": part.get("annotations") or []}


def _without_nulls(item: Item, kind: str) -> Item:
    """The item without what was given as null, which means not given, in a known kind."""
    if kind not in ITEMS:
        return item
    return {name: value for name, value in item.items() if value is not None}


# The form in which items are listed

_HAVE_STATUS: Final = frozenset(
    kind for kind, shape in ITEMS.items() if "status" in shape.__struct_fields__
) - {"reasoning"}


def listed_item(item: Item) -> Item:
    """The item as clients read it: what they may leave out of an item that they send, the API tells."""
    told = dict(item)
    if item.get("type") in _HAVE_STATUS:
        told.setdefault("status", "completed")
    for name in ("content", "output"):
        if isinstance(item.get(name), list):
            told[name] = [_listed_part(part) for part in item[name]]
    return told


def _listed_part(part: Any) -> Any:
    # An item of an unknown kind may hold anything.
    if isinstance(part, dict) and part.get("type") == "input_image":
        return {"detail": "auto", **part}
    return part
