"""Conversations in PostgreSQL: names for the ends of chains, and who may move them.

That one is held is written in its own row, where it is looked at and changed in one step; whatever ends the run that
holds it lets go in the same transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from catena.errors import ConversationNotFound
from catena.store import Conversation, Page, Turn
from catena.store.cipher import Cipher
from catena.store.postgres.database import Database, Row, Session
from catena.store.postgres.removal import erase
from catena.store.postgres.rows import labels_of, sealed_labels, stored_labels, turns_in
from catena.store.postgres.statements import Q, ordered
from catena.store.postgres.turns import Turns
from catena.store.rows import id_of, key_of

__all__ = ["Conversations", "conversation_in", "conversation_values", "metadata_values"]

_decode_metadata: Final = msgspec.json.Decoder(dict[str, Any]).decode


class Conversations:
    """The verbs of a `Store` for conversations."""

    _database: Database
    _turns: Turns

    async def open_conversation(self, conversation: Conversation, first: Turn) -> None:
        begun = await self._turns.begun(first)
        values = conversation_values(first.project, conversation, self._database.cipher)

        async def job(session: Session) -> Row:
            (row,) = await session.fetch(Q["begin"], begun)
            if row["kept"]:
                await session.fetch(Q["add_conversation"], values)
            return row

        self._turns.check_begun(first, await self._database.transaction(job))

    async def extend_conversation(self, turn: Turn) -> None:
        await self._turns.begin(turn)

    async def load_conversation(self, project: str, conversation_id: str) -> Conversation | None:
        rows = await self._database.fetch(Q["conversation"], _place_of(project, conversation_id))
        return conversation_in(rows[0], self._database.cipher) if rows else None

    async def conversation_chain(
        self, project: str, conversation_id: str, *, most: int | None = None
    ) -> Sequence[Turn]:
        which = {**_place_of(project, conversation_id), "most": most}
        rows = await self._database.fetch(Q["conversation_chain"], which)
        if not rows:
            raise ConversationNotFound(conversation_id)
        return turns_in(project, rows, self._database.cipher)

    async def set_conversation_metadata(self, project: str, conversation_id: str, metadata: bytes) -> bool:
        place = _place_of(project, conversation_id)
        values = metadata_values(place, metadata, self._database.cipher)
        return bool(await self._database.fetch(Q["set_conversation_metadata"], {**place, **values}))

    async def drop_conversation(self, project: str, conversation_id: str) -> bool:
        place = _place_of(project, conversation_id)

        async def job(session: Session) -> bool:
            if not await session.fetch(Q["drop_conversation"], place):
                return False
            unseen = await session.fetch(Q["outside_all_contexts"], place)
            await erase(session, place["tree"], [row["id"] for row in unseen])
            return True

        return await self._database.transaction(job)

    async def list_conversations(
        self, project: str, page: Page, *, metadata: Mapping[str, str] | None = None
    ) -> tuple[Sequence[Conversation], bool]:
        which: dict[str, Any] = {"project": project, "after": None, "limit": page.limit + 1}
        if page.after is not None:
            found = await self._database.fetch(Q["conversation"], _place_of(project, page.after))
            if not found:
                raise ConversationNotFound(page.after)
            which["after"] = found[0]["number"]
        which["labels"] = labels_of(metadata)
        which["sealed_labels"] = sealed_labels(which["labels"], project, self._database.cipher)
        rows = await self._database.fetch(ordered("list_conversations", page), which)
        listed = [conversation_in(row, self._database.cipher) for row in rows[: page.limit]]
        return listed, len(rows) > page.limit


def _place_of(project: str, conversation_id: str) -> dict[str, Any]:
    """By what a conversation is looked up; there is none with a foreign id."""
    tree, rest = key_of(conversation_id) or (b"", b"")
    return {"tree": tree, "id": rest, "project": project}


def conversation_values(project: str, conversation: Conversation, cipher: Cipher) -> dict[str, Any]:
    """A conversation as the statements that store it take it."""
    _, tip = key_of(conversation.tip) or (b"", b"")
    place = _place_of(project, conversation.id)
    values = metadata_values(place, conversation.metadata, cipher)
    return {**place, **values, "created_at": conversation.created_at, "tip": tip}


def metadata_values(place: Mapping[str, Any], metadata: bytes, cipher: Cipher) -> dict[str, Any]:
    """The metadata of a conversation as the statements that store it take it."""
    labels = labels_of(_decode_metadata(metadata))
    return {
        "metadata": cipher.seal(metadata, "metadata", place["tree"], place["id"]),
        "labels": stored_labels(labels, place["project"], cipher),
    }


def conversation_in(row: Row, cipher: Cipher) -> Conversation:
    """The conversation in a row."""
    return Conversation(
        id=id_of(row["tree"], row["id"]),
        created_at=row["created_at"],
        metadata=cipher.open(row["metadata"], "metadata", row["tree"], row["id"]),
        tip=id_of(row["tree"], row["tip"]),
        busy=row["busy"],
    )
