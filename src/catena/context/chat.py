"""Items and requests in the dialect of Chat Completions.

An assistant's message and the calls that follow it in the same turn become one chat message, which is what chat
templates expect. Reasoning goes along with it to engines that take it back, under the name that they know; from all
others it is withheld. What hosted tools did elsewhere is told as calls with what came of them (`receipts`).
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from operator import attrgetter
from typing import Any, Final

import msgspec

from catena.context.ledger import LATE, call_id_of, is_notice
from catena.context.media import ATTACHED, drafted
from catena.context.offer import NOTHING, Offer, chat_offer
from catena.context.receipts import receipt
from catena.context.sealed import thought_in
from catena.context.view import is_talk
from catena.errors import BadRequest
from catena.tool_shapes import answer_of, call_arguments, call_name, is_call, is_output
from catena.wire.request import CreateRequest
from catena.wire.response import Item
from catena.wire.tools import Tool

__all__ = ["lead", "messages", "offer", "options", "render", "withheld"]

_encode = msgspec.json.Encoder().encode

# What is not for the engine to read: tools that are added are offered (`offer`), settings are sent with the request,
# and a compaction that is asked for is made by this server.
_NOT_SHOWN: Final = frozenset(
    {
        "additional_tools",
        "compaction_trigger",
        "configuration_update",
        "mcp_list_tools",
        "tool_search_call",
        "tool_search_output",
    }
)

_UNREADABLE: Final = "[Earlier turns were summed up by another model, in a form that only it can read.]"
_PENDING: Final = "Started. The result will come later, in a message."

_ROLES: Final = {
    "developer": "system",
    "critic": "system",
    "discriminator": "system",
    "tool": "user",
    "unknown": "user",
}


def render(items: Sequence[Item], reasoning_field: str | None = None) -> bytes:
    """The fragment of these items: chat messages joined by commas."""
    return drafted(messages(items, reasoning_field))


def withheld(items: Sequence[Item], reasoning_field: str | None = None) -> Sequence[str]:
    """The ids of the reasoning items that are not shown."""
    return [
        item["id"]
        for item in items
        if item.get("type") == "reasoning" and "id" in item and not (reasoning_field and thought_in(item))
    ]


def lead(request: CreateRequest) -> list[bytes]:
    """What goes before the history: the request's instructions, which no later turn inherits."""
    if not request.instructions:
        return []
    return [_encode({"role": "system", "content": request.instructions})]


def messages(items: Sequence[Item], reasoning_field: str | None = None) -> list[dict[str, Any]]:
    """These items as chat messages, with reasoning in the field of that name."""
    if is_talk(items):
        return [_message(item) for item in items]
    transcript = _Transcript(reasoning_field)
    for item in items:
        transcript.add(item)
    return transcript.whole()


