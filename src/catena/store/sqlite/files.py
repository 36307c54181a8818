"""Files in SQLite: what is known of each in one row, its contents in rows of pieces.

Which files share a blob is found by looking through those of one project, when one is added or removed: both are rare,
and an index would cost every database a page for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import apsw
import msgspec

from catena.store.cipher import Cipher
from catena.store.file_rows import digest_sought, file_columns, file_of, open_piece, seal_piece
from catena.store.files import StoredFile
from catena.store.paging import Page
from catena.store.sqlite.database import Database
from catena.store.sqlite.statements import load_statements

__all__ = ["SqliteFiles"]

_Q: Final = load_statements()

_BEYOND_ALL: Final = "\uffff"


class SqliteFiles:
    """See `Files`."""

    def __init__(self, database: Database) -> None:
        self._cipher = database.cipher
        self._database = database

    async def add_piece(self, blob: bytes, number: int, content: bytes) -> None:
        stored = seal_piece(content, blob, number, self._cipher)
        piece = {"blob": blob, "number": number, "content": stored}
        await self._database.write(lambda connection: list(connection.execute(_Q["add_file_piece"], piece)))

    async def abandon(self, blob: bytes) -> None:
        await self._database.wipe(
            lambda connection: list(connection.execute(_Q["drop_pieces"], {"blob": blob}))
        )

    async def add(self, file: StoredFile) -> StoredFile:
        return await self._database.write(lambda connection: _add(connection, file, self._cipher))

    async def load(self, project: str, file_id: str, *, now: int) -> StoredFile | None:
        place = {"project": project, "id": file_id, "now": now}
        return self._database.read(lambda connection: _found(connection, place, self._cipher))

    async def load_piece(self, file: StoredFile, number: int) -> bytes | None:
        piece = {"blob": file.blob, "number": number}

        def job(connection: apsw.Connection) -> bytes | None:
            for (stored,) in connection.execute(_Q["file_piece"], piece):
                return open_piece(stored, file.blob, number, self._cipher)
            return None

        return await self._database.aside(job)

    async def list(
        self, project: str, page: Page, *, now: int, purpose: str | None = None
    ) -> tuple[Sequence[StoredFile], bool]:
        order = (
            {"beyond": ">", "direction": "ASC"} if page.ascending else {"beyond": "<", "direction": "DESC"}
        )
        after = page.after or ("" if page.ascending else _BEYOND_ALL)
        what = {"project": project, "after": after, "purpose": purpose, "now": now, "limit": page.limit + 1}

        def job(connection: apsw.Connection) -> Sequence[StoredFile]:
            rows = connection.execute(_Q["list_files"].format(**order), what)
            return [_file(row, self._cipher) for row in rows]

        found = await self._database.aside(job)
        return found[: page.limit], len(found) > page.limit

    async def drop(self, project: str, file_id: str, *, now: int) -> bool:
        place = {"project": project, "id": file_id, "now": now}

        def job(connection: apsw.Connection) -> bool:
            return bool(list(connection.execute(_Q["file"], place))) and _drop(connection, project, file_id)

        return await self._database.wipe(job)

    async def expire(self, now: int, *, limit: int = 100) -> int:
        def job(connection: apsw.Connection) -> int:
            due = list(connection.execute(_Q["expired_files"], {"now": now, "limit": limit}))
            return sum(_drop(connection, project, file_id) for project, file_id in due)

        if not await self._database.aside(
            lambda reader: list(reader.execute(_Q["expired_files"], {"now": now, "limit": 1}))
        ):
            return 0  # the usual case, which need not hold up the writer
        return await self._database.wipe(job)

    async def drop_abandoned(self, before: int) -> int:
        which = {"before": before.to_bytes(5)}

        def job(connection: apsw.Connection) -> int:
            blobs = [blob for (blob,) in connection.execute(_Q["abandoned_blobs"], which)]
            for blob in blobs:
                connection.execute(_Q["drop_pieces"], {"blob": blob})
            return len(blobs)

        if not await self._database.aside(lambda reader: list(reader.execute(_Q["abandoned_blobs"], which))):
            return 0
        return await self._database.wipe(job)


def _add(connection: apsw.Connection, file: StoredFile, cipher: Cipher) -> StoredFile:
    same = {"project": file.project, "digest": digest_sought(file, cipher), "size": file.size}
    for (blob,) in list(connection.execute(_Q["blob_of"], same)):
        connection.execute(_Q["drop_pieces"], {"blob": file.blob})
        file = msgspec.structs.replace(file, blob=blob)
    connection.execute(_Q["add_file"], file_columns(file, cipher))
    return file


def _found(connection: apsw.Connection, place: dict[str, Any], cipher: Cipher) -> StoredFile | None:
    return next((_file(row, cipher) for row in connection.execute(_Q["file"], place)), None)


def _drop(connection: apsw.Connection, project: str, file_id: str) -> bool:
    dropped = list(connection.execute(_Q["drop_file"], {"project": project, "id": file_id}))
    for (blob,) in dropped:
        connection.execute(_Q["drop_unused_pieces"], {"project": project, "blob": blob})
    return bool(dropped)


def _file(row: Any, cipher: Cipher) -> StoredFile:
    return file_of(dict(zip(StoredFile.__struct_fields__, row, strict=True)), cipher)
