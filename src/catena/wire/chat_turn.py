"""A chat request in the words of the Responses API (spec §1.3, §11).

A chat turn is a turn like any other, asked for in another dialect. What only that dialect has is in `extra_options`,
for an engine that speaks it.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from catena.wire.chat import (
    EXTRA_OPTIONS,
    AllowedToolsChoice,
    ChatRequest,
    ChosenName,
    CustomChoice,
    CustomDefinition,
    FunctionChoice,
    FunctionDefinition,
    FunctionTool,
    Grammar,
    SchemaFormat,
)
from catena.wire.messages import items_of
from catena.wire.request import CreateRequest, Includable
from catena.wire.settings import JsonObject, JsonSchema, PlainText, Reasoning, Text, TextFormat
from catena.wire.tools import Tool

__all__ = ["create_request", "extra_options"]

_SAME: Final = (
    "model",
    "previous_response_id",
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "top_logprobs",
    "user",
    "moderation",
    "safety_identifier",
    "prompt_cache_options",
    "prompt_cache_key",
    "prompt_cache_retention",
    "service_tier",
    "stream",
    "store",
    "metadata",
)


def create_request(asked: ChatRequest) -> CreateRequest:
    """The same request in the Responses API's words, but for `extra_options`."""
    include: list[Includable] | None = ["message.output_text.logprobs"] if asked.logprobs else None
    return CreateRequest(
        **{name: getattr(asked, name) for name in _SAME},
        input=items_of(asked.messages),
        include=include,
        tools=_tools(asked),
        tool_choice=_tool_choice(asked),
        # The old form of calls has room for one.
        parallel_tool_calls=False if asked.functions is not None else asked.parallel_tool_calls,
        text=_text(asked),
        max_output_tokens=asked.max_completion_tokens or asked.max_tokens,
        reasoning=None if asked.reasoning_effort is None else Reasoning(effort=asked.reasoning_effort),
    )


def extra_options(asked: ChatRequest) -> dict[str, Any]:
    """What only an engine of the chat dialect has, as it was given."""
    return {
        name: msgspec.to_builtins(value)
        for name in EXTRA_OPTIONS
        if (value := getattr(asked, name)) is not None
    }


def _tools(asked: ChatRequest) -> list[Tool] | None:
    if asked.functions is not None:
        return [_function_tool(function) for function in asked.functions]
    if asked.tools is None:
        return None
    return [
        _function_tool(tool.function) if isinstance(tool, FunctionTool) else _custom_tool(tool.custom)
        for tool in asked.tools
    ]


def _function_tool(function: FunctionDefinition) -> Tool:
    # In this dialect a function is strict only if it says so; in the Responses API the default is the other one.
    tool: Tool = {"type": "function", "name": function.name, "strict": bool(function.strict)}
    if function.description is not None:
        tool["description"] = function.description
    if function.parameters is not None:
        tool["parameters"] = function.parameters
    return tool


def _custom_tool(custom: CustomDefinition) -> Tool:
    tool: Tool = {"type": "custom", "name": custom.name}
    if custom.description is not None:
        tool["description"] = custom.description
    if isinstance(custom.format, Grammar):
        grammar = custom.format.grammar
        tool["format"] = {"type": "grammar", "syntax": grammar.syntax, "definition": grammar.definition}
    elif custom.format is not None:
        tool["format"] = {"type": "text"}
    return tool


def _tool_choice(asked: ChatRequest) -> Any:
    choice = asked.function_call if asked.functions is not None else asked.tool_choice
    match choice:
        case ChosenName(name=name):
            return {"type": "function", "name": name}
        case FunctionChoice() | CustomChoice():
            return _chosen(choice)
        case AllowedToolsChoice(allowed_tools=allowed):
            return {
                "type": "allowed_tools",
                "mode": allowed.mode,
                "tools": [_chosen(each) for each in allowed.tools],
            }
        case _:
            return choice


def _chosen(choice: FunctionChoice | CustomChoice) -> dict[str, Any]:
    if isinstance(choice, FunctionChoice):
        return {"type": "function", "name": choice.function.name}
    return {"type": "custom", "name": choice.custom.name}


def _text(asked: ChatRequest) -> Text | None:
    if asked.response_format is None and asked.verbosity is None:
        return None
    return Text(format=_text_format(asked.response_format), verbosity=asked.verbosity)


def _text_format(form: JsonObject | SchemaFormat | PlainText | None) -> TextFormat | None:
    if not isinstance(form, SchemaFormat):
        return form
    given = form.json_schema
    return JsonSchema(
        name=given.name, schema=given.schema or {}, description=given.description, strict=given.strict
    )
