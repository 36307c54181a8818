"""Secrets among the settings, which are never shown."""

from __future__ import annotations

import re
from typing import Any, Final

from catena.config.problems import Place

__all__ = ["MASK", "is_secret", "masked"]

MASK: Final = "********"

_SECRET: Final = re.compile(r"(.*_)?(key|secret|password|token)")
_PASSWORD: Final = re.compile(r"(?<=://)([^/@:\s]*):[^/@\s]*(?=@)")


def is_secret(place: Place) -> bool:
    """Whether the value at `place` is one that nobody should see."""
    return any(isinstance(part, str) and _SECRET.fullmatch(part) is not None for part in place[1:])


def masked(place: Place, value: Any) -> Any:
    """A value as it may be shown."""
    if value and is_secret(place):
        return MASK
    if isinstance(value, str):
        return _PASSWORD.sub(rf"\1:{MASK}", value)
    if isinstance(value, list):
        return [masked(place, each) for each in value]
    return value
