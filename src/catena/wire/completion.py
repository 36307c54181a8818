"""A response as the chat dialect tells it whole (spec §1.3).

Items that the dialect has no words for, those of hosted tools, are left out: what the model made of them is in its
text. `completion_stream` tells the same in chunks, out of the same pieces.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from catena.wire.response import Item, Response, Usage

__all__ = [
    "CALLS",
    "annotation_of",
    "answer",
    "call_of",
    "completion",
    "finish_reason",
    "identity",
    "logprobs_of",
    "output_of",
    "stored_completion",
    "usage_of",
]

CALLS: Final = ("function_call", "custom_tool_call")
"""The kinds of items that are told as calls."""

_ENDS: Final = {"max_output_tokens": "length", "content_filter": "content_filter"}
_TIERS: Final = {"auto": "default", "fast": "priority"}

_decode_items = msgspec.json.Decoder(list[dict[str, Any]]).decode


def completion(response: Response, *, legacy_calls: bool = False) -> dict[str, Any]:
    """The `chat.completion`. With `legacy_calls` a call is told as `function_call`, as `functions` ask for."""
    output = output_of(response)
    choice = {
        "index": 0,
        "message": answer(output, legacy_calls=legacy_calls),
        "logprobs": logprobs_of(_all_logprobs(output)),
        "finish_reason": finish_reason(response, output, legacy_calls=legacy_calls),
    }
    return {
        "id": response.id,
        "object": "chat.completion",
        **identity(response),
        "choices": [choice],
        "usage": usage_of(response.usage),
    }


def stored_completion(response: Response) -> dict[str, Any]:
    """The same as it is retrieved later, with its metadata."""
    return {**completion(response), "metadata": response.metadata}


def identity(response: Response) -> dict[str, Any]:
    """What the whole and every chunk say of the completion besides its `id`."""
    said: dict[str, Any] = {
        "created": response.created_at,
        "model": response.model,
        "service_tier": _TIERS.get(response.service_tier, response.service_tier),
        "system_fingerprint": None,
    }
    if response.previous_response_id is not None:
        said["previous_response_id"] = response.previous_response_id
    return said


def output_of(response: Response) -> list[Item]:
    """The response's output items, decoded if they were stored."""
    output = response.output
    return _decode_items(output) if isinstance(output, msgspec.Raw) else output


def finish_reason(response: Response, output: Sequence[Item], *, legacy_calls: bool) -> str | None:
    """Why the model stopped; None where it did not: the run is under way, or it was cut off."""
    if response.incomplete_details is not None:
        return _ENDS.get(response.incomplete_details.reason, "stop")
    if response.status != "completed":
        return None
    if any(item.get("type") in CALLS for item in output):
        return "function_call" if legacy_calls else "tool_calls"
    return "stop"


def usage_of(usage: Usage | None) -> dict[str, Any] | None:
    """The tokens, if the engine counted them."""
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.input_tokens_details.cached_tokens,
            "cache_write_tokens": usage.input_tokens_details.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.output_tokens_details.reasoning_tokens},
    }


def logprobs_of(logprobs: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The choice's `logprobs`; each entry has the same form in both dialects."""
    return {"content": logprobs, "refusal": None} if logprobs else None


def _all_logprobs(output: Iterable[Item]) -> list[dict[str, Any]]:
    return [each for part in _parts(output) for each in part.get("logprobs") or ()]


# An assistant's message


def answer(output: Sequence[Item], *, legacy_calls: bool = False) -> dict[str, Any]:
    """The one message that these items of an assistant's are."""
    parts = _parts(output)
    texts = [part["text"] for part in parts if "text" in part]
    refusals = [part["refusal"] for part in parts if part["type"] == "refusal"]
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(texts) if texts or _says_nothing(output) else None,
        "refusal": "".join(refusals) if refusals else None,
        "annotations": [annotation_of(each) for part in parts for each in part.get("annotations") or ()],
    }
    thoughts = [text for item in output if item.get("type") == "reasoning" for text in _thoughts(item)]
    if thoughts:
        message["reasoning_content"] = "\n\n".join(thoughts)
    calls = [item for item in output if item.get("type") in CALLS]
    if calls and legacy_calls:
        message["function_call"] = {"name": calls[0]["name"], "arguments": calls[0]["arguments"]}
    elif calls:
        message["tool_calls"] = [call_of(item) for item in calls]
    return message


def _says_nothing(output: Sequence[Item]) -> bool:
    """Whether there is a message that is empty, which is told as an empty text."""
    return any(item.get("type") == "message" and not item["content"] for item in output)


def _parts(output: Iterable[Item]) -> list[dict[str, Any]]:
    return [part for item in output if item.get("type", "message") == "message" for part in _content(item)]


def _content(item: Item) -> list[dict[str, Any]]:
    content = item["content"]
    return [{"type": "output_text", "text": content}] if isinstance(content, str) else content


def _thoughts(item: Item) -> list[str]:
    parts = [*item.get("summary", ()), *item.get("content", ())]
    return [part["text"] for part in parts if part.get("text")]


def annotation_of(annotation: dict[str, Any]) -> dict[str, Any]:
    """The annotation under its own name, as the chat dialect nests it."""
    kind = annotation.get("type", "")
    return {"type": kind, kind: {name: value for name, value in annotation.items() if name != "type"}}


def call_of(item: Item) -> dict[str, Any]:
    """The call as one of the message's `tool_calls`."""
    if item["type"] == "custom_tool_call":
        custom = {"name": item["name"], "input": item["input"]}
        return {"id": item["call_id"], "type": "custom", "custom": custom}
    function = {"name": item["name"], "arguments": item["arguments"]}
    return {"id": item["call_id"], "type": "function", "function": function}
