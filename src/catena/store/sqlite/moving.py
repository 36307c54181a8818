"""Whole trees out of SQLite and into it. Everything here is a read, or a part of a transaction of the writer's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import apsw

from catena.store import Conversation
from catena.store.moving import AnotherProject, TreeName, Which
from catena.store.rows import Prepared, id_of, key_of
from catena.store.sqlite import conversations
from catena.store.sqlite.statements import load_statements

__all__ = ["Add", "conversations_of", "put", "put_conversations", "trees"]

Add: TypeAlias = Callable[[Prepared], int | None]
"""Stores a turn in a new row and tells its number; None if the turn is there already."""

_Q: Final = load_statements()


def trees(connection: apsw.Connection, which: Which, after: TreeName | None, limit: int) -> list[TreeName]:
    """The names of trees, in their order."""
    if which.tree is not None:
        # Only this one can come: the place right before it, and no more than one.
        before = TreeName(which.tree, "")
        after, limit = max(before, after) if after is not None else before, 1
    place = {"tree": bytes.fromhex(after.tree) if after else b"", "name": after.project if after else ""}
    span = {"project": which.project, "since": which.since, "until": which.until, "limit": limit}
    rows = connection.execute(_Q["trees"], {**place, **span})
    names = [TreeName(tree.hex(), name) for tree, name in rows]
    return [name for name in names if which.tree in (None, name.tree)]


def conversations_of(connection: apsw.Connection, tree: bytes, project: int) -> list[Conversation]:
    """The conversations that end in a tree."""
    rows = connection.execute(_Q["conversations_of_tree"], {"tree": tree, "project": project})
    return [
        Conversation(id=id_of(tree, rest), created_at=created_at, metadata=metadata, tip=id_of(tree, tip))
        for rest, created_at, metadata, tip, _ in rows
    ]


def put(connection: apsw.Connection, project: int, turns: Sequence[Prepared], add: Add) -> int:
    """Store the turns that are not there. Returns how many these were."""
    added = 0
    for prepared in turns:
        number = add(prepared)
        if number is None:
            if _find(connection, prepared.turn.id, project) is None:
                raise AnotherProject(prepared.turn.id)
            continue
        added += 1
        if prepared.turn.deleted:
            connection.execute(_Q["erase"], {"number": number})
    return added


def put_conversations(connection: apsw.Connection, project: int, named: Sequence[Conversation]) -> None:
    """Name the ends of chains that have no name yet."""
    for conversation in named:
        if conversations.find(connection, conversations.place_of(conversation.id, project)) is None:
            tip = _find(connection, conversation.tip, project)
            if tip is not None:
                conversations.add(connection, conversation, project, tip)


def _find(connection: apsw.Connection, turn_id: str, project: int) -> int | None:
    key = key_of(turn_id)
    which: dict[str, Any] = {"tree": key[0], "id": key[1], "project": project} if key else {}
    for (number,) in connection.execute(_Q["find"], which) if key else ():
        return int(number)
    return None
