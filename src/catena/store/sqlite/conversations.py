"""Conversations in SQLite: names for the ends of chains. Who may move them is in `holding`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import apsw
import msgspec

from catena.errors import ConversationNotFound
from catena.store import Conversation, Page, Turn
from catena.store.sqlite import holding
from catena.store.sqlite.database import Database
from catena.store.sqlite.holding import place_of
from catena.store.sqlite.removal import erase
from catena.store.sqlite.rows import chain_in
from catena.store.sqlite.statements import load_statements
from catena.store.sqlite.turns import NO_RUN, add_new, prepared

__all__ = ["Conversations", "name_end"]

_Q: Final = load_statements()
_BEYOND_ALL: Final = 2**62


class Conversations:
    """The verbs of a `Store` for conversations."""

    _database: Database

    async def open_conversation(self, conversation: Conversation, first: Turn) -> None:
        row = await prepared(self._database, first)

        def job(connection: apsw.Connection) -> None:
            number, project = add_new(self._database, connection, row, NO_RUN)
            name_end(connection, conversation, project, number)

        await self._database.write(job)

    async def extend_conversation(self, turn: Turn) -> None:
        row = await prepared(self._database, turn)

        def job(connection: apsw.Connection) -> None:
            number, project = add_new(self._database, connection, row, NO_RUN)
            holding.move(connection, turn, project, number)

        await self._database.write(job)

    async def load_conversation(self, project: str, conversation_id: str) -> Conversation | None:
        place = place_of(conversation_id, self._database.project(project))
        return self._database.read(lambda reader: holding.find(reader, place))

    async def conversation_chain(
        self, project: str, conversation_id: str, *, most: int | None = None
    ) -> Sequence[Turn]:
        place = place_of(conversation_id, self._database.project(project))
        which = {**place, "most": -1 if most is None else most}
        statement, cipher = _Q["conversation_chain"], self._database.cipher
        turns = await self._database.aside(lambda reader: chain_in(reader, project, statement, which, cipher))
        if not turns:
            raise ConversationNotFound(conversation_id)
        return turns

    async def set_conversation_metadata(self, project: str, conversation_id: str, metadata: bytes) -> bool:
        place = place_of(conversation_id, self._database.project(project))
        values = {**place, "metadata": metadata}
        return await self._database.write(
            lambda connection: bool(list(connection.execute(_Q["set_conversation_metadata"], values)))
        )

    async def drop_conversation(self, project: str, conversation_id: str) -> bool:
        place = place_of(conversation_id, self._database.project(project))
        return await self._database.wipe(lambda connection: _drop(connection, place))

    async def list_conversations(
        self, project: str, page: Page, *, metadata: Mapping[str, str] | None = None
    ) -> tuple[Sequence[Conversation], bool]:
        number = self._database.project(project)
        wanted = msgspec.json.encode(metadata or {})
        found = await self._database.aside(lambda reader: _listed(reader, number, page, wanted))
        return found[: page.limit], len(found) > page.limit


def name_end(connection: apsw.Connection, conversation: Conversation, project: int, tip: int) -> None:
    """Store a new conversation, which ends with the turn in row `tip`."""
    place = place_of(conversation.id, project)
    what = {"created_at": conversation.created_at, "metadata": conversation.metadata, "tip": tip}
    connection.execute(_Q["add_conversation"], {**place, **what})


def _drop(connection: apsw.Connection, place: Mapping[str, Any]) -> bool:
    """Forget the name of its chain, and what no response has seen; False if there is none."""
    if not list(connection.execute(_Q["drop_conversation"], place)):
        return False
    tree = {"tree": place["tree"], "project": place["project"]}
    for (number,) in list(connection.execute(_Q["outside_all_contexts"], tree)):
        erase(connection, number)
    return True


def _listed(connection: apsw.Connection, project: int, page: Page, wanted: bytes) -> list[Conversation]:
    """A page of those of a project, and one more if there is more."""
    after = 0 if page.ascending else _BEYOND_ALL
    if page.after is not None:
        found = holding.numbered(connection, place_of(page.after, project))
        if found is None:
            raise ConversationNotFound(page.after)
        after, _ = found
    order = {"beyond": ">", "direction": "ASC"} if page.ascending else {"beyond": "<", "direction": "DESC"}
    what = {"project": project, "after": after, "metadata": wanted.decode(), "limit": page.limit + 1}
    rows = connection.execute(_Q["list_conversations"].format(**order), what)
    return [holding.conversation_in(tree, rest, values) for tree, rest, *values in rows]
