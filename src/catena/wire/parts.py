"""Content parts as input carries them: what each kind requires and allows (spec §2.3).

Parts are checked against these structs and carried as the objects that they were.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

__all__ = [
    "PART_TYPES",
    "Audio",
    "CacheBreakpoint",
    "ComputerScreenshot",
    "Detail",
    "InputFile",
    "InputImage",
    "InputPart",
    "InputText",
    "OutputPart",
    "ReasoningPart",
    "StoredPart",
    "SummaryPart",
    "ToolOutput",
    "ToolOutputPart",
]

PART_TYPES: Final = (
    "input_text",
    "input_image",
    "input_audio",
    "output_text",
    "refusal",
    "input_file",
    "computer_screenshot",
    "summary_text",
    "encrypted_content",
)
"""Every kind of part that a message may hold somewhere, in the order in which the official API names them."""

_FAMILY: Final = Meta(extra={"family": PART_TYPES})

Detail: TypeAlias = Literal["low", "high", "auto", "original"]


class _Part(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="type",
):
    pass


class CacheBreakpoint(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    mode: Literal["explicit"]
    ttl: Literal["30m", "12h"] | None = None


class InputText(_Part, frozen=True, kw_only=True, tag="input_text"):
    text: Annotated[str, Meta(max_length=10_485_760)]
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class InputImage(_Part, frozen=True, kw_only=True, tag="input_image"):
    detail: Detail | None = None
    file_id: str | None = None
    image_url: Annotated[str, Meta(max_length=20_971_520)] | None = None
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class InputFile(_Part, frozen=True, kw_only=True, tag="input_file"):
    detail: Literal["auto", "low", "high"] | None = None
    file_data: Annotated[str, Meta(max_length=73_400_320)] | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class Audio(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    data: str
    format: Literal["mp3", "wav"]


class InputAudio(_Part, frozen=True, kw_only=True, tag="input_audio"):
    input_audio: Audio


class OutputText(_Part, frozen=True, kw_only=True, tag="output_text"):
    text: str
    annotations: list[dict[str, Any]] | None = None
    logprobs: list[dict[str, Any]] | None = None


class Refusal(_Part, frozen=True, kw_only=True, tag="refusal"):
    refusal: str


class SummaryPart(_Part, frozen=True, kw_only=True, tag="summary_text"):
    text: str


class ReasoningText(_Part, frozen=True, kw_only=True, tag="reasoning_text"):
    text: str


class OtherText(_Part, frozen=True, kw_only=True, tag="text"):
    """Raw reasoning as some engines name it."""

    text: str


class EncryptedContent(_Part, frozen=True, kw_only=True, tag="encrypted_content"):
    encrypted_content: str


class ComputerScreenshot(_Part, frozen=True, kw_only=True, tag="computer_screenshot"):
    detail: Detail | None = None
    file_id: str | None = None
    image_url: Annotated[str, Meta(max_length=20_971_520)] | None = None


InputPart: TypeAlias = Annotated[InputText | InputImage | InputFile | InputAudio, _FAMILY]
"""What a user's, system's or developer's message may hold."""

OutputPart: TypeAlias = Annotated[OutputText | Refusal, _FAMILY]
"""What an assistant's message may hold."""

ToolOutputPart: TypeAlias = Annotated[InputText | InputImage | InputFile | EncryptedContent, _FAMILY]
"""What the output of a tool, or a message between agents, may hold."""

StoredPart: TypeAlias = Annotated[
    InputText
    | OutputText
    | OtherText
    | SummaryPart
    | ReasoningText
    | Refusal
    | InputImage
    | ComputerScreenshot
    | InputFile
    | InputAudio,
    _FAMILY,
]
"""What a message of a conversation may hold."""

ReasoningPart: TypeAlias = ReasoningText | OtherText | EncryptedContent
"""What raw reasoning may hold."""

ToolOutput: TypeAlias = Annotated[str, Meta(max_length=10_485_760)] | list[ToolOutputPart]
"""A tool's output: text, or parts."""
