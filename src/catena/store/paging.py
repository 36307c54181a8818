"""Which part of a list is asked for; the same for all lists of a store."""

from __future__ import annotations

import msgspec

__all__ = ["Page"]


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a list is asked for."""

    limit: int = 20
    after: str | None = None
    ascending: bool = True