class _Transcript:
    """Messages in the making."""

    def __init__(self, reasoning_field: str | None) -> None:
        self.messages: list[dict[str, Any]] = []
        self._field = reasoning_field
        self._thoughts: list[str] = []
        self._started: list[str] = []
        self._apart = False

    def add(self, item: Item) -> None:
        """Have the item told next."""
        kind = item.get("type", "message")
        if kind == "message":
            self.settle()
            self._say(_message(item))
            return
        if is_call(item):
            if item.get("status") != "incomplete":
                self._call(item["call_id"], call_name(item), call_arguments(item))
                if item.get("async"):
                    self._started.append(item["call_id"])
            return
        if kind == "reasoning":
            if self._field and (thought := thought_in(item)):
                self._thoughts.append(thought)
            return
        self.settle()
        if LATE in item or (kind == "function_call_output" and item.get("call_id") is None):
            self._say({"role": "user", "content": _late(item)})
        elif is_output(item):
            self._answer(_tool_message(item))
        elif kind == "compaction":
            self._say({"role": "user", "content": _UNREADABLE})
        elif kind not in _NOT_SHOWN:
            self._receipt(item)

    def whole(self) -> list[dict[str, Any]]:
        """All of them, when no item comes any more."""
        self.settle()
        return _answered(self.messages) if self._apart else self.messages

    def settle(self) -> None:
        """Answer the calls whose outputs may come at any later time: right behind a call must stand what answers it."""
        for call_id in self._started:
            self.messages.append({"role": "tool", "tool_call_id": call_id, "content": _PENDING})
        self._started.clear()

    def _say(self, message: dict[str, Any]) -> None:
        if message["role"] == "assistant":
            self._think(message)
        self._thoughts.clear()
        self.messages.append(message)

    def _answer(self, message: dict[str, Any]) -> None:
        """Add what came of a call."""
        before = self.messages[-1] if self.messages else message
        self._apart = self._apart or (before["role"] != "tool" and "tool_calls" not in before)
        self._thoughts.clear()
        self.messages.append(message)

    def _call(self, call_id: str, name: str, arguments: str) -> None:
        """Add a call to the assistant's message before it, or to one of its own."""
        if not self.messages or self.messages[-1]["role"] != "assistant":
            self.messages.append({"role": "assistant", "content": None})
        message = self.messages[-1]
        self._think(message)
        call = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
        message.setdefault("tool_calls", []).append(call)

    def _receipt(self, item: Item) -> None:
        told = receipt(item)
        if told.name is None:
            self._say({"role": "user", "content": told.result})
            return
        call_id = item.get("call_id") or item.get("id") or told.name
        self._call(call_id, told.name, told.arguments)
        self._say({"role": "tool", "tool_call_id": call_id, "content": told.result})

    def _think(self, message: dict[str, Any]) -> None:
        if self._thoughts and self._field:
            before = message.get(self._field)
            message[self._field] = "\n".join([*([before] if before else []), *self._thoughts])
            self._thoughts.clear()


def _answered(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with each output behind its call, or first where that came in an earlier turn.

    In the Responses API it may come later; many engines take nothing between the two.
    """
    groups: list[list[dict[str, Any]]] = [[]]
    calls: dict[str, list[dict[str, Any]]] = {}
    for message in messages:
        if message["role"] == "tool":
            calls.get(message["tool_call_id"], groups[0]).append(message)
            continue
        groups.append([message])
        calls.update((call["id"], groups[-1]) for call in message.get("tool_calls", ()))
    return [message for group in groups for message in group]


def _late(item: Item) -> str | list[dict[str, Any]]:
    output: Any = answer_of(item)
    said = f"[Result of {item['name']}]" if is_notice(item) else f"[Result of the call {item['call_id']}]"
    if isinstance(output, list):
        return [{"type": "text", "text": said}, *(_part(part) for part in output)]
    return f"{said} {output}"


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
        message["content"] = [_part(part) for part in content] or ""  # engines take no empty list
    if "name" in item:
        message["name"] = item["name"]
    return message


def _tool_message(item: Item) -> dict[str, Any]:
    output: Any = answer_of(item)
    if isinstance(output, list):
        parts = [_part(part) for part in output]
        output = "".join(part["text"] for part in parts) if all("text" in part for part in parts) else parts
    return {"role": "tool", "tool_call_id": item.get("call_id") or call_id_of(item), "content": output}


def _part(part: dict[str, Any]) -> dict[str, Any]:
    match part.get("type"):
        case "input_text" | "output_text" | "text" | "summary_text" | "reasoning_text":
            return {"type": "text", "text": part["text"]}
        case "refusal":
            return {"type": "text", "text": part["refusal"]}
        case kind if kind in ATTACHED:
            return part  # what it becomes depends on the engine: see `attach`
        case kind:
            raise BadRequest(
                f"A content part of type '{kind}' cannot be given to a Chat Completions engine.",
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
    given = zip(_RENAMED.values(), _settings(request), strict=True)
    body: dict[str, Any] = {theirs: value for theirs, value in given if value is not None}
    _add_tools(request, offer, body)
    _add_format(request, body)
    _add_reasoning(request, body)
    _add_logprobs(request, body)
    return body


_RENAMED: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "max_output_tokens": "max_tokens",
    "user": "user",
}
_settings: Final = attrgetter(*_RENAMED)


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
