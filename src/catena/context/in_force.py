"""What configuration updates along a chain have set, for engines that are told it with each request.

The API: an update holds for the responses after it until a later one replaces it. What a request sets itself goes
before what its chain has set.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from catena.wire.request import CreateRequest
from catena.wire.response import Item
from catena.wire.settings import Reasoning, Text, TextFormat

__all__ = ["NOTHING_SET", "Configuration", "configured", "in_force"]


class Configuration(msgspec.Struct, frozen=True):
    """What holds at a point of a chain; None where nothing was set. `format` is the API's own object."""

    effort: str | None = None
    format: dict[str, Any] | None = None


NOTHING_SET: Final = Configuration()


def configured(before: Configuration, items: Sequence[Item]) -> Configuration:
    """What holds after these items."""
    for item in items:
        if item.get("type") != "configuration_update":
            continue
        reasoning, text = item.get("reasoning") or {}, item.get("text") or {}
        before = Configuration(
            effort=reasoning.get("effort", before.effort),
            format=text.get("format") or before.format,
        )
    return before


def in_force(request: CreateRequest, configuration: Configuration) -> CreateRequest:
    """The request with what its context has set, where it does not set that itself."""
    if configuration is NOTHING_SET:
        return request
    reasoning, text = request.reasoning or Reasoning(), request.text or Text()
    changes: dict[str, Any] = {}
    if configuration.effort is not None and reasoning.effort is None:
        changes["reasoning"] = msgspec.convert(
            {**msgspec.to_builtins(reasoning), "effort": configuration.effort}, Reasoning
        )
    if configuration.format is not None and text.format is None:
        changes["text"] = replace(text, format=msgspec.convert(configuration.format, TextFormat))
    return replace(request, **changes) if changes else request
