"""Chat messages as a request brings them, and the items that they are in a chain (spec §1.3, §11).

A message of the chat dialect may be several items: what an assistant thought, said and called are three kinds. A call
and its output carry the same id in both dialects. What the chat dialect does not tell, which kind of call an output
answers or, in its oldest form, which call at all, is settled here as far as the same messages say it; the rest is for
who knows the chain (`context.ledger.answering`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, TypeAlias, assert_never

import msgspec
from msgspec import Meta

from catena.wire.parts import Audio, CacheBreakpoint, Detail
from catena.wire.response import Item
from catena.wire.tools import NAME

__all__ = ["AssistantMessage", "Message", "PlainContent", "items_of"]

_FAMILY: Final = Meta(extra={"family": ("text", "image_url", "input_audio", "refusal", "audio", "file")})
_CONTENT: Final = Meta(extra={"expected": "one of a string or array of objects"})

_Text: TypeAlias = Annotated[str, Meta(max_length=10_485_760)]
_Speaker: TypeAlias = Annotated[str, Meta(pattern=r"^[^\s<|\\/>]+\Z")]
_CallId: TypeAlias = Annotated[str, Meta(min_length=1)]


class _Shape(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True, omit_defaults=True
):
    pass


# Content parts


class _Part(_Shape, frozen=True, kw_only=True, tag_field="type"):
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class TextPart(_Part, frozen=True, kw_only=True, tag="text"):
    text: _Text


class ImageUrl(_Shape, frozen=True, kw_only=True):
    url: Annotated[str, Meta(max_length=20_971_520)]
    detail: Detail | None = None


class ImagePart(_Part, frozen=True, kw_only=True, tag="image_url"):
    image_url: ImageUrl


class AudioPart(_Part, frozen=True, kw_only=True, tag="input_audio"):
    input_audio: Audio


class FileSource(_Shape, frozen=True, kw_only=True):
    file_data: Annotated[str, Meta(max_length=73_400_320)] | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(_Part, frozen=True, kw_only=True, tag="file"):
    file: FileSource


class RefusalPart(_Shape, frozen=True, kw_only=True, tag_field="type", tag="refusal"):
    refusal: str


UserPart: TypeAlias = Annotated[TextPart | ImagePart | AudioPart | FilePart, _FAMILY]
AssistantPart: TypeAlias = Annotated[TextPart | RefusalPart, _FAMILY]
PlainContent: TypeAlias = Annotated[_Text | list[TextPart], _CONTENT]


# Calls


class FunctionUse(_Shape, frozen=True, kw_only=True):
    name: Annotated[str, NAME]
    arguments: str


class CustomUse(_Shape, frozen=True, kw_only=True):
    name: Annotated[str, Meta(min_length=1, max_length=128)]
    input: str


class _ToolCall(_Shape, frozen=True, kw_only=True, tag_field="type"):
    """`index` belongs to streams; clients that put their pieces together leave it there."""

    id: _CallId
    index: int | None = None


class FunctionToolCall(_ToolCall, frozen=True, kw_only=True, tag="function"):
    function: FunctionUse


class CustomToolCall(_ToolCall, frozen=True, kw_only=True, tag="custom"):
    custom: CustomUse


# Messages


class _Message(_Shape, frozen=True, kw_only=True, tag_field="role"):
    pass


class SystemMessage(_Message, frozen=True, kw_only=True, tag="system"):
    content: PlainContent | None = None
    name: _Speaker | None = None


class AssistantMessage(_Message, frozen=True, kw_only=True, tag="assistant"):
    """Everything that an answer carries may come back, what this server does not need of it included."""

    content: Annotated[_Text | list[AssistantPart], _CONTENT] | None = None
    refusal: str | None = None
    name: _Speaker | None = None
    tool_calls: list[FunctionToolCall | CustomToolCall] | None = None
    function_call: FunctionUse | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    annotations: list[dict[str, Any]] | None = None
    audio: dict[str, Any] | None = None


class UserMessage(_Message, frozen=True, kw_only=True, tag="user"):
    content: Annotated[_Text | list[UserPart], _CONTENT] | None = None
    name: _Speaker | None = None


class FunctionMessage(_Message, frozen=True, kw_only=True, tag="function"):
    name: Annotated[str, NAME]
    content: _Text | None = None


class ToolMessage(_Message, frozen=True, kw_only=True, tag="tool"):
    tool_call_id: _CallId
    content: PlainContent | None = None
    name: str | None = None


class DeveloperMessage(_Message, frozen=True, kw_only=True, tag="developer"):
    content: PlainContent | None = None
    name: _Speaker | None = None


Message: TypeAlias = (
    SystemMessage | AssistantMessage | UserMessage | FunctionMessage | ToolMessage | DeveloperMessage
)
"""Every kind of message, in the order in which the official API names them."""


def items_of(messages: Sequence[Message]) -> list[Item]:
    """The items that these messages are, in the form in which items are kept."""
    items: list[Item] = []
    custom: set[str] = set()
    waiting = ""
    for place, message in enumerate(messages):
        match message:
            case SystemMessage():
                items.append(_input_message("system", message))
            case DeveloperMessage():
                items.append(_input_message("developer", message))
            case UserMessage():
                items.append(_input_message("user", message))
            case AssistantMessage():
                waiting = f"call_{place}" if message.function_call is not None else ""
                custom.update(
                    call.id for call in message.tool_calls or () if isinstance(call, CustomToolCall)
                )
                items += _assistant_items(message, waiting)
            case ToolMessage():
                items.append(_tool_output(message, custom=message.tool_call_id in custom))
            case FunctionMessage():
                items.append(_function_output(message, waiting))
                waiting = ""
            case _:
                assert_never(message)
    return items


def _input_message(role: str, message: SystemMessage | DeveloperMessage | UserMessage) -> Item:
    item: Item = {"type": "message", "role": role, "content": _input_content(message.content)}
    if message.name is not None:
        item["name"] = message.name
    return item


def _input_content(content: str | Sequence[UserPart] | None) -> list[dict[str, Any]]:
    if content is None or isinstance(content, str):
        return [{"type": "input_text", "text": content or ""}]
    return [_input_part(part) for part in content]


def _input_part(part: UserPart) -> dict[str, Any]:
    kept: dict[str, Any]
    match part:
        case TextPart(text=text):
            kept = {"type": "input_text", "text": text}
        case ImagePart(image_url=image):
            kept = {"type": "input_image", "image_url": image.url}
            if image.detail is not None:
                kept["detail"] = image.detail
        case AudioPart(input_audio=audio):
            kept = {"type": "input_audio", "input_audio": {"data": audio.data, "format": audio.format}}
        case FilePart(file=file):
            kept = {"type": "input_file", **_given(file)}
        case _:
            assert_never(part)
    if part.prompt_cache_breakpoint is not None:
        kept["prompt_cache_breakpoint"] = _given(part.prompt_cache_breakpoint)
    return kept


def _given(struct: msgspec.Struct) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(struct).items() if value is not None}


def _assistant_items(message: AssistantMessage, legacy_id: str) -> list[Item]:
    items: list[Item] = []
    thought = message.reasoning_content or message.reasoning
    if thought:
        content = [{"type": "reasoning_text", "text": thought}]
        items.append({"type": "reasoning", "summary": [], "content": content})
    calls = [_call(call) for call in message.tool_calls or ()]
    if message.function_call is not None:
        calls.append(_function_call(legacy_id, message.function_call))
    parts = _output_parts(message)
    if parts or message.name is not None or not calls:
        said: Item = {"type": "message", "role": "assistant", "content": parts or [_output_text("")]}
        if message.name is not None:
            said["name"] = message.name
        items.append(said)
    return items + calls


def _output_parts(message: AssistantMessage) -> list[dict[str, Any]]:
    """What was said; an empty text says nothing."""
    parts: list[dict[str, Any]] = []
    content = message.content
    for part in [TextPart(text=content)] if isinstance(content, str) else content or ():
        if isinstance(part, RefusalPart):
            parts.append({"type": "refusal", "refusal": part.refusal})
        elif part.text:
            parts.append(_output_text(part.text))
    if message.refusal:
        parts.append({"type": "refusal", "refusal": message.refusal})
    return parts


def _output_text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": []}


def _call(call: FunctionToolCall | CustomToolCall) -> Item:
    if isinstance(call, FunctionToolCall):
        return _function_call(call.id, call.function)
    use = call.custom
    return {"type": "custom_tool_call", "call_id": call.id, "name": use.name, "input": use.input}


def _function_call(call_id: str, use: FunctionUse) -> Item:
    return {"type": "function_call", "call_id": call_id, "name": use.name, "arguments": use.arguments}


def _tool_output(message: ToolMessage, *, custom: bool) -> Item:
    kind = "custom_tool_call_output" if custom else "function_call_output"
    content = message.content
    output = content or "" if content is None or isinstance(content, str) else _input_content(content)
    return {"type": kind, "call_id": message.tool_call_id, "output": output}


def _function_output(message: FunctionMessage, call_id: str) -> Item:
    output: Item = {"type": "function_call_output", "output": message.content or ""}
    return {**output, "call_id": call_id} if call_id else {**output, "name": message.name}
