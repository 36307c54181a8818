"""What a response repeats of its request (spec §2.1)."""

from __future__ import annotations

from operator import attrgetter
from typing import Any, Final

import msgspec

from catena.wire.request import CreateRequest
from catena.wire.response import (
    ReasoningSettings,
    Response,
    ResponseStatus,
    TextSettings,
)
from catena.wire.tools import echo_tools

__all__ = ["echo"]

# Repeated as they were given.
_SAME: Final = (
    "background",
    "frequency_penalty",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "presence_penalty",
    "previous_response_id",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "temperature",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
)

_values: Final = attrgetter(*_SAME)


def echo(request: CreateRequest, *, response_id: str, created_at: int, status: ResponseStatus) -> Response:
    """The response to `request` before anything was produced."""
    given = zip(_SAME, _values(request), strict=True)
    fields: dict[str, Any] = {name: value for name, value in given if value is not None}
    if request.tools:
        fields["tools"] = echo_tools(request.tools)
    if request.tool_choice is not None:
        fields["tool_choice"] = msgspec.to_builtins(request.tool_choice)
    if request.text is not None:
        fields["text"] = _text(request.text)
    if request.reasoning is not None:
        fields["reasoning"] = _reasoning(request.reasoning)
    if request.conversation_id is not None:
        fields["conversation"] = {"id": request.conversation_id}
    if request.prompt is not None:
        fields["prompt"] = msgspec.to_builtins(request.prompt)
    fields.update(_engine_settings(request))
    return Response(id=response_id, created_at=created_at, status=status, model=request.model, **fields)


def _engine_settings(request: CreateRequest) -> dict[str, Any]:
    """Settings that only an engine acts on, as whole as a response tells them."""
    fields: dict[str, Any] = {}
    if request.access_programs is not None and request.access_programs.cyber is not None:
        fields["access_programs"] = {"cyber": request.access_programs.cyber}
    if request.image is not None and request.image.context_compression not in (None, "auto"):
        fields["image"] = {"context_compression": request.image.context_compression}
    caching = request.prompt_cache_options
    if caching is not None:
        fields["prompt_cache_options"] = {"mode": caching.mode or "implicit", "ttl": caching.ttl or "30m"}
    return fields


def _text(text: Any) -> TextSettings:
    form = {"type": "text"} if text.format is None else msgspec.to_builtins(text.format)
    if form["type"] == "json_schema":
        form = {"description": None, "strict": False, **{k: v for k, v in form.items() if v is not None}}
    return TextSettings(format=form, verbosity=text.verbosity or "medium")


def _reasoning(reasoning: Any) -> ReasoningSettings:
    return ReasoningSettings(
        effort=reasoning.effort,
        summary=reasoning.summary,
        context=msgspec.UNSET if reasoning.context is None else reasoning.context,
        mode=msgspec.UNSET if reasoning.mode is None else reasoning.mode,
    )
