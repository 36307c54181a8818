"""Files in PostgreSQL: what is known of each in one row, its contents in rows of pieces.

Which files share a blob is found by looking through those of one project, which are held meanwhile: who adds one of the
same contents, or removes another, comes before or after.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from catena.store.cipher import Cipher
from catena.store.file_rows import digest_sought, file_columns, file_of, open_piece, seal_piece
from catena.store.files import StoredFile
from catena.store.paging import Page
from catena.store.postgres.database import Database, Row, Session
from catena.store.postgres.statements import Q, ordered

__all__ = ["PostgresFiles", "file_in", "file_values"]

_TEXTS: Final = ("id", "filename", "purpose")


class PostgresFiles:
    """See `Files`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_piece(self, blob: bytes, number: int, content: bytes) -> None:
        stored = seal_piece(content, blob, number, self._database.cipher)
        piece = {"blob": blob, "piece": number, "content": stored}
        await self._database.fetch(Q["add_file_piece"], piece)

    async def abandon(self, blob: bytes) -> None:
        await self._database.fetch(Q["drop_pieces"], {"blob": blob})

    async def add(self, file: StoredFile) -> StoredFile:
        async def job(session: Session) -> StoredFile:
            stored = file
            same = {"project": file.project, "digest": digest_sought(file, session.cipher), "size": file.size}
            for row in await session.fetch(Q["blob_of"], same):
                await session.fetch(Q["drop_pieces"], {"blob": file.blob})
                stored = replace(file, blob=row["blob"])
            await session.fetch(Q["add_file"], file_values(stored, session.cipher))
            return stored

        return await self._database.transaction(job)

    async def load(self, project: str, file_id: str, *, now: int) -> StoredFile | None:
        rows = await self._database.fetch(Q["file"], _place(project, file_id, now))
        return file_in(rows[0], self._database.cipher) if rows else None

    async def load_piece(self, file: StoredFile, number: int) -> bytes | None:
        rows = await self._database.fetch(Q["file_piece"], {"blob": file.blob, "piece": number})
        return open_piece(rows[0]["content"], file.blob, number, self._database.cipher) if rows else None

    async def list(
        self, project: str, page: Page, *, now: int, purpose: str | None = None
    ) -> tuple[Sequence[StoredFile], bool]:
        which = {
            "project": project,
            "id": page.after.encode() if page.after is not None else None,
            "purpose": purpose.encode() if purpose is not None else None,
            "time": now,
            "limit": page.limit + 1,
        }
        rows = await self._database.fetch(ordered("list_files", page), which)
        found = [file_in(row, self._database.cipher) for row in rows[: page.limit]]
        return found, len(rows) > page.limit

    async def drop(self, project: str, file_id: str, *, now: int) -> bool:
        place = _place(project, file_id, now)
        return await self._database.transaction(partial(_drop, place=place))

    async def expire(self, now: int, *, limit: int = 100) -> int:
        due = await self._database.fetch(Q["expired_files"], {"time": now, "limit": limit})
        gone = 0
        for row in due:
            # The beginning of all times: then it had not expired.
            place = {"project": row["project"], "id": row["id"], "time": 0}
            gone += await self._database.transaction(partial(_drop, place=place))
        return gone

    async def drop_abandoned(self, before: int) -> int:
        which = {"begun_before": before.to_bytes(5)}
        ((count,),) = await self._database.fetch(Q["drop_abandoned"], which)
        return int(count)


async def _drop(session: Session, place: dict[str, Any]) -> bool:
    if not await session.fetch(Q["lock_files"], place):
        return False
    dropped = await session.fetch(Q["drop_file"], place)
    for row in dropped:
        await session.fetch(Q["drop_unused_pieces"], {**place, "blob": row["blob"]})
    return bool(dropped)


def _place(project: str, file_id: str, now: int) -> dict[str, Any]:
    return {"project": project, "id": file_id.encode(), "time": now}


def file_values(file: StoredFile, cipher: Cipher) -> dict[str, Any]:
    """A file as the statements that store it take it."""
    columns = file_columns(file, cipher)
    texts = {name: columns[name].encode() for name in _TEXTS if isinstance(columns[name], str)}
    return {**columns, **texts}


def file_in(row: Row, cipher: Cipher) -> StoredFile:
    """The file in a row. Raises StoreUnavailable if it cannot be opened."""
    return file_of({**row, "id": row["id"].decode(), "purpose": row["purpose"].decode()}, cipher)
