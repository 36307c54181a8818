"""The events of a response, as the stream tells them (spec §4, appendix A.1).

Each is a frozen struct whose tag is its `type`. `sequence_number` counts from 0 for every response.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from catena.wire.response import Item, Response

__all__ = [
    "AnnotationAdded",
    "ArgumentsDelta",
    "ArgumentsDone",
    "Completed",
    "ContentPartAdded",
    "ContentPartDone",
    "Created",
    "CustomInputDelta",
    "CustomInputDone",
    "ErrorEvent",
    "Event",
    "Failed",
    "InProgress",
    "Incomplete",
    "OutputItemAdded",
    "OutputItemDone",
    "PassedOn",
    "Queued",
    "ReasoningDeltaEvent",
    "ReasoningDone",
    "RefusalDeltaEvent",
    "RefusalDone",
    "ResponseEvent",
    "ShellCommandAdded",
    "ShellCommandDelta",
    "ShellCommandDone",
    "SummaryPartAdded",
    "SummaryPartDone",
    "SummaryTextDelta",
    "SummaryTextDone",
    "TerminalEvent",
    "TextDeltaEvent",
    "TextDone",
    "encode_event",
    "event_frame",
    "event_type",
]


class _Event(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type"):
    sequence_number: int


class _OfResponse(_Event, frozen=True, kw_only=True):
    response: Response


class Created(_OfResponse, frozen=True, kw_only=True, tag="response.created"):
    pass


class Queued(_OfResponse, frozen=True, kw_only=True, tag="response.queued"):
    pass


class InProgress(_OfResponse, frozen=True, kw_only=True, tag="response.in_progress"):
    pass


class Completed(_OfResponse, frozen=True, kw_only=True, tag="response.completed"):
    pass


class Incomplete(_OfResponse, frozen=True, kw_only=True, tag="response.incomplete"):
    pass


class Failed(_OfResponse, frozen=True, kw_only=True, tag="response.failed"):
    """Also ends a cancelled response: there is no event of its own for that (spec §4.2.25)."""


class ErrorEvent(_Event, frozen=True, kw_only=True, tag="error"):
    """Flat as the SDK types it and nested as the live API sends it, at once (spec §4.3)."""

    code: str | None
    message: str
    param: str | None
    error: dict[str, Any]


class _OfItem(_Event, frozen=True, kw_only=True):
    output_index: int
    item: Item


class OutputItemAdded(_OfItem, frozen=True, kw_only=True, tag="response.output_item.added"):
    pass


class OutputItemDone(_OfItem, frozen=True, kw_only=True, tag="response.output_item.done"):
    pass


class _InItem(_Event, frozen=True, kw_only=True):
    item_id: str
    output_index: int


class _InPart(_InItem, frozen=True, kw_only=True):
    content_index: int


class ContentPartAdded(_InPart, frozen=True, kw_only=True, tag="response.content_part.added"):
    part: dict[str, Any]


class ContentPartDone(_InPart, frozen=True, kw_only=True, tag="response.content_part.done"):
    part: dict[str, Any]


class TextDeltaEvent(_InPart, frozen=True, kw_only=True, tag="response.output_text.delta"):
    delta: str
    logprobs: list[dict[str, Any]]


class TextDone(_InPart, frozen=True, kw_only=True, tag="response.output_text.done"):
    text: str
    logprobs: list[dict[str, Any]]


class AnnotationAdded(_InPart, frozen=True, kw_only=True, tag="response.output_text.annotation.added"):
    annotation_index: int
    annotation: dict[str, Any]


class RefusalDeltaEvent(_InPart, frozen=True, kw_only=True, tag="response.refusal.delta"):
    delta: str


class RefusalDone(_InPart, frozen=True, kw_only=True, tag="response.refusal.done"):
    refusal: str


class ReasoningDeltaEvent(_InPart, frozen=True, kw_only=True, tag="response.reasoning_text.delta"):
    delta: str


class ReasoningDone(_InPart, frozen=True, kw_only=True, tag="response.reasoning_text.done"):
    text: str


class _InSummary(_InItem, frozen=True, kw_only=True):
    summary_index: int


class SummaryPartAdded(_InSummary, frozen=True, kw_only=True, tag="response.reasoning_summary_part.added"):
    part: dict[str, Any]


class SummaryPartDone(_InSummary, frozen=True, kw_only=True, tag="response.reasoning_summary_part.done"):
    part: dict[str, Any]


class SummaryTextDelta(_InSummary, frozen=True, kw_only=True, tag="response.reasoning_summary_text.delta"):
    delta: str


class SummaryTextDone(_InSummary, frozen=True, kw_only=True, tag="response.reasoning_summary_text.done"):
    text: str


class ArgumentsDelta(_InItem, frozen=True, kw_only=True, tag="response.function_call_arguments.delta"):
    delta: str


class ArgumentsDone(_InItem, frozen=True, kw_only=True, tag="response.function_call_arguments.done"):
    name: str
    arguments: str


class CustomInputDelta(_InItem, frozen=True, kw_only=True, tag="response.custom_tool_call_input.delta"):
    delta: str


class CustomInputDone(_InItem, frozen=True, kw_only=True, tag="response.custom_tool_call_input.done"):
    input: str


class _OfCommand(_Event, frozen=True, kw_only=True):
    """The only events of an item that name it by its place alone (spec §4.2.22)."""

    output_index: int
    command_index: int


class ShellCommandAdded(_OfCommand, frozen=True, kw_only=True, tag="response.shell_call_command.added"):
    command: str


class ShellCommandDelta(_OfCommand, frozen=True, kw_only=True, tag="response.shell_call_command.delta"):
    delta: str


class ShellCommandDone(_OfCommand, frozen=True, kw_only=True, tag="response.shell_call_command.done"):
    command: str


class PassedOn(msgspec.Struct, frozen=True, gc=False):
    """An event that this server does not compose: an item event of the engine's own, renumbered."""

    type: str
    data: dict[str, Any]


