"""The body of `POST /v1/chat/completions`: decoded, checked, refused in the official words (spec §1.3, §11).

`decode_chat` says whether a body is a good one, in the official API's words. What would have to be ignored is refused.
What becomes of a good one is in `chat_turn`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from catena.errors import BadRequest
from catena.wire.explain import Check, check_depth, explain
from catena.wire.items import check_id
from catena.wire.messages import AssistantMessage, Message, PlainContent
from catena.wire.request import CHAIN_PREFIXES, MOST_ITEMS, Metadata, Penalty
from catena.wire.settings import (
    Effort,
    JsonObject,
    Moderation,
    PlainText,
    PromptCacheOptions,
)
from catena.wire.tools import NAME, FreeText
from catena.wire.wording import shortened

__all__ = [
    "ENGINE_OPTIONS",
    "EXTRA_OPTIONS",
    "ChatRequest",
    "UpdateRequest",
    "decode_chat",
    "decode_update",
]


class _Shape(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    pass


# Tools, in the chat dialect's nesting


class FunctionDefinition(_Shape, frozen=True, kw_only=True):
    name: Annotated[str, NAME]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(_Shape, frozen=True, kw_only=True, tag_field="type", tag="function"):
    function: FunctionDefinition


class GrammarDefinition(_Shape, frozen=True, kw_only=True):
    definition: str
    syntax: Literal["lark", "regex"]


class Grammar(_Shape, frozen=True, kw_only=True, tag_field="type", tag="grammar"):
    grammar: GrammarDefinition


class CustomDefinition(_Shape, frozen=True, kw_only=True):
    name: Annotated[str, Meta(min_length=1, max_length=128)]
    description: str | None = None
    format: FreeText | Grammar | None = None


class CustomTool(_Shape, frozen=True, kw_only=True, tag_field="type", tag="custom"):
    custom: CustomDefinition


class ChosenName(_Shape, frozen=True, kw_only=True):
    name: str


class FunctionChoice(_Shape, frozen=True, kw_only=True, tag_field="type", tag="function"):
    function: ChosenName


class CustomChoice(_Shape, frozen=True, kw_only=True, tag_field="type", tag="custom"):
    custom: ChosenName


class AllowedTools(_Shape, frozen=True, kw_only=True):
    mode: Literal["auto", "required"]
    tools: list[FunctionChoice | CustomChoice]


class AllowedToolsChoice(_Shape, frozen=True, kw_only=True, tag_field="type", tag="allowed_tools"):
    allowed_tools: AllowedTools


ToolChoice: TypeAlias = Annotated[
    Literal["none", "auto", "required"] | FunctionChoice | CustomChoice | AllowedToolsChoice,
    Meta(extra={"expected": "one of an object or 'none', 'auto', or 'required'"}),
]


# Other settings


class SchemaDefinition(_Shape, frozen=True, kw_only=True):
    name: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_-]+\Z")]
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class SchemaFormat(_Shape, frozen=True, kw_only=True, tag_field="type", tag="json_schema"):
    json_schema: SchemaDefinition


Stop: TypeAlias = Annotated[
    str | Annotated[list[str], Meta(max_length=4)],
    Meta(extra={"expected": "one of a string or array of strings"}),
]


class StreamOptions(_Shape, frozen=True, kw_only=True):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Prediction(_Shape, frozen=True, kw_only=True):
    type: Literal["content"]
    content: PlainContent


class EngineOptions(_Shape, frozen=True, kw_only=True):
    """Settings that are not of the API but that engines of this dialect take; who takes each is in the docs."""

    bad_words: list[str] | None = None
    cache_prompt: bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    ebnf: str | None = None
    enable_thinking: bool | None = None
    grammar: str | None = None
    ignore_eos: bool | None = None
    include_stop_str_in_output: bool | None = None
    min_p: float | None = None
    min_tokens: int | None = None
    regex: str | None = None
    repeat_penalty: float | None = None
    repetition_penalty: float | None = None
    skip_special_tokens: bool | None = None
    stop_token_ids: list[int] | None = None
    structured_outputs: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None
    top_k: int | None = None
    typical_p: float | None = None


ENGINE_OPTIONS: Final = EngineOptions.__struct_fields__

EXTRA_OPTIONS: Final = ("seed", "logit_bias", "stop", "prediction", "web_search_options", *ENGINE_OPTIONS)
"""What is passed on as it is to an engine of this dialect, and no other engine has."""


class ChatRequest(EngineOptions, frozen=True, kw_only=True):
    """What a client asks for. None means not given, which an explicit null means as well.

    The fields stand in the order in which the official API checks them. `previous_response_id` is ours.
    """

    model: str
    messages: Annotated[list[Message], Meta(min_length=1, max_length=MOST_ITEMS)]
    previous_response_id: str | None = None
    functions: Annotated[list[FunctionDefinition], Meta(min_length=1)] | None = None
    function_call: Literal["none", "auto"] | ChosenName | None = None
    tools: list[FunctionTool | CustomTool] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    user: str | None = None
    seed: int | None = None
    moderation: Moderation | None = None
    safety_identifier: Annotated[str, Meta(max_length=128)] | None = None
    prompt_cache_options: PromptCacheOptions | None = None
    prompt_cache_key: Annotated[str, Meta(max_length=64)] | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    response_format: JsonObject | SchemaFormat | PlainText | None = None
    service_tier: Literal["auto", "default", "fast", "flex", "priority", "scale"] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    reasoning_effort: Effort | None = None
    logit_bias: dict[str, Annotated[float, Meta(ge=-100, le=100)]] | None = None
    stop: Stop | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    store: bool | None = None
    metadata: Metadata | None = None
    prediction: Prediction | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    modalities: list[Literal["text", "audio"]] | None = None
    audio: dict[str, Any] | None = None
    web_search_options: dict[str, Any] | None = None

    @property
    def includes_usage(self) -> bool:
        """Whether the stream is to end with a chunk of usage."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)


