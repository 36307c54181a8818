"""Items on their way in: references are replaced by what they mean, and each gets the id under which it is stored."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from catena.errors import NotFound
from catena.ids import TurnIds, item_prefix
from catena.store import Store
from catena.wire.response import Item

__all__ = ["dereferenced", "foreign_ids", "identified"]


async def dereferenced(store: Store, project: str, items: Sequence[Item]) -> Sequence[Item]:
    """`items` with the stored item in place of each reference. Raises NotFound for one that is not there."""
    if not any(item.get("type") == "item_reference" for item in items):
        return items
    return [
        await _referenced(store, project, item["id"]) if item.get("type") == "item_reference" else item
        for item in items
    ]


async def _referenced(store: Store, project: str, item_id: str) -> Item:
    found = await store.load_item(project, item_id)
    if found is None:
        raise NotFound(
            f"Item with id '{item_id}' not found. Items are not persisted when `store` is set to false. Try "
            "again with `store` set to true, or remove this item from your input.",
            param="input",
        )
    item: Item = msgspec.json.decode(found)
    return item


def identified(item: Item, ids: TurnIds) -> Item:
    """The item as it is stored: with an id, and with the status that an item of a client's has."""
    if item.get("id"):
        return item
    kind = str(item.get("type", "message"))
    whole = {"id": ids.item(item_prefix(kind)), **item}
    if kind == "message":
        whole.setdefault("status", "completed")
    return whole


def foreign_ids(items: Sequence[Item], ids: TurnIds) -> list[str]:
    """The ids of those of the items that were not made by `ids`, so that they do not tell their turn."""
    return [item["id"] for item in items if item["id"][-50:-4] != ids.stem]
