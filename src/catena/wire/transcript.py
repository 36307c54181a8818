"""Items as the chat messages that they were, or would be, for a client that lists what a completion was given.

This is not what an engine is sent: roles stay as they were, and nothing is refused. Items that the chat dialect has no
words for are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

from catena.wire.completion import CALLS, answer
from catena.wire.response import Item

__all__ = ["messages_of"]

Message: TypeAlias = dict[str, Any]

_OUTPUTS: Final = ("function_call_output", "custom_tool_call_output")
_IMAGE: Final = {"url": "image_url", "detail": "detail"}
_FILE: Final = ("file_data", "file_id", "file_url", "filename")


def messages_of(items: Iterable[Item]) -> list[Message]:
    """The messages that these items were, or would be: each with its `content_parts`, if it had any."""
    messages: list[Message] = []
    said: list[Item] = []
    for item in items:
        if _is_assistants(item):
            if said and _begins_another(said, item):
                messages.append(_assistant_message(said))
                said = []
            said.append(item)
            continue
        if said:
            messages.append(_assistant_message(said))
            said = []
        messages += _other_message(item)
    if said:
        messages.append(_assistant_message(said))
    return messages


def _is_assistants(item: Item) -> bool:
    return item.get("role") == "assistant" or item.get("type") in ("reasoning", *CALLS)


def _begins_another(said: Sequence[Item], item: Item) -> bool:
    return item.get("type") not in CALLS and any(each.get("type") != "reasoning" for each in said)


def _assistant_message(said: Sequence[Item]) -> Message:
    names = [item["name"] for item in said if item.get("role") == "assistant" and "name" in item]
    return {**answer(said), **({"name": names[0]} if names else {}), "content_parts": None}


def _other_message(item: Item) -> list[Message]:
    if item.get("type") in _OUTPUTS:
        content, parts = _told(item["output"])
        call_id = item.get("call_id")
        return [{"role": "tool", "tool_call_id": call_id, "content": content, "content_parts": parts}]
    if item.get("type", "message") != "message":
        return []
    content, parts = _told(item["content"])
    message = {"role": item["role"], "content": content, "content_parts": parts}
    return [{**message, "name": item["name"]} if "name" in item else message]


def _told(content: str | Sequence[dict[str, Any]]) -> tuple[str | None, list[dict[str, Any]] | None]:
    """The text of a content, and its parts if it is more than one text."""
    if isinstance(content, str):
        return content, None
    texts = [part["text"] for part in content if "text" in part]
    if len(content) == len(texts) == 1:
        return texts[0], None
    return "".join(texts) if texts else None, [_part(part) for part in content]


def _part(part: dict[str, Any]) -> dict[str, Any]:
    match part["type"]:
        case "input_image":
            image = {name: part[key] for name, key in _IMAGE.items() if part.get(key)}
            return {"type": "image_url", "image_url": image}
        case "input_audio":
            return {"type": "input_audio", "input_audio": part["input_audio"]}
        case "input_file":
            return {"type": "file", "file": {name: part[name] for name in _FILE if part.get(name)}}
        case _:
            return {"type": "text", "text": part.get("text", "")}
