"""What can be wrong with settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

__all__ = ["ConfigError", "Place", "Problem", "spoken"]

Place: TypeAlias = tuple[str | int, ...]
"""Where a setting stands: `("server", "port")`, or with a position in a list of tables."""


class ConfigError(Exception):
    """The settings cannot be used as they are; the message names the key, where it was set and what was expected."""


class Problem(NamedTuple):
    """One thing that is wrong, and where it stands."""

    place: Place
    text: str


def spoken(place: Sequence[str | int]) -> str:
    """A place as a person writes it: `upstreams.local.url`, `models."gpt-4.1".upstream`."""
    return ".".join(f'"{part}"' if isinstance(part, str) and "." in part else str(part) for part in place)
