"""The Response object and its parts, with every field always present on the wire (spec §2.1).

`ResponseFields` are the fields with a default. They appear twice: in the `Response` that clients read, whole, and
in `StoredFields`, where what equals its default is left out, so that a stored turn is small.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

__all__ = [
    "NO_REASONING",
    "PLAIN_TEXT",
    "IncompleteDetails",
    "InputTokensDetails",
    "Item",
    "OutputTokensDetails",
    "ReasoningSettings",
    "Response",
    "ResponseError",
    "ResponseFields",
    "ResponseStatus",
    "StoredFields",
    "TextSettings",
    "Usage",
    "stored_fields",
    "whole_response",
]

Item: TypeAlias = dict[str, Any]
"""An input or output item: a JSON object carried whole, its known fields validated when it came in."""

ResponseStatus: TypeAlias = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]


class InputTokensDetails(msgspec.Struct, frozen=True, gc=False):
    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputTokensDetails(msgspec.Struct, frozen=True, gc=False):
    reasoning_tokens: int = 0


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens as the engine counted them, the whole history included in the input."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: InputTokensDetails = InputTokensDetails()
    output_tokens_details: OutputTokensDetails = OutputTokensDetails()


class ResponseError(msgspec.Struct, frozen=True, gc=False):
    """Why a response failed. `code` is one of the official list (spec §2.1.23)."""

    code: str
    message: str


class IncompleteDetails(msgspec.Struct, frozen=True, gc=False):
    """Why a response ended early: max_output_tokens, max_messages, content_filter or steered."""

    reason: str


class TextSettings(msgspec.Struct, frozen=True):
    """What form the text takes. `format` is the request's own object."""

    format: dict[str, Any]
    verbosity: str = "medium"


class ReasoningSettings(msgspec.Struct, frozen=True):
    """How the model is to think."""

    effort: str | None = None
    summary: str | None = None
    context: str | UnsetType = UNSET
    mode: str | UnsetType = UNSET


PLAIN_TEXT = TextSettings(format={"type": "text"})
NO_REASONING = ReasoningSettings()


class ResponseFields(msgspec.Struct, frozen=True):
    """What a response tells besides its identity, its state and its output. The defaults are the API's own."""

    access_programs: dict[str, str] | None = None
    background: bool = False
    billing: dict[str, Any] | UnsetType = UNSET
    completed_at: int | None = None
    conversation: dict[str, str] | None = None
    error: ResponseError | None = None
    frequency_penalty: float = 0.0
    image: dict[str, str] | UnsetType = UNSET
    incomplete_details: IncompleteDetails | None = None
    input_transformations: list[dict[str, Any]] | UnsetType = UNSET
    instructions: str | list[Item] | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    metadata: dict[str, str] = {}
    moderation: dict[str, Any] | None = None
    parallel_tool_calls: bool = True
    presence_penalty: float = 0.0
    prompt: dict[str, Any] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, str] | UnsetType = UNSET
    prompt_cache_retention: str | None = None
    reasoning: ReasoningSettings = NO_REASONING
    safety_identifier: str | None = None
    service_tier: str = "auto"
    store: bool = True
    temperature: float = 1.0
    text: TextSettings = PLAIN_TEXT
    tool_choice: str | dict[str, Any] = "auto"
    tools: list[dict[str, Any]] = []
    top_logprobs: int = 0
    top_p: float = 1.0
    truncation: str = "disabled"
    usage: Usage | None = None
    user: str | None = None


class Response(ResponseFields, frozen=True, kw_only=True):
    """A response as clients see it, at one moment. `output` may be JSON that was stored, taken over as it is."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    status: ResponseStatus
    model: str
    previous_response_id: str | None = None
    output: list[Item] | Raw = []


class StoredFields(ResponseFields, frozen=True, omit_defaults=True):
    """The same fields as the store keeps them: those that differ from the defaults."""


class _Kept(Response, frozen=True, kw_only=True):
    """A response of which only the stored fields are known yet."""

    id: str = ""
    created_at: int = 0
    status: ResponseStatus = "in_progress"
    model: str = ""
    output: Raw = Raw(b"[]")


_values = attrgetter(*ResponseFields.__struct_fields__)
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Kept)


def stored_fields(response: Response) -> bytes:
    """What the store must keep of `response` besides its identity, its state and its output."""
    return _encoder.encode(StoredFields(*_values(response)))


def whole_response(
    fields: bytes,
    *,
    id: str,  # noqa: A002 - the API's word
    created_at: int,
    status: ResponseStatus,
    model: str,
    previous_response_id: str | None,
    output: bytes,
) -> Response:
    """The response that `stored_fields` was taken from, whole again. In a conversation it has no previous one."""
    kept = _decoder.decode(fields)
    return msgspec.structs.replace(
        kept,
        id=id,
        created_at=created_at,
        status=status,
        model=model,
        previous_response_id=None if kept.conversation is not None else previous_response_id,
        output=Raw(output),
    )