ResponseEvent: TypeAlias = Created | Queued | InProgress | Completed | Incomplete | Failed
TerminalEvent: TypeAlias = Completed | Incomplete | Failed
Event: TypeAlias = (
    ResponseEvent
    | ErrorEvent
    | OutputItemAdded
    | OutputItemDone
    | ContentPartAdded
    | ContentPartDone
    | TextDeltaEvent
    | TextDone
    | AnnotationAdded
    | RefusalDeltaEvent
    | RefusalDone
    | ReasoningDeltaEvent
    | ReasoningDone
    | SummaryPartAdded
    | SummaryPartDone
    | SummaryTextDelta
    | SummaryTextDone
    | ArgumentsDelta
    | ArgumentsDone
    | CustomInputDelta
    | CustomInputDone
    | ShellCommandAdded
    | ShellCommandDelta
    | ShellCommandDone
    | PassedOn
)

_encode = msgspec.json.Encoder().encode
_NAMES: dict[type, str] = {}
_HEADS: dict[type, bytes] = {}


def event_type(event: Event) -> str:
    """The event's `type`."""
    kind = type(event)
    if kind is PassedOn:
        return event.type  # type: ignore[union-attr]  # narrowed by identity, for speed
    name = _NAMES.get(kind)
    if name is None:
        name = _NAMES[kind] = str(event.__struct_config__.tag)
    return name


def encode_event(event: Event) -> bytes:
    """The event as one line of JSON."""
    return _encode(event.data if isinstance(event, PassedOn) else event)


def event_frame(event: Event) -> bytes:
    """The event as a server-sent event: its type, and itself as the data."""
    kind = type(event)
    if kind is PassedOn:
        return _head(event) + _encode(event.data) + b"\n\n"  # type: ignore[union-attr]  # see event_type
    head = _HEADS.get(kind)
    if head is None:
        head = _HEADS[kind] = _head(event)
    return b"%b%b\n\n" % (head, _encode(event))


def _head(event: Event) -> bytes:
    return f"event: {event_type(event)}\ndata: ".encode()
