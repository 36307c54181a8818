"""Items and requests in the dialect of Chat Completions.

An assistant's message and the calls that follow it in the same turn become one chat message, which is what chat
templates expect. Reasoning is withheld: chat engines do not take it back.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any, Final

import msgspec

from catena.context.offer import NOTHING, Offer, chat_offer
from catena.errors import BadRequest
from catena.tool_shapes import answer_of, call_arguments, call_name, is_call, is_output
from catena.wire.request import CreateRequest
from catena.wire.response import Item
from catena.wire.tools import Tool

__all__ = ["lead", "messages", "offer", "options", "render"]

_encode = msgspec.json.Encoder().encode

# What the model did elsewhere and a chat engine cannot be shown; its text is in the message that followed. And what is
# not for the engine to read: tools that are added are offered (`offer`).
_NOT_SHOWN: Final = frozenset(
    {
        "reasoning",
        "web_search_call",
        "file_search_call",
        "mcp_list_tools",
        "additional_tools",
        "tool_search_call",
        "tool_search_output",
    }
)

_ROLES: Final = {"developer": "system", "critic": "system", "discriminator": "system"}


def render(items: Sequence[Item]) -> bytes:
    """The fragment of these items: chat messages joined by commas."""
    return _encode(messages(items))[1:-1]


def lead(request: CreateRequest) -> list[bytes]:
    """What goes before the history: the request's instructions, which no later turn inherits."""
    if not request.instructions:
        return []
    return [_encode({"role": "system", "content": request.instructions})]


def messages(items: Sequence[Item]) -> list[dict[str, Any]]:
    """These items as chat messages. Raises BadRequest for an item that a chat engine cannot be shown."""
    rendered: list[dict[str, Any]] = []
    for item in items:
        kind = item.get("type", "message")
        if kind == "message":
            rendered.append(_message(item))
        elif is_call(item):
            if item.get("status") != "incomplete":
                _join_call(rendered, item)
        elif is_output(item):
            rendered.append(_tool_message(item))
        elif kind not in _NOT_SHOWN:
            raise BadRequest(
                f"An item of type '{kind}' cannot be given to a Chat Completions engine. Remove it, or use a "
                "model that a Responses server answers for.",
                param="input",
                code="unsupported_value",
            )
    return rendered


def _message(item: Item) -> dict[str, Any]:
    role = item["role"]
    message: dict[str, Any] = {"role": _ROLES.get(role, role)}
    content = item["content"]
    if isinstance(content, str):
        message["content"] = content
    elif len(content) == 1 and "text" in content[0]:
        message["content"] = content[0]["text"]
    elif role == "assistant":
        message["content"] = "".join(part.get("text") or part.get("refusal") or "" for part in content)
    else:
        message["content"] = [_part(part) for part in content]
    if "name" in item:
        message["name"] = item["name"]
    return message


def _join_call(rendered: list[dict[str, Any]], item: Item) -> None:
    """Add a call to the assistant's message before it, or to one of its own."""
    if not rendered or rendered[-1]["role"] != "assistant":
        rendered.append({"role": "assistant", "content": None})
    function = {"name": call_name(item), "arguments": call_arguments(item)}
    call = {"id": item["call_id"], "type": "function", "function": function}
    rendered[-1].setdefault("tool_calls", []).append(call)


def _tool_message(item: Item) -> dict[str, Any]:
    output: Any = answer_of(item)
    if isinstance(output, list):
        parts = [_part(part) for part in output]
        output = "".join(part["text"] for part in parts) if all("text" in part for part in parts) else parts
    # The shell of old names its call by the id of the output, and an output that answers no call has a name.
    call_id = item.get("call_id") or item.get("name")
    if call_id is None:
        call_id = item["id"] if item["type"] == "local_shell_call_output" else ""
    return {"role": "tool", "tool_call_id": call_id, "content": output}


def _part(part: dict[str, Any]) -> dict[str, Any]:
    match part.get("type"):
        case "input_text" | "output_text" | "text" | "summary_text" | "reasoning_text":
            return {"type": "text", "text": part["text"]}
        case "refusal":
            return {"type": "text", "text": part["refusal"]}
        case "input_image" if part.get("image_url"):
            image = {"url": part["image_url"]}
            if part.get("detail"):
                image["detail"] = part["detail"]
            return {"type": "image_url", "image_url": image}
        case "input_file" if part.get("file_data"):
            file = {name: part[name] for name in ("file_data", "filename") if part.get(name)}
            return {"type": "file", "file": file}
        case "input_audio":
            return {"type": "input_audio", "input_audio": part["input_audio"]}
        case kind:
            source = "file_id" if part.get("file_id") else "file_url" if part.get("file_url") else kind
            raise BadRequest(
                f"A content part of type '{kind}' with '{source}' cannot be given to a Chat Completions engine.",
                param="input",
                code="unsupported_value",
            )


# The request's settings


def offer(request: CreateRequest, added: Sequence[Tool], omit: Set[str]) -> Offer:
    """What the engine is offered of the request's tools and of those that its context has added."""
    return chat_offer(request, added, omit)


def options(request: CreateRequest, offer: Offer = NOTHING) -> dict[str, Any]:
    """The request's settings under their chat names, and the tools of the offer; what was not given is not sent.

    Raises BadRequest for a setting that a chat engine does not have.
    """
    _check_prewarm(request)
    body: dict[str, Any] = {}
    for ours, theirs in _RENAMED.items():
        value = getattr(request, ours)
        if value is not None:
            body[theirs] = value
    _add_tools(request, offer, body)
    for add in (_add_format, _add_reasoning, _add_logprobs):
        add(request, body)
    return body


_RENAMED: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "max_output_tokens": "max_tokens",
    "user": "user",
}


def _check_prewarm(request: CreateRequest) -> None:
    # It asks for no answer at all (spec §7.8): a chat engine would give one.
    if request.prompt_cache_options is not None and request.prompt_cache_options.prewarm:
        raise BadRequest(
            "Unsupported parameter: 'prompt_cache_options.prewarm' is not supported with this model: it is served by a "
            "Chat Completions engine.",
            param="prompt_cache_options.prewarm",
            code="unsupported_parameter",
        )


def _add_tools(request: CreateRequest, offer: Offer, body: dict[str, Any]) -> None:
    if not offer.functions:
        return
    body["tools"] = offer.functions
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls
    if offer.choice is not None:
        body["tool_choice"] = offer.choice


def _add_format(request: CreateRequest, body: dict[str, Any]) -> None:
    if request.text is None:
        return
    form = msgspec.to_builtins(request.text.format) if request.text.format is not None else {"type": "text"}
    if form["type"] == "json_schema":
        schema = {name: value for name, value in form.items() if name != "type" and value is not None}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif form["type"] == "json_object":
        body["response_format"] = {"type": "json_object"}
    if request.text.verbosity is not None and request.text.verbosity != "medium":
        body["verbosity"] = request.text.verbosity


def _add_reasoning(request: CreateRequest, body: dict[str, Any]) -> None:
    if request.reasoning is not None and request.reasoning.effort is not None:
        body["reasoning_effort"] = request.reasoning.effort


def _add_logprobs(request: CreateRequest, body: dict[str, Any]) -> None:
    if "message.output_text.logprobs" in (request.include or ()):
        body["logprobs"] = True
        if request.top_logprobs:
            body["top_logprobs"] = request.top_logprobs
