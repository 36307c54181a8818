"""Which rows a list is made of: a walk along the numbers of rows, or along those in which words were found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import apsw
import msgspec

from catena.errors import NotFound
from catena.store.lineage import Wanted
from catena.store.paging import Page
from catena.store.rows import key_of, status_number
from catena.store.shorthand import expand
from catena.store.sqlite.search import Search
from catena.store.sqlite.statements import load_statements

__all__ = ["Place", "position", "trees", "walk"]

Place: TypeAlias = tuple[int, bytes]
"""The row of a turn, and its tree."""

_Q: Final = load_statements()
_BEYOND_ALL: Final = 2**62


def position(reader: apsw.Connection, project: int, turn_id: str | None) -> int | None:
    """The row of a turn. Raises NotFound if it is not there."""
    if turn_id is None:
        return None
    key = key_of(turn_id)
    if key is not None:
        for _, number in reader.execute(_Q["position"], {"tree": key[0], "id": key[1], "project": project}):
            return int(number)
    raise NotFound(f"There is no response '{turn_id}'.", param="after")


def walk(
    reader: apsw.Connection,
    project: int,
    wanted: Wanted,
    search: Search | None,
    *,
    after: int | None = None,
    ascending: bool = False,
) -> Iterator[Place]:
    """The turns that are wanted, from behind a row on."""
    conversation = key_of(wanted.conversation) if wanted.conversation is not None else None
    if wanted.conversation is not None and conversation is None:
        return
    inside = bool(wanted.metadata) or conversation is not None
    start = after if after is not None else 0 if ascending else _BEYOND_ALL
    which = {
        "project": project,
        "model": wanted.model,
        "status": status_number(wanted.status) if wanted.status is not None else None,
        "created_after": wanted.created_after,
        "created_before": wanted.created_before,
        "tree": conversation[0] if conversation is not None else None,
        "inside": inside,
        # To look for the bytes first spares nearly all rows a closer look.
        "pair": _encode(dict([next(iter(wanted.metadata.items()))]))[1:-1] if wanted.metadata else None,
    }
    order = {"beyond": ">", "direction": "ASC"} if ascending else {"beyond": "<", "direction": "DESC"}
    within = "AND t.tree = :tree" if conversation is not None else ""
    if search is not None and wanted.words:
        found = search.find(project, wanted.words, after=start, ascending=ascending)
        chunks: Iterator[str] = (msgspec.json.encode(numbers).decode() for numbers in found)
        within += " AND t.number IN (SELECT value FROM json_each(:found))"
    else:
        chunks = iter([""])
    statement = _Q["walk"].format(**order, within=within)
    for chunk in chunks:
        for number, tree, fields in reader.execute(statement, {**which, "after": start, "found": chunk}):
            if not inside or _is_inside(fields, wanted):
                yield number, tree


class _Inside(msgspec.Struct, frozen=True):
    """What lists look for in the fields of a turn."""

    metadata: Mapping[str, str] = {}
    conversation: Mapping[str, str] | None = None


_encode = msgspec.json.Encoder().encode
_decode_inside = msgspec.json.Decoder(_Inside).decode


def _is_inside(fields: bytes | None, wanted: Wanted) -> bool:
    inside = _decode_inside(expand(fields) if fields else b"{}")
    if wanted.conversation is not None and (inside.conversation or {}).get("id") != wanted.conversation:
        return False
    return wanted.metadata.items() <= inside.metadata.items()


def trees(places: Iterator[Place], page: Page) -> tuple[Sequence[Place], bool]:
    """For each tree the first place that a walk comes to: a page of these, and whether there are more.

    Raises NotFound if `page.after` is of none of the trees.
    """
    after: Any = key_of(page.after) if page.after is not None else None
    passed = page.after is None
    seen: set[bytes] = set()
    found: list[Place] = []
    for number, tree in places:
        if tree in seen:
            continue
        seen.add(tree)
        if passed:
            found.append((number, tree))
        elif after is not None and tree == after[0]:
            passed = True
        if len(found) > page.limit:
            break
    if not passed:
        raise NotFound(f"There is no tree '{page.after}' in this list.", param="after")
    return found[: page.limit], len(found) > page.limit
