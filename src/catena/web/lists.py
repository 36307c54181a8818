"""Lists in the API's shape, and pages of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from catena.pages import ItemPage, unknown_place
from catena.web.http import Query, Reply, json_reply
from catena.wire.items import listed_item

__all__ = ["ItemPaging", "item_page", "item_paging", "listing", "page_of"]


class ItemPaging(TypedDict):
    """Which page of a list of items is asked for."""

    limit: int
    after: str | None
    ascending: bool


def item_paging(query: Query) -> ItemPaging:
    """The page that a query asks for. Raises BadRequest."""
    limit = query.integer("limit", 20, least=1, most=100)
    order = query.choice("order", "desc", ("asc", "desc"))
    return ItemPaging(limit=limit, after=query.one("after"), ascending=order == "asc")


def item_page(page: ItemPage) -> Reply:
    """That page, as clients read it."""
    return json_reply(listing([listed_item(item) for item in page.items], has_more=page.has_more))


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
