"""The bodies of `POST /v1/responses/input_tokens` and `/v1/responses/compact`, and what they answer.

Both take a part of what a response is created with, in the same shapes.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from catena.wire.request import CreateRequest, Input, ServiceTier, ToolChoice, decode_part
from catena.wire.response import Item, Usage
from catena.wire.settings import ConversationRef, ImageOptions, PromptCacheOptions, Reasoning, Text
from catena.wire.tools import Tool

__all__ = ["CompactRequest", "Compacted", "TokenCount", "TokensRequest", "decode_compact", "decode_tokens"]


class _Part(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """What was not given is None, which an explicit null means as well."""

    def created(self, **changes: Any) -> CreateRequest:
        """The request for a response that would have this context; of all else it has the defaults."""
        names = set(self.__struct_fields__) & set(CreateRequest.__struct_fields__)
        fields = {name: getattr(self, name) for name in names}
        fields |= {"model": fields["model"] or "", "input": fields["input"] or [], "store": False}
        return CreateRequest(**{**fields, **changes})


class TokensRequest(_Part, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """Whose tokens are to be counted."""

    model: str | None = None
    input: Input | None = None
    previous_response_id: str | None = None
    conversation: str | ConversationRef | None = None
    tools: Annotated[list[Tool], Meta(extra={"expected": "an array of tools"})] | None = None
    tool_choice: ToolChoice | None = None
    text: Text | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    truncation: Literal["auto", "disabled"] | None = None
    instructions: str | None = None
    personality: Annotated[str, Meta(max_length=64)] | None = None


class CompactRequest(_Part, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """What is to be compacted."""

    model: str
    input: Input | None = None
    previous_response_id: str | None = None
    prompt_cache_options: PromptCacheOptions | None = None
    prompt_cache_key: Annotated[str, Meta(max_length=64)] | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    instructions: str | None = None
    service_tier: ServiceTier | None = None
    image: ImageOptions | None = None


class TokenCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many tokens an engine would read."""

    object: Literal["response.input_tokens"] = "response.input_tokens"
    input_tokens: int


class Compacted(msgspec.Struct, frozen=True, kw_only=True):
    """A compacted context: what users said, word for word, and one item that stands for everything."""

    id: str
    object: Literal["response.compaction"] = "response.compaction"
    created_at: int
    output: list[Item]
    usage: Usage


_TOKENS: Final = msgspec.json.Decoder(TokensRequest)
_COMPACT: Final = msgspec.json.Decoder(CompactRequest)


def decode_tokens(body: bytes) -> TokensRequest:
    """The request in a body, valid in itself. Raises BadRequest with the official message, `param` and `code`."""
    return decode_part(_TOKENS, body or b"{}")


def decode_compact(body: bytes) -> CompactRequest:
    """The same for a compaction."""
    return decode_part(_COMPACT, body)
