"""The tools that a request may offer: what each kind requires and allows, and how a response repeats them (spec §9).

Tools are checked against these structs and carried as the objects that they were, for the engine. A kind that this
server does not know is carried too where that is safe: an extension (`vendor:name`), which by its name is somebody's
own, and a dated version of a known kind. Any other is refused, as a tool that is silently missing is a wrong answer.

What stands inside the settings of a hosted tool is left open: this server does not act on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from catena.wire import wording
from catena.wire.explain import require
from catena.wire.strict import strict_schema

__all__ = [
    "NAME",
    "TOOLS",
    "TOOL_TYPES",
    "Tool",
    "check_chosen",
    "check_tool_choice",
    "check_tools",
    "echo_tools",
    "is_extension",
    "undated",
]

Tool: TypeAlias = dict[str, Any]

NAME: Final = Meta(min_length=1, max_length=128, pattern=r"^[a-zA-Z0-9_-]+\Z")
"""What a function may be called."""

Callers: TypeAlias = list[Literal["direct", "programmatic"]]

_EXTENSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*:[^\s:].*")
_DATE: Final = re.compile(r"_\d{4}_\d{2}_\d{2}\Z")


class _Tool(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    type: str


class FunctionTool(_Tool, frozen=True, kw_only=True):
    name: Annotated[str, NAME]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    async_: bool | None = msgspec.field(name="async", default=None)
    defer_loading: bool | None = None
    output_schema: dict[str, Any] | None = None
    allowed_callers: Callers | None = None


class FreeText(
    msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, tag_field="type", tag="text"
):
    pass


class Grammar(
    msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, tag_field="type", tag="grammar"
):
    definition: str
    syntax: Literal["lark", "regex"]


class CustomTool(_Tool, frozen=True, kw_only=True):
    name: Annotated[str, Meta(min_length=1, max_length=128)]
    description: str | None = None
    format: FreeText | Grammar | None = None
    async_: bool | None = msgspec.field(name="async", default=None)
    defer_loading: bool | None = None
    allowed_callers: Callers | None = None


class NamespaceTool(_Tool, frozen=True, kw_only=True):
    name: Annotated[str, Meta(min_length=1, max_length=128)]
    description: str
    tools: Annotated[list[dict[str, Any]], Meta(extra={"expected": "an array of tools"})]


class ToolSearchTool(_Tool, frozen=True, kw_only=True):
    description: str | None = None
    execution: Literal["server", "client"] | None = None
    parameters: Any = None


class WebSearchTool(_Tool, frozen=True, kw_only=True):
    """The fields below the gap are not in the SDK; Codex sends them."""

    external_web_access: bool | None = None
    filters: dict[str, Any] | None = None
    search_context_size: Literal["low", "medium", "high"] | None = None
    user_location: dict[str, Any] | None = None

    indexed_web_access: bool | None = None
    search_content_types: list[str] | None = None


class WebSearchPreviewTool(_Tool, frozen=True, kw_only=True):
    search_content_types: list[str] | None = None
    search_context_size: Literal["low", "medium", "high"] | None = None
    user_location: dict[str, Any] | None = None


class FileSearchTool(_Tool, frozen=True, kw_only=True):
    vector_store_ids: list[str]
    filters: dict[str, Any] | None = None
    max_num_results: Annotated[int, Meta(ge=1, le=50)] | None = None
    ranking_options: dict[str, Any] | None = None


class CodeInterpreterTool(_Tool, frozen=True, kw_only=True):
    container: str | dict[str, Any]
    allowed_callers: Callers | None = None


class ImageGenerationTool(_Tool, frozen=True, kw_only=True):
    action: str | None = None
    background: str | None = None
    complexity: str | None = None
    frame_count: int | None = None
    frame_duration_ms: int | None = None
    input_fidelity: str | None = None
    input_image_mask: dict[str, Any] | None = None
    model: str | None = None
    moderation: str | None = None
    output_compression: Annotated[int, Meta(ge=0, le=100)] | None = None
    output_format: str | None = None
    partial_images: Annotated[int, Meta(ge=0, le=3)] | None = None
    quality: str | None = None
    size: str | None = None
    svg: dict[str, Any] | None = None


class McpTool(_Tool, frozen=True, kw_only=True):
    server_label: str
    allowed_callers: Callers | None = None
    allowed_tools: list[str] | dict[str, Any] | None = None
    authorization: str | None = None
    connector_id: str | None = None
    defer_loading: bool | None = None
    headers: dict[str, str] | None = None
    require_approval: Literal["always", "never"] | dict[str, Any] | None = None
    server_description: str | None = None
    server_url: str | None = None
    tunnel_id: str | None = None


class ComputerUsePreviewTool(_Tool, frozen=True, kw_only=True):
    display_height: int
    display_width: int
    environment: Literal["windows", "mac", "linux", "ubuntu", "browser"]


class ShellTool(_Tool, frozen=True, kw_only=True):
    allowed_callers: Callers | None = None
    environment: dict[str, Any] | None = None


class ApplyPatchTool(_Tool, frozen=True, kw_only=True):
    allowed_callers: Callers | None = None


TOOLS: Final[Mapping[str, type[_Tool]]] = {
    "code_interpreter": CodeInterpreterTool,
    "programmatic_tool_calling": _Tool,
    "function": FunctionTool,
    "namespace": NamespaceTool,
    "tool_search": ToolSearchTool,
    "file_search": FileSearchTool,
    "web_search": WebSearchTool,
    "web_search_2025_08_26": WebSearchTool,
    "web_search_preview": WebSearchPreviewTool,
    "web_search_preview_2025_03_11": WebSearchPreviewTool,
    "image_generation": ImageGenerationTool,
    "mcp": McpTool,
    "custom": CustomTool,
    "computer": _Tool,
    "computer_use_preview": ComputerUsePreviewTool,
    "local_shell": _Tool,
    "shell": ShellTool,
    "apply_patch": ApplyPatchTool,
}
"""Every kind of tool, in the order in which the official API names them, with what it requires and allows."""

TOOL_TYPES: Final = tuple(TOOLS)

_IN_NAMESPACE: Final = {kind: TOOLS[kind] for kind in ("function", "custom")}


def is_extension(kind: str) -> bool:
    """Whether this is a kind of somebody's own, `vendor:name`, as Open Responses has them."""
    return _EXTENSION.fullmatch(kind) is not None


