"""The body of `POST /v1/responses`: decoded and checked in one pass, refused in the official API's words (spec §3.3).

`decode_create` is the only way in. It does not look at anything that is stored: whether a parent exists, a model is
served or a call has its output is for others to say, who have `require_input` and `require_tool_choice` for what the
official API checks after that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from catena.wire import wording
from catena.wire.explain import Check, check_depth, explain
from catena.wire.items import check_id, check_items
from catena.wire.response import Item
from catena.wire.schemas import check_format
from catena.wire.settings import (
    AccessPrograms,
    ContextManagement,
    ConversationRef,
    ImageOptions,
    JsonSchema,
    Moderation,
    PromptCacheOptions,
    PromptRef,
    Reasoning,
    StreamOptions,
    Text,
)
from catena.wire.tools import Tool, check_chosen, check_tool_choice, check_tools

__all__ = [
    "ACCEPTED_UNUSED",
    "CHAIN_PREFIXES",
    "CREATE_PARAMETERS",
    "MOST_ITEMS",
    "CreateRequest",
    "Includable",
    "Input",
    "ServiceTier",
    "ToolChoice",
    "decode_as",
    "decode_create",
    "decode_part",
    "require_input",
    "require_tool_choice",
]

Includable: TypeAlias = Literal[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
]

ServiceTier: TypeAlias = Annotated[
    Literal["auto", "default", "fast", "flex", "priority", "scale", "ultrafast"],
    Meta(extra={"listed": ("auto", "default", "fast", "flex", "priority")}),
]

MOST_ITEMS: Final = 20_000
"""Our own bound: a body of millions of tiny items would take seconds to look through, for everybody."""

Input: TypeAlias = Annotated[
    Annotated[str, Meta(max_length=10_485_760)]
    | Annotated[
        list[Annotated[Item, Meta(extra={"expected": "an input item"})]], Meta(max_length=MOST_ITEMS)
    ],
    Meta(extra={"expected": "one of a string or array of input items"}),
]

Metadata: TypeAlias = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]],
    Meta(max_length=16, extra={"expected": "a metadata object"}),
]

ToolChoice: TypeAlias = Annotated[
    Literal["none", "auto", "required"] | dict[str, Any],
    Meta(extra={"expected": "one of an object or 'none', 'auto', or 'required'"}),
]

Penalty: TypeAlias = Annotated[float, Meta(ge=-2, le=2)]

CHAIN_PREFIXES: Final = ("resp", "chatcmpl")
"""What the id of a turn begins with. The second is ours: chains go through Chat Completions too."""


class CreateRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """What a client asks for. None means not given, which an explicit null means as well.

    The fields stand in the order in which the official API checks them. `input`, `tools` and `tool_choice` are as
    they were sent, but valid; `items.normalise_input` gives the items.
    """

    model: str
    input: Input
    previous_response_id: str | None = None
    conversation: str | ConversationRef | None = None
    prompt: PromptRef | None = None
    moderation: Moderation | None = None
    include: list[Includable] | None = None
    tools: Annotated[list[Tool], Meta(extra={"expected": "an array of tools"})] | None = None
    tool_choice: ToolChoice | None = None
    metadata: Metadata | None = None
    text: Text | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    parallel_tool_calls: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    background: bool | None = None
    max_output_tokens: Annotated[int, Meta(ge=16)] | None = None
    max_tool_calls: Annotated[int, Meta(ge=1)] | None = None
    reasoning: Reasoning | None = None
    user: str | None = None
    safety_identifier: Annotated[str, Meta(max_length=128)] | None = None
    prompt_cache_options: PromptCacheOptions | None = None
    prompt_cache_key: Annotated[str, Meta(max_length=64)] | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    instructions: str | None = None
    store: bool | None = None
    service_tier: ServiceTier | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    context_management: list[ContextManagement] | None = None
    image: ImageOptions | None = None
    access_programs: AccessPrograms | None = None

    client_metadata: Any = None
    """Not of the API: see ACCEPTED_UNUSED."""

    @property
    def conversation_id(self) -> str | None:
        """The conversation's id, whichever way it was given."""
        given = self.conversation
        return given.id if isinstance(given, ConversationRef) else given


ACCEPTED_UNUSED: Final = {"client_metadata": "Codex sends it with every request."}
"""Parameters that are not of the API but that real clients send: accepted, and not acted on."""

R = TypeVar("R", bound=CreateRequest)

