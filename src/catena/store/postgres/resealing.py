"""Everything that PostgreSQL has, sealed with the newest key while servers go on: some rows at a time, which are held
until they are done."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from catena.errors import StoreUnavailable
from catena.store.cipher import Cipher, Sealing
from catena.store.documents import SERVER
from catena.store.file_rows import open_piece, seal_piece
from catena.store.postgres.conversations import metadata_values
from catena.store.postgres.database import Database, Row, Session
from catena.store.postgres.documents import PostgresDocuments
from catena.store.postgres.files import file_in, file_values
from catena.store.postgres.leases import chunks_in, request_in
from catena.store.postgres.outbox import endpoint_in, endpoint_values
from catena.store.postgres.removal import drop_payloads
from catena.store.postgres.rows import placed, turn_in, values_of
from catena.store.postgres.statements import Q
from catena.store.rows import prepare
from catena.store.unlocking import RECORD_ID, RECORD_KIND, record_document, settled, unlock

__all__ = ["PostgresResealing", "unlocked"]

_STEP: Final = 64
"""Rows in one transaction."""

Place: TypeAlias = Mapping[str, Any]
"""Up to which row of a kind everything was looked at, as the statement takes it."""
Seal: TypeAlias = Callable[[Session, Row], Awaitable[Place]]
"""Seals what is in a row; the row's place."""


async def unlocked(database: Database, key_file: Path | None) -> Cipher:
    """The cipher that the contents are stored with; see `unlock` for what it raises. Of several servers that are the
    first at the same moment one decides."""
    documents = PostgresDocuments(database)
    known = await documents.get(RECORD_KIND, SERVER, RECORD_ID)
    cipher, record = unlock(known.body if known is not None else None, key_file)
    if known is None and record is not None:
        if await documents.add(record_document(record, int(time.time()))):
            return cipher
        return await unlocked(database, key_file)
    if known is not None and record != known.body:
        await documents.change(RECORD_KIND, SERVER, RECORD_ID, lambda body: unlock(body, key_file)[1] or body)
    return cipher


class PostgresResealing:
    """See `Resealing`."""

    def __init__(self, database: Database, cipher: Sealing) -> None:
        self._database = database
        self._cipher = cipher
        self._head = {"head": cipher.ring.head, "limit": _STEP}
        self._left: list[tuple[str, Seal, Place]] = [
            ("unsealed_turns", self._turn, {"tree": b"", "id": b""}),
            ("unsealed_payloads", self._payload, {"tree": b"", "hash": b""}),
            ("unsealed_logs", self._log, {}),
            ("unsealed_conversations", self._conversation, {}),
            ("unsealed_endpoints", self._endpoint, {}),
            ("unsealed_keys", self._key, {}),
            ("unsealed_files", self._file, {}),
            ("unsealed_pieces", self._piece, {"blob": b"", "piece": 0}),
        ]

    async def pending(self) -> int:
        ((count,),) = await self._database.patient().fetch(Q["count_unsealed"], self._head)
        return int(count)

    async def step(self) -> int:
        while self._left:
            name, seal, place = self._left[0]
            done, place = await self._database.patient().transaction(
                lambda session, name=name, seal=seal, place=place: self._some(session, name, seal, place)  # type: ignore[misc]  # bound early
            )
            if done:
                self._left[0] = (name, seal, place)
                return int(done)
            del self._left[0]
        return 0

    async def _some(self, session: Session, name: str, seal: Seal, place: Place) -> tuple[int, Place]:
        rows = await session.fetch(Q[name], {**self._head, **place})
        for row in rows:
            place = await seal(session, row)
        return len(rows), place

    async def settle(self) -> int:
        left = await self.pending()
        if not left:
            changed = await PostgresDocuments(self._database).change(
                RECORD_KIND, SERVER, RECORD_ID, lambda body: settled(body, self._cipher)
            )
            if changed is None:
                raise StoreUnavailable("The database has no note of its keys any more.")
        return left

    async def _turn(self, session: Session, row: Row) -> Place:
        turn = turn_in(row["project"], row, self._cipher)
        place = {"tree": row["tree"], "id": row["id"]}
        values = values_of(prepare(turn, self._cipher), self._cipher)
        request = request_in(row, row["tree"], row["id"], self._cipher) or None
        if request is not None:
            request = self._cipher.seal(request, "request", row["tree"], row["id"])
        await session.fetch(Q["reseal_turn"], {**values, **place, "request": request})
        kept = placed(values["payloads"], ("input", "output", "fields"))
        await drop_payloads(session, row["tree"], [row["id"]], but=sorted(kept))
        return place

    async def _payload(self, session: Session, row: Row) -> Place:
        place = {"tree": row["tree"], "hash": row["hash"]}
        content = self._cipher.open(row["content"], "content", *place.values())
        again = self._cipher.seal(content, "content", *place.values())
        await session.fetch(Q["reseal_payload"], {**place, "content": again})
        return place

    async def _log(self, session: Session, row: Row) -> Place:
        chunks = chunks_in(row, row["batch"], row["chunks"], self._cipher)
        again = self._cipher.seal(chunks, "chunks", row["tree"], row["id"], row["batch"].to_bytes(4))
        await session.fetch(Q["reseal_log"], {**row, "chunks": again})
        return {}

    async def _conversation(self, session: Session, row: Row) -> Place:
        metadata = self._cipher.open(row["metadata"], "metadata", row["tree"], row["id"])
        values = metadata_values(row, metadata, self._cipher)
        await session.fetch(Q["reseal_conversation"], {**row, **values})
        return {}

    async def _endpoint(self, session: Session, row: Row) -> Place:
        endpoint = endpoint_in(row, self._cipher)
        await session.fetch(Q["reseal_endpoint"], endpoint_values(row["project"], endpoint, self._cipher))
        return {}

    async def _key(self, session: Session, row: Row) -> Place:
        body = self._cipher.open(row["body"], "body", row["name"])
        again = {"body": self._cipher.seal(body, "body", row["name"]), "time": row["day"]}
        await session.fetch(Q["reseal_key"], {**row, **again})
        return {}

    async def _file(self, session: Session, row: Row) -> Place:
        await session.fetch(Q["reseal_file"], file_values(file_in(row, self._cipher), self._cipher))
        return {}

    async def _piece(self, session: Session, row: Row) -> Place:
        place = {"blob": row["blob"], "piece": row["number"]}
        content = open_piece(row["content"], row["blob"], row["number"], self._cipher)
        again = seal_piece(content, row["blob"], row["number"], self._cipher)
        await session.fetch(Q["reseal_piece"], {**place, "content": again})
        return place