def undated(kind: str) -> str:
    """The kind without the date of its version, if it has one."""
    return _DATE.sub("", kind)


def check_tools(tools: Sequence[Tool], path: str = "tools") -> None:
    """Raise BadRequest unless each of the tools, an array at `path`, is one that may be offered."""
    for index, tool in enumerate(tools):
        _check_tool(tool, f"{path}[{index}]", TOOLS)


def _check_tool(tool: Tool, path: str, kinds: Mapping[str, type[_Tool]]) -> None:
    if "type" not in tool:
        raise wording.missing(f"{path}.type")
    kind = tool["type"]
    if not isinstance(kind, str):
        raise wording.wrong_value(f"{path}.type", kind, kinds)
    shape = kinds.get(kind) or kinds.get(undated(kind))
    if shape is not None:
        require(tool, shape, path)
        if shape is NamespaceTool:
            for index, inner in enumerate(tool["tools"]):
                _check_tool(inner, f"{path}.tools[{index}]", _IN_NAMESPACE)
    elif not is_extension(kind):
        raise wording.wrong_value(f"{path}.type", kind, kinds)


# Choosing among them


class _Choice(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    type: str


class _NamedChoice(_Choice, frozen=True, kw_only=True):
    name: Annotated[str, Meta(min_length=1, max_length=128)]


class _McpChoice(_Choice, frozen=True, kw_only=True):
    server_label: str
    name: str | None = None


class _AllowedTools(_Choice, frozen=True, kw_only=True):
    mode: Literal["auto", "required"]
    tools: list[dict[str, Any]]


class _Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """One of the tools that are allowed; it may be told as it is among the tools, in full."""

    type: str


class _AllowedByName(_Allowed, frozen=True, kw_only=True):
    name: str


class _AllowedByLabel(_Allowed, frozen=True, kw_only=True):
    server_label: str


_ALLOWED: Final[Mapping[str, type[_Allowed]]] = {
    "function": _AllowedByName,
    "custom": _AllowedByName,
    "mcp": _AllowedByLabel,
}

_CHOICES: Final[Mapping[str, type[_Choice]]] = {
    **dict.fromkeys(TOOL_TYPES, _Choice),
    "function": _NamedChoice,
    "custom": _NamedChoice,
    "mcp": _McpChoice,
    "allowed_tools": _AllowedTools,
    "computer_use": _Choice,
}


def check_tool_choice(choice: str | dict[str, Any], path: str = "tool_choice") -> None:
    """Raise BadRequest unless `choice`, if it is an object, names a tool as its kind is named."""
    if isinstance(choice, str):
        return
    if "type" not in choice:
        raise wording.missing(f"{path}.type")
    kind = choice["type"]
    if not isinstance(kind, str):
        raise wording.wrong_value(f"{path}.type", kind, _CHOICES)
    shape = _CHOICES.get(kind) or _CHOICES.get(undated(kind))
    if shape is not None:
        require(choice, shape, path)
        if shape is _AllowedTools:
            for index, each in enumerate(choice["tools"]):
                require(each, _shape_of_allowed(each), f"{path}.tools[{index}]")
    elif not is_extension(kind):
        raise wording.wrong_value(f"{path}.type", kind, _CHOICES)


def _shape_of_allowed(tool: Mapping[str, Any]) -> type[_Allowed]:
    kind = tool.get("type")
    return _ALLOWED.get(kind, _Allowed) if isinstance(kind, str) else _Allowed


def check_chosen(choice: str | dict[str, Any], tools: Sequence[Tool]) -> None:
    """Raise BadRequest if a tool that `choice` names is not among `tools`, or there is none to be used."""
    if isinstance(choice, str):
        if choice == "required" and not tools:
            raise wording.choice_without_tools(choice)
        return
    if choice["type"] != "allowed_tools":
        _check_named(choice, tools)
        return
    for each in choice["tools"]:
        _check_named(each, tools)


def _check_named(choice: Mapping[str, Any], tools: Sequence[Tool]) -> None:
    if any(_is_chosen(tool, choice) for tool in tools):
        return
    # Without any tools the official API names the kind, not the tool.
    name = choice.get("name") or choice.get("server_label")
    raise wording.choice_not_found(name if name and tools else choice["type"])


def _is_chosen(tool: Tool, choice: Mapping[str, Any]) -> bool:
    kind = tool["type"]
    if kind == "namespace" and choice["type"] in _IN_NAMESPACE:
        return any(_is_chosen(inner, choice) for inner in tool["tools"])
    if kind in _IN_NAMESPACE:
        return bool(kind == choice["type"] and tool["name"] == choice["name"])
    if kind == "mcp":
        return bool(kind == choice["type"] and tool["server_label"] == choice["server_label"])
    return _family(kind) == _family(choice["type"])


def _family(kind: str) -> str:
    return "computer" if kind.startswith("computer") else undated(kind)


# As a response repeats them


def echo_tools(tools: Iterable[Tool]) -> list[Tool]:
    """The tools as a response repeats them: functions in full and strict if they can be, and no credentials."""
    return [_echo(tool) for tool in tools]


def _echo(tool: Tool) -> Tool:
    match tool["type"]:
        case "function":
            return _echo_function(tool)
        case "namespace":
            return {**tool, "tools": echo_tools(tool["tools"])}
        case "mcp":
            return {name: value for name, value in tool.items() if name not in ("authorization", "headers")}
        case _:
            return tool


def _echo_function(tool: Tool) -> Tool:
    parameters, strict = tool.get("parameters"), tool.get("strict")
    if strict is not False and parameters is not None:
        made = strict_schema(parameters)
        strict = strict or made is not None
        parameters = parameters if made is None else made
    return {
        **tool,
        "description": tool.get("description"),
        "parameters": parameters,
        "strict": True if strict is None else strict,
    }
