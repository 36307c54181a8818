"""Lists in the API's shape, and pages of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from catena.pages import unknown_place

__all__ = ["listing", "page_of"]


def listing(page: Sequence[Any], *, has_more: bool) -> dict[str, Any]:
    """One page of a list of objects with ids."""
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": has_more,
    }


def page_of(whole: Sequence[Any], *, limit: int, after: str | None) -> dict[str, Any]:
    """One page of a list that is whole in memory. Raises BadRequest for an `after` that is not in it."""
    start = 0
    if after is not None:
        place = next((place for place, each in enumerate(whole) if each["id"] == after), None)
        if place is None:
            raise unknown_place(after)
        start = place + 1
    return listing(whole[start : start + limit], has_more=start + limit < len(whole))
