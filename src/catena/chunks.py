"""What an engine sends, whatever its dialect: small frozen values between `upstream` and `fold`.

An upstream adapter *normalises* its engine's stream into these; the fold *composes* API events from them.
Neither knows the other. A run's chunks with the response's id and time determine every event of it, which
is why the chunks are also what is logged while a run is under way.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

__all__ = [
    "Annotation",
    "Boundary",
    "Chunk",
    "Finish",
    "ItemDone",
    "ItemEvent",
    "ItemStarted",
    "Offered",
    "PartEnd",
    "ReasoningDelta",
    "RefusalDelta",
    "SummaryDelta",
    "TextDelta",
    "ToolCallDelta",
    "UsageReport",
]


class _Chunk(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=True, tag_field="chunk"):
    """Encodes as a short JSON array, tag first, so that a log of chunks stays small."""


class Offered(_Chunk, frozen=True):
    """What the engine was offered, as far as it matters to how its calls are told. Comes before everything else.

    `forms` are the tools that the engine knows as functions and that are something else, by the name that it knows:
    the tool's type, its own name and its namespace. `allowed` are the names that may be called, None for any. Without
    `parallel` an answer has at most one call. Calls of those in `late` may be answered at any later time.
    """

    forms: dict[str, tuple[str, str, str | None]] = {}
    allowed: list[str] | None = None
    parallel: bool = True
    late: list[str] = []


class TextDelta(_Chunk, frozen=True):
    """More visible text. `logprobs` are in the Responses API's shape, one entry a token."""

    text: str
    logprobs: list[dict[str, Any]] | None = None


class RefusalDelta(_Chunk, frozen=True):
    """More of a refusal, which is not an answer."""

    text: str


class ReasoningDelta(_Chunk, frozen=True):
    """More raw reasoning text."""

    text: str


class SummaryDelta(_Chunk, frozen=True):
    """More of a reasoning summary; `part` counts the summary's parts from 0."""

    text: str
    part: int = 0


class ToolCallDelta(_Chunk, frozen=True):
    """A piece of a tool call.

    `index` tells parallel calls apart. The first piece of a call carries `name`; `call_id` may be empty
    where the engine gives none; `arguments` is appended. A `custom` call carries the tool's free-form input
    instead of JSON arguments. `namespace` is that of a function inside a namespace tool.
    """

    index: int
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    custom: bool = False
    namespace: str | None = None


class Annotation(_Chunk, frozen=True):
    """An annotation of the text part that is open."""

    annotation: dict[str, Any]


class PartEnd(_Chunk, frozen=True):
    """The content part that is open ends here; what follows in this message belongs to a new one."""


class Boundary(_Chunk, frozen=True):
    """The item that is open ends here; what follows belongs to a new one.

    `phase` marks the *next* assistant message ("commentary" or "final_answer"); `encrypted_content` belongs to
    the reasoning item that ends.
    """

    phase: str | None = None
    encrypted_content: str | None = None


class ItemStarted(_Chunk, frozen=True):
    """A whole item of a kind that the fold does not compose itself (hosted tools) has begun."""

    item: dict[str, Any]


class ItemEvent(_Chunk, frozen=True):
    """An event of the item that `ItemStarted` began: `data` without ids, index and sequence number."""

    type: str
    data: dict[str, Any]


class ItemDone(_Chunk, frozen=True):
    """The item that `ItemStarted` began is finished, in its final form. Without a start it is added and done."""

    item: dict[str, Any]


class UsageReport(_Chunk, frozen=True):
    """Tokens as the engine counted them, history included. The last report counts."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0


class Finish(_Chunk, frozen=True):
    """Why the engine stopped: "stop", "tool_calls", "length", "content_filter"."""

    reason: str


Chunk: TypeAlias = (
    Offered
    | TextDelta
    | RefusalDelta
    | ReasoningDelta
    | SummaryDelta
    | ToolCallDelta
    | Annotation
    | PartEnd
    | Boundary
    | ItemStarted
    | ItemEvent
    | ItemDone
    | UsageReport
    | Finish
)