CREATE_PARAMETERS: Final = tuple(
    name for name in CreateRequest.__struct_fields__ if name not in ACCEPTED_UNUSED
)


def decode_create(body: bytes) -> CreateRequest:
    """The request in a body, valid in itself. Raises BadRequest with the official message, `param` and `code`."""
    return decode_as(_CREATE, body)


def decode_as(decoder: msgspec.json.Decoder[R], body: bytes) -> R:
    """The same for a struct that adds to CreateRequest what another door takes besides."""
    try:
        request = decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise explain(body, decoder.type, error, checks=_CHECKS, moved=_MOVED) from None
    check_depth(
        body, request.input, request.tools, request.tool_choice, _schema(request), request.client_metadata
    )
    for (name, check), value in zip(_CHECKS.items(), _checked(request), strict=True):
        if value is not None:
            check(value, name)
    if request.conversation is not None and request.previous_response_id is not None:
        raise wording.exclusive_parents()
    return request


S = TypeVar("S", bound=msgspec.Struct)


def decode_part(decoder: msgspec.json.Decoder[S], body: bytes) -> S:
    """The same for a struct with some of the fields of CreateRequest."""
    try:
        part = decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise explain(body, decoder.type, error, checks=_CHECKS, moved={}) from None
    given = {name: getattr(part, name) for name in part.__struct_fields__}
    text = given.get("text")
    form = text.format if isinstance(text, Text) else None
    schema = form.schema if isinstance(form, JsonSchema) else None
    check_depth(body, given.get("input"), given.get("tools"), given.get("tool_choice"), schema)
    for name, check in _CHECKS.items():
        if given.get(name) is not None:
            check(given[name], name)
    if given.get("conversation") is not None and given.get("previous_response_id") is not None:
        raise wording.exclusive_parents()
    return part


def _schema(request: CreateRequest) -> dict[str, Any] | None:
    form = None if request.text is None else request.text.format
    return form.schema if isinstance(form, JsonSchema) else None


def require_input(request: CreateRequest) -> None:
    """Raise BadRequest if there is nothing to answer: no input, and nothing that it would continue."""
    if not (request.input or request.previous_response_id or request.conversation or request.prompt):
        raise wording.empty_input()


def require_tool_choice(request: CreateRequest, others: Iterable[Tool] = ()) -> None:
    """Raise BadRequest if the tool that must be used is not there, or one must be used and there is none.

    `others` are the tools that the context offers besides the request's own.
    """
    if request.tool_choice is not None:
        check_chosen(request.tool_choice, [*(request.tools or ()), *others])


# What single parameters must be beyond their types


def _check_model(model: str, path: str) -> None:
    if not model:
        raise wording.model_not_found(model)


def _check_input(given: str | list[Item], path: str) -> None:
    if not isinstance(given, str):
        check_items(given, path)


def _check_parent(turn_id: str, path: str) -> None:
    check_id(turn_id, path, CHAIN_PREFIXES)


def _check_conversation(given: Any, path: str) -> None:
    # Decoded it is a struct, on the second look it is what was sent.
    if isinstance(given, str):
        check_id(given, path, "conv")
    else:
        check_id(given["id"] if isinstance(given, dict) else given.id, f"{path}.id", "conv")


def _check_text(given: Any, path: str) -> None:
    # On the second look it is what was sent, which may be wrong elsewhere; that is told first.
    if isinstance(given, Text) and given.format is not None:
        check_format(given.format, f"{path}.format.schema")


_CHECKS: Final[Mapping[str, Check]] = {
    "model": _check_model,
    "input": _check_input,
    "previous_response_id": _check_parent,
    "conversation": _check_conversation,
    "tools": check_tools,
    "tool_choice": check_tool_choice,
    "text": _check_text,
}
_checked: Final = attrgetter(*_CHECKS)

_MOVED: Final = {
    old: f"Unsupported parameter: '{old}'. In the Responses API, this parameter has moved to '{new}'. Try again with "
    "the new parameter. See the API documentation for more information: "
    "https://platform.openai.com/docs/api-reference/responses/create."
    for old, new in {
        "max_completion_tokens": "max_output_tokens",
        "messages": "input",
        "reasoning_effort": "reasoning.effort",
        "response_format": "text.format",
        "verbosity": "text.verbosity",
    }.items()
}

_CREATE: Final = msgspec.json.Decoder(CreateRequest)
