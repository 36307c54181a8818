"""The nested settings of a request, each a small frozen struct (spec §9).

What was not given is None and is left out when a setting is dumped. Unknown fields are refused, as the API does.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from catena.wire.parts import InputFile, InputImage, InputText

__all__ = [
    "AccessPrograms",
    "ContextManagement",
    "ConversationRef",
    "Effort",
    "ImageOptions",
    "JsonObject",
    "JsonSchema",
    "Moderation",
    "PlainText",
    "PromptCacheOptions",
    "PromptRef",
    "Reasoning",
    "StreamOptions",
    "Text",
    "TextFormat",
]


class _Setting(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True, omit_defaults=True
):
    pass


class PlainText(_Setting, frozen=True, kw_only=True, tag_field="type", tag="text"):
    pass


class JsonObject(_Setting, frozen=True, kw_only=True, tag_field="type", tag="json_object"):
    pass


class JsonSchema(_Setting, frozen=True, kw_only=True, tag_field="type", tag="json_schema"):
    name: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_-]+\Z")]
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


TextFormat: TypeAlias = Annotated[
    JsonObject | PlainText | JsonSchema, Meta(extra={"expected": "a text format"})
]


class Text(_Setting, frozen=True, kw_only=True):
    """What form the answer takes."""

    format: TextFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Reasoning(_Setting, frozen=True, kw_only=True):
    """How the model is to think."""

    effort: Effort | None = None
    summary: Literal["concise", "detailed", "auto"] | None = None
    context: Literal["auto", "current_turn", "all_turns"] | None = None
    mode: str | None = None


class StreamOptions(_Setting, frozen=True, kw_only=True):
    include_obfuscation: bool | None = None


class ConversationRef(_Setting, frozen=True, kw_only=True):
    id: str


class PromptRef(_Setting, frozen=True, kw_only=True):
    """A stored prompt template, and what to fill in."""

    id: str
    variables: dict[str, str | InputText | InputImage | InputFile] | None = None
    version: str | None = None


class ContextManagement(_Setting, frozen=True, kw_only=True):
    type: Literal["compaction"]
    compact_threshold: Annotated[int, Meta(ge=1000)] | None = None


class PromptCacheOptions(_Setting, frozen=True, kw_only=True):
    comparison_response_id: str | None = None
    mode: Literal["implicit", "explicit"] | None = None
    prewarm: bool | None = None
    ttl: Literal["30m", "12h"] | None = None


class ModerationMode(_Setting, frozen=True, kw_only=True):
    mode: Literal["score", "block"]


class ModerationPolicy(_Setting, frozen=True, kw_only=True):
    input: ModerationMode | None = None
    output: ModerationMode | None = None


class Moderation(_Setting, frozen=True, kw_only=True):
    model: str
    policy: ModerationPolicy | None = None


class ImageOptions(_Setting, frozen=True, kw_only=True):
    context_compression: Literal["auto", "enabled", "disabled"] | None = None


class AccessPrograms(_Setting, frozen=True, kw_only=True):
    cyber: Literal["standard", "daybreak_blue", "daybreak_red"] | None = None
