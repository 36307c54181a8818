"""Whole trees out of PostgreSQL and into it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from catena.errors import PreviousResponseNotFound
from catena.store import Conversation
from catena.store.moving import AnotherProject, TreeCopy, TreeName, Which
from catena.store.postgres.conversations import conversation_in, conversation_values
from catena.store.postgres.database import Database, Session
from catena.store.postgres.removal import erase
from catena.store.postgres.rows import turns_in, values_of
from catena.store.postgres.statements import Q
from catena.store.postgres.turns import AT_REST, Turns
from catena.store.rows import id_of, prepare

__all__ = ["Moving"]


class Moving:
    """See `Movable`."""

    _database: Database
    _turns: Turns

    async def projects(self) -> Sequence[str]:
        found = await self._database.patient().fetch(Q["project_names"], {})
        return [row["project"] for row in found]

    async def trees(
        self, which: Which, *, after: TreeName | None = None, limit: int = 1000
    ) -> Sequence[TreeName]:
        only = which.tree
        if only is not None:
            before = TreeName(only, "")
            after = max(before, after) if after is not None else before
        span = {
            "tree": bytes.fromhex(after.tree) if after is not None else b"",
            "after_project": after.project if after is not None else "",
            "until_tree": bytes.fromhex(only) if only is not None else None,
            "project": which.project,
            "since": which.since,
            "before_time": which.until,
            "limit": limit,
        }
        return [
            TreeName(row["tree"].hex(), row["project"])
            for row in await self._database.patient().fetch(Q["trees"], span)
        ]

    async def copy_tree(self, name: TreeName) -> TreeCopy:
        place = {"tree": bytes.fromhex(name.tree), "project": name.project}

        async def read(session: Session) -> TreeCopy:
            turns = turns_in(name.project, await session.fetch(Q["copy_turns"], place), session.cipher)
            rows = await session.fetch(Q["conversations_of_tree"], place)
            named = [conversation_in(row, session.cipher) for row in rows]
            return TreeCopy(name=name, turns=turns, conversations=named)

        return await self._database.snapshot(read)

    async def put_tree(self, copy: TreeCopy) -> int:
        cipher = self._database.cipher
        prepared = await asyncio.to_thread(lambda: [prepare(turn, cipher) for turn in copy.turns])
        turns = [
            {**values_of(each, cipher), **AT_REST, "searched": self._turns.is_searched(each.turn)}
            for each in prepared
        ]
        gone = [each["id"] for each, turn in zip(turns, copy.turns, strict=True) if turn.deleted]

        async def job(session: Session) -> int:
            added = [values["id"] for values in turns if await _add(session, values)]
            if turns:
                await erase(session, turns[0]["tree"], [each for each in gone if each in set(added)])
            for conversation in copy.conversations:
                await _name(session, copy.name.project, conversation)
            return len(added)

        return await self._database.transaction(job)


async def _add(session: Session, values: dict[str, Any]) -> bool:
    """Store a turn; False if it is there already."""
    (row,) = await session.fetch(Q["begin"], values)
    if not row["above"]:
        raise PreviousResponseNotFound(id_of(values["tree"], values["parent"]))
    if not row["kept"]:
        (there,) = await session.fetch(Q["state"], values)
        if there["project"] != values["project"]:
            raise AnotherProject(values["subject"])
    return bool(row["kept"])


async def _name(session: Session, project: str, conversation: Conversation) -> None:
    await session.fetch(Q["name_end"], conversation_values(project, conversation, session.cipher))