def decode_chat(body: bytes) -> ChatRequest:
    """The request in a body, valid in itself. Raises BadRequest with the official message, `param` and `code`."""
    try:
        request = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        fault = explain(body, ChatRequest, error, checks=_CHECKS, moved={})
        raise _no_model() if fault.message == "Missing required parameter: 'model'." else fault from None
    check_depth(body, *_unbounded(request))
    for name, check in _CHECKS.items():
        value = getattr(request, name)
        if value is not None:
            check(value, name)
    _check_together(request)
    return request


class UpdateRequest(_Shape, frozen=True, kw_only=True):
    """The body of `POST /v1/chat/completions/{id}`: null takes all metadata away."""

    metadata: Metadata | None


def decode_update(body: bytes) -> UpdateRequest:
    """The same for a change of a stored completion."""
    try:
        return _decode_update(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise explain(body, UpdateRequest, error, checks={}, moved={}) from None


# What must be true beyond types


def _no_model() -> BadRequest:
    return BadRequest("you must provide a model parameter")


def _check_model(model: str, path: str) -> None:
    if not model:
        raise _no_model()


def _check_parent(turn_id: str, path: str) -> None:
    check_id(turn_id, path, CHAIN_PREFIXES)


_CHECKS: Final[Mapping[str, Check]] = {"model": _check_model, "previous_response_id": _check_parent}


def _unbounded(request: ChatRequest) -> Iterator[Any]:
    """The values whose types do not bound how deep they are."""
    for tool in request.tools or ():
        if isinstance(tool, FunctionTool):
            yield tool.function.parameters
    for function in request.functions or ():
        yield function.parameters
    if isinstance(request.response_format, SchemaFormat):
        yield request.response_format.json_schema.schema
    for message in request.messages:
        if isinstance(message, AssistantMessage):
            yield message.annotations
            yield message.audio
    for name in ("audio", "chat_template_kwargs", "structured_outputs", "thinking", "web_search_options"):
        yield getattr(request, name)


def _check_together(request: ChatRequest) -> None:
    """What parameters must be to each other, and what a turn of a chain cannot be."""
    if request.n is not None and request.n > 1:
        raise BadRequest(
            f"Unsupported value: 'n' does not support {request.n} with this server. A completion is a turn that others "
            "continue by its id, so it has one answer. Send the request again for another one.",
            param="n",
            code="unsupported_value",
        )
    _check_audio(request)
    if request.max_tokens is not None and request.max_completion_tokens is not None:
        raise BadRequest(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            param="max_tokens",
            code="invalid_parameter_combination",
        )
    if request.top_logprobs is not None and not request.logprobs:
        raise _only_with("top_logprobs", "'logprobs'")
    if request.stream_options is not None and not request.stream:
        raise _only_with("stream_options", "'stream'")
    if request.functions is not None and request.tools is not None:
        raise BadRequest(
            "Setting 'functions' and 'tools' at the same time is not supported.",
            param="functions",
            code="invalid_parameter_combination",
        )
    for choice, offered in (("tool_choice", "tools"), ("function_call", "functions")):
        if getattr(request, choice) not in (None, "none", "auto") and not getattr(request, offered):
            raise BadRequest(
                f"Invalid value for '{choice}': '{choice}' is only allowed when '{offered}' are specified.",
                param=choice,
            )
    _check_function_call(request)


def _check_function_call(request: ChatRequest) -> None:
    chosen = request.function_call
    if not isinstance(chosen, ChosenName):
        return
    if chosen.name not in [function.name for function in request.functions or ()]:
        raise BadRequest(
            f"Invalid value for 'function_call': no function named '{shortened(chosen.name)}' was specified in the "
            "'functions' parameter.",
            param="function_call",
        )


def _only_with(name: str, other: str) -> BadRequest:
    return BadRequest(f"The '{name}' parameter is only allowed when {other} is enabled.", param=name)


def _check_audio(request: ChatRequest) -> None:
    if request.audio is not None or "audio" in (request.modalities or ()):
        raise BadRequest(
            "Unsupported parameter: 'audio' output is not supported by this server, which keeps the text of an answer "
            "for the turns that continue it.",
            param="audio" if request.audio is not None else "modalities",
            code="unsupported_parameter",
        )
    for place, message in enumerate(request.messages):
        if isinstance(message, AssistantMessage) and message.audio is not None:
            path = f"messages[{place}].audio"
            raise BadRequest(
                f"Unsupported parameter: '{path}' is not supported by this server, which keeps no audio.",
                param=path,
                code="unsupported_parameter",
            )


_decode = msgspec.json.Decoder(ChatRequest).decode
_decode_update = msgspec.json.Decoder(UpdateRequest).decode
