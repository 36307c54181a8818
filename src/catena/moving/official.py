"""Responses that the official API stores, as trees: so that a client can change over in the middle of a chain.

A response is fetched with its own input and with all that comes before it, up to the root. The API lists the input of
a response together with what came before; what its ancestors have is taken out again, so that each turn is stored once.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias, get_args

import msgspec

from catena.ids import tree_of
from catena.store import Status, Turn
from catena.store.moving import TreeCopy, TreeName
from catena.wire.response import Item, StoredFields

__all__ = ["Fetch", "NotTaken", "take"]

Fetch: TypeAlias = Callable[[str], Awaitable[dict[str, Any] | None]]
"""Gets a path below the API's base, with its query; None where the API answers that there is no such thing."""

_ID: Final = re.compile(r"resp_[0-9a-f]{50}")
_PAGE: Final = 100
_ENDED: Final = {"completed", "incomplete", "failed", "cancelled"}
_FIELDS: Final = {field.name: field for field in msgspec.structs.fields(StoredFields)}
_NULLABLE: Final = {name for name, field in _FIELDS.items() if type(None) in get_args(field.type)}


class NotTaken(Exception):
    """A response cannot be taken over as it is; the message names it and says why."""


async def take(
    fetch: Fetch, ids: Sequence[str], project: str, *, told: Callable[[str], object] = lambda _: None
) -> list[TreeCopy]:
    """The responses with these ids and all their ancestors, by trees. `told` hears of each that was fetched.

    Raises NotTaken, and what `fetch` raises.
    """
    fetched: dict[str, Mapping[str, Any]] = {}
    turns: dict[str, Turn] = {}
    known: dict[str, frozenset[str]] = {}  # by response, the ids of the items in its context
    for wanted in ids:
        for response_id in await _unknown_line(fetch, wanted, fetched, told):
            response = fetched[response_id]
            parent = response.get("previous_response_id")
            before = known[parent] if parent else frozenset()
            listed = await _input_of(fetch, response_id)
            own = [item for item in listed if item["id"] not in before]
            turns[response_id] = _turn(project, response, own)
            known[response_id] = before.union(item["id"] for item in [*own, *response["output"]])
    return _by_tree(turns.values())


async def _unknown_line(
    fetch: Fetch, wanted: str, fetched: dict[str, Mapping[str, Any]], told: Callable[[str], object]
) -> list[str]:
    """Fetch a response and those before it that were not fetched yet. Returns their ids, the oldest first."""
    line: list[str] = []
    below, next_id = "", wanted
    while next_id and next_id not in fetched:
        response = await fetch(f"/responses/{_checked(next_id)}?include[]=reasoning.encrypted_content")
        if response is None:
            raise NotTaken(_gone(next_id, below))
        if response.get("status") not in _ENDED:
            raise NotTaken(f"{next_id} has not ended yet; its status is {response.get('status')}.")
        fetched[next_id] = response
        line.append(next_id)
        told(next_id)
        below, next_id = next_id, str(response.get("previous_response_id") or "")
        if next_id and tree_of(next_id) != tree_of(below):
            raise NotTaken(f"{below} continues {next_id}, whose id is of another tree.")
    return line[::-1]


def _checked(response_id: str) -> str:
    if not _ID.fullmatch(response_id) or tree_of(response_id) is None:
        raise NotTaken(
            f"{response_id!r} cannot be kept as an id here: expected resp_ and 50 hexadecimal digits, the layout of "
            "all ids since October 2025."
        )
    return response_id


def _gone(missing: str, below: str) -> str:
    if not below:
        return f"The API has no response {missing}, or the key may not read it."
    return (
        f"{below} continues {missing}, which the API does not have any more. Its history would not be whole, so it "
        "was not taken."
    )


async def _input_of(fetch: Fetch, response_id: str) -> list[Item]:
    items: list[Item] = []
    after = ""
    while True:
        page = await fetch(f"/responses/{response_id}/input_items?order=asc&limit={_PAGE}{after}")
        if page is None:
            raise NotTaken(f"The API has no input items of {response_id}.")
        items += page["data"]
        if not page.get("has_more") or not page["data"]:
            return items
        after = f"&after={page['data'][-1]['id']}"


def _turn(project: str, response: Mapping[str, Any], own: Sequence[Item]) -> Turn:
    response_id = str(response["id"])
    output = list(response["output"])
    status: Status = response["status"]
    return Turn(
        project=project,
        id=response_id,
        tree=response_id[-50:-34],
        parent=response.get("previous_response_id"),
        status=status,
        model=str(response["model"]),
        created_at=int(response["created_at"]),
        input=msgspec.json.encode(own),
        output=msgspec.json.encode(output),
        fields=msgspec.json.encode(_fields(response)),
        foreign_ids=[item["id"] for item in [*own, *output] if item["id"][-50:-4] != response_id[-50:-4]],
    )


def _fields(response: Mapping[str, Any]) -> StoredFields:
    """The response's other fields. A conversation does not come along; its items do, as the input of the turn."""
    given = {
        name: response[name]
        for name in _FIELDS.keys() & response.keys() - {"conversation"}
        if response[name] is not None or name in _NULLABLE
    }
    try:
        return msgspec.convert(given, StoredFields)
    except msgspec.ValidationError as error:
        raise NotTaken(f"{response['id']} is not as expected: {error}") from error


def _by_tree(turns: Iterable[Turn]) -> list[TreeCopy]:
    trees: dict[str, list[Turn]] = {}
    for turn in turns:
        trees.setdefault(turn.tree, []).append(turn)
    return [TreeCopy(name=TreeName(tree, of[0].project), turns=of) for tree, of in trees.items()]
