"""Items and chat messages as what a person reads: who, and what was said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from catena.cli.replies import Asked

__all__ = ["Line", "lines_of", "messages_of", "text_of"]


class Line(msgspec.Struct, frozen=True):
    """One message, one call or what came of it."""

    role: str
    text: str


def text_of(content: Any) -> str:
    """The text of a content; what is no text is named."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "\n".join(_part(part) for part in content)


def _part(part: Any) -> str:
    if not isinstance(part, Mapping):
        return ""
    text = part.get("text") or part.get("refusal")
    return text if isinstance(text, str) else f"[{str(part.get('type', 'part')).removeprefix('input_')}]"


def lines_of(items: Sequence[Mapping[str, Any]]) -> list[Line]:
    """Items of the API, as lines."""
    return [line for item in items for line in _lines(item)]


def _lines(item: Mapping[str, Any]) -> Iterator[Line]:
    kind = str(item.get("type", "message"))
    if kind == "message":
        yield Line(str(item.get("role", "")), text_of(item.get("content")))
    elif kind == "reasoning":
        thought = text_of(item.get("content")) or text_of(item.get("summary"))
        if thought:
            yield Line("reasoning", thought)
    elif kind.endswith("_call"):
        given = item.get("arguments", item.get("input", ""))
        name = item.get("name") or kind.removesuffix("_call")
        yield Line("call", f"{name}({given if isinstance(given, str) else '…'})")
    elif kind.endswith("_output"):
        output = item.get("output")
        yield Line("output", text_of(output) or msgspec.json.encode(output).decode())
    else:
        yield Line(kind, msgspec.json.encode(item).decode())


def messages_of(engine: Asked) -> list[Line]:
    """What an engine was sent, as lines."""
    if engine.dialect == "responses":
        return lines_of(engine.messages)
    return [line for message in engine.messages for line in _message_lines(message)]


def _message_lines(message: Mapping[str, Any]) -> Iterator[Line]:
    role = str(message.get("role", ""))
    text = text_of(message.get("content"))
    calls = message.get("tool_calls") or ()
    if text or not calls:
        yield Line(role, text)
    for call in calls:
        function = call.get("function", {})
        yield Line(f"{role} calls", f"{function.get('name', '')}({function.get('arguments', '')})")
