"""Whole trees out of SQLite and into it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import apsw

from catena.store import Conversation
from catena.store.moving import AnotherProject, TreeCopy, TreeName, Which
from catena.store.rows import Prepared, id_of, key_of, prepare
from catena.store.sqlite import holding
from catena.store.sqlite.conversations import name_end
from catena.store.sqlite.database import Database
from catena.store.sqlite.indexing import Indexer
from catena.store.sqlite.rows import turns_in
from catena.store.sqlite.statements import load_statements
from catena.store.sqlite.turns import NO_RUN, add

__all__ = ["Moving"]

_Q: Final = load_statements()


class Moving:
    """See `Movable`."""

    _database: Database
    _indexer: Indexer | None

    async def projects(self) -> Sequence[str]:
        return await self._database.aside(
            lambda reader: [name for (name,) in reader.execute(_Q["project_names"])]
        )

    async def trees(
        self, which: Which, *, after: TreeName | None = None, limit: int = 1000
    ) -> Sequence[TreeName]:
        return await self._database.aside(lambda reader: _trees(reader, which, after, limit))

    async def copy_tree(self, name: TreeName) -> TreeCopy:
        tree, number = bytes.fromhex(name.tree), self._database.project(name.project)
        which = {"tree": tree, "project": number}

        def read(reader: apsw.Connection) -> TreeCopy:
            with reader:  # one snapshot
                turns = turns_in(reader, name.project, _Q["copy_turns"], which, self._database.cipher)
                named = _conversations_of(reader, tree, number)
            return TreeCopy(name=name, turns=turns, conversations=named)

        return await self._database.aside(read)

    async def put_tree(self, copy: TreeCopy) -> int:
        cipher = self._database.cipher
        rows = await self._database.in_thread(lambda: [prepare(turn, cipher) for turn in copy.turns])

        def job(connection: apsw.Connection) -> int:
            project = self._database.project_to_write(connection, copy.name.project)
            added = _put(connection, project, rows)
            _put_conversations(connection, project, copy.conversations)
            return added

        added = await self._database.write(job)
        if self._indexer is not None:
            self._indexer.wake()
        return added


def _trees(connection: apsw.Connection, which: Which, after: TreeName | None, limit: int) -> list[TreeName]:
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


def _conversations_of(connection: apsw.Connection, tree: bytes, project: int) -> list[Conversation]:
    """The conversations that end in a tree."""
    rows = connection.execute(_Q["conversations_of_tree"], {"tree": tree, "project": project})
    return [
        Conversation(id=id_of(tree, rest), created_at=created_at, metadata=metadata, tip=id_of(tree, tip))
        for rest, created_at, metadata, tip, _ in rows
    ]


def _put(connection: apsw.Connection, project: int, rows: Sequence[Prepared]) -> int:
    """Store the turns that are not there. Returns how many these were."""
    added = 0
    for row in rows:
        number = add(connection, row, project, NO_RUN)
        if number is None:
            if _find(connection, row.turn.id, project) is None:
                raise AnotherProject(row.turn.id)
            continue
        added += 1
        if row.turn.deleted:
            connection.execute(_Q["erase"], {"number": number})
    return added


def _put_conversations(connection: apsw.Connection, project: int, named: Sequence[Conversation]) -> None:
    """Name the ends of chains that have no name yet."""
    for conversation in named:
        if holding.find(connection, holding.place_of(conversation.id, project)) is None:
            tip = _find(connection, conversation.tip, project)
            if tip is not None:
                name_end(connection, conversation, project, tip)


def _find(connection: apsw.Connection, turn_id: str, project: int) -> int | None:
    key = key_of(turn_id)
    which: dict[str, Any] = {"tree": key[0], "id": key[1], "project": project} if key else {}
    for (number,) in connection.execute(_Q["find"], which) if key else ():
        return int(number)
    return None
