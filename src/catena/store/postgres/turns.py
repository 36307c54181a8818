"""Turns in PostgreSQL: begun and finished, each by one statement with all that belongs to it."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from catena.errors import ConversationLocked, ConversationNotFound, PreviousResponseNotFound
from catena.store import LeaseLost, Turn
from catena.store.cipher import Cipher
from catena.store.postgres.database import Database, Row
from catena.store.postgres.rows import values_of
from catena.store.postgres.statements import Q
from catena.store.postgres.writer import Writer
from catena.store.rows import Prepared, key_of, prepare

__all__ = ["AT_REST", "Turns"]

_MOST_ON_THE_LOOP: Final = 256 * 1024
"""Bytes of a turn that are looked through without a thread. More would hold everybody else up."""

AT_REST: Final = {"owner": None, "lease": None, "request": None, "conversation": None}
"""What `begin` is given beside a turn that is no run, and in no conversation."""


class Turns:
    """Writes turns, in groups; with their words if they are `searched`."""

    def __init__(self, database: Database, writer: Writer, *, searched: bool) -> None:
        self.searched = searched
        self._database = database
        self._writer = writer

    async def begin(self, turn: Turn, *, owner: str = "", lease: float = 0.0, request: bytes = b"") -> None:
        """See `Store.begin`; a turn that is no run moves its conversation at once."""
        run = {"owner": owner or None, "lease": lease if owner else None}
        sealed = self._database.cipher.seal(request, "request", *(key_of(turn.id) or ())) if request else None
        row = await self._writer.write(Q["begin"], {**await self.begun(turn), **run, "request": sealed})
        if not row["kept"] and row["above"] and turn.conversation is not None:
            await self._check_conversation(turn, turn.conversation)
        self.check_begun(turn, row)

    async def begun(self, turn: Turn) -> dict[str, Any]:
        """What the statement `begin` is given for a turn that nobody runs."""
        conversation = key_of(turn.conversation) if turn.conversation is not None else None
        if turn.conversation is not None and (conversation is None or conversation[0].hex() != turn.tree):
            raise ConversationNotFound(turn.conversation)
        cipher = self._database.cipher
        values = values_of(await _prepared(turn, cipher), cipher)
        return {**values, **AT_REST, "conversation": conversation[1] if conversation is not None else None}

    def check_begun(self, turn: Turn, row: Row) -> None:
        """Raise what is to be said where a turn was not kept."""
        if not row["above"]:
            raise PreviousResponseNotFound(turn.parent or "")
        if not row["kept"]:
            raise _taken(turn)

    async def _check_conversation(self, turn: Turn, conversation_id: str) -> None:
        tree, rest = key_of(conversation_id) or (b"", b"")
        place = {"tree": tree, "id": rest, "project": turn.project}
        found = await self._database.fetch(Q["conversation"], place)
        if not found:
            raise ConversationNotFound(conversation_id)
        key = key_of(turn.id)
        if key is None or not await self._database.fetch(Q["state"], {"tree": tree, "id": key[1]}):
            raise ConversationLocked

    async def finish(self, turn: Turn, *, notify_at: float | None) -> None:
        """See `Store.finish`."""
        end = {"notify_at": notify_at, "event_type": f"response.{turn.status}"}
        cipher = self._database.cipher
        values = {
            **values_of(await _prepared(turn, cipher), cipher),
            **end,
            "searched": self.is_searched(turn),
        }
        row = await self._writer.write(Q["finish"], values)
        if row["kept"]:
            return
        if not row["above"]:
            raise PreviousResponseNotFound(turn.parent or "")
        await self._check_over(turn, values)

    def is_searched(self, turn: Turn) -> bool:
        """Whether the words of a turn are to be taken once it is stored as it is."""
        return self.searched and turn.door != "conversation" and not turn.deleted

    async def _check_over(self, turn: Turn, values: dict[str, Any]) -> None:
        """That a turn which was not kept has ended, or was deleted: then all is well."""
        rows = await self._database.fetch(Q["state"], values)
        if not rows or rows[0]["project"] != turn.project:
            raise _taken(turn)
        if rows[0]["fence"] != turn.fence:
            raise LeaseLost(turn.id)


async def _prepared(turn: Turn, cipher: Cipher) -> Prepared:
    if len(turn.input) + len(turn.output) + len(turn.fields) <= _MOST_ON_THE_LOOP:
        return prepare(turn, cipher)
    return await asyncio.to_thread(prepare, turn, cipher)


def _taken(turn: Turn) -> ValueError:
    return ValueError(f"There is a turn {turn.id} already.")
