"""Token counts and probabilities as engines write them, in our own shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from catena.chunks import UsageReport
from catena.upstream.loose import object_in, objects_in, text_in

__all__ = ["logprob_entries", "usage_of_chat", "usage_of_response", "usage_of_timings"]


def usage_of_chat(usage: Mapping[str, Any], timings: Mapping[str, Any]) -> UsageReport:
    """The `usage` of a chat completion. llama.cpp tells how much was cached in its `timings`."""
    prompt = object_in(usage.get("prompt_tokens_details"))
    cached = prompt.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or timings.get("cache_n")
    return UsageReport(
        input_tokens=_count(usage.get("prompt_tokens")),
        output_tokens=_count(usage.get("completion_tokens")),
        cached_tokens=_count(cached),
        reasoning_tokens=_count(object_in(usage.get("completion_tokens_details")).get("reasoning_tokens")),
        cache_write_tokens=_count(prompt.get("cache_write_tokens")),
    )


def usage_of_timings(timings: Mapping[str, Any]) -> UsageReport:
    """The same from llama.cpp's `timings` alone, whose prompt count leaves out what was cached."""
    cached = _count(timings.get("cache_n"))
    return UsageReport(
        input_tokens=_count(timings.get("prompt_n")) + cached,
        output_tokens=_count(timings.get("predicted_n")),
        cached_tokens=cached,
    )


def usage_of_response(usage: Mapping[str, Any]) -> UsageReport:
    """The `usage` of a response."""
    given = object_in(usage.get("input_tokens_details"))
    return UsageReport(
        input_tokens=_count(usage.get("input_tokens")),
        output_tokens=_count(usage.get("output_tokens")),
        cached_tokens=_count(given.get("cached_tokens")),
        reasoning_tokens=_count(object_in(usage.get("output_tokens_details")).get("reasoning_tokens")),
        cache_write_tokens=_count(given.get("cache_write_tokens")),
    )


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def logprob_entries(entries: Any) -> list[dict[str, Any]]:
    """Entries of a chat completion or a response, with the keys that the Responses API has and no others."""
    return [
        {
            **_probability(entry),
            "top_logprobs": [_probability(other) for other in objects_in(entry.get("top_logprobs"))],
        }
        for entry in objects_in(entries)
    ]


def _probability(entry: Mapping[str, Any]) -> dict[str, Any]:
    token = text_in(entry.get("token"))
    value, logprob = entry.get("bytes"), entry.get("logprob")
    return {
        "token": token,
        "bytes": value if isinstance(value, list) else list(token.encode()),
        "logprob": logprob if isinstance(logprob, int | float) else 0.0,
    }
