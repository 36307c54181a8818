"""Files out of their lines: one line that names it, and a line for each piece."""

from __future__ import annotations

import hashlib

from catena.moving.leaving import House
from catena.moving.lines import FileLine, Line, PieceLine
from catena.store import StoredFile
from catena.store.files import new_blob, piece_count

__all__ = ["Unpacking"]


class Unpacking:
    """Takes the lines as they come, and stores a file once its last piece is there.

    A file whose pieces are not whole, as it was deleted while it was written down, is dropped.
    """

    def __init__(self, house: House, project: str | None) -> None:
        self._house = house
        self._project = project
        self._file: StoredFile | None = None
        self._pieces = 0
        self._hash = hashlib.sha256()

    async def take(self, line: Line) -> None:
        """One line, of whatever kind."""
        match line:
            case PieceLine():
                await self._add(line.content)
            case FileLine():
                await self._drop()
                await self._open(line)
            case _:
                await self._drop()

    async def _open(self, line: FileLine) -> None:
        project = self._project or line.project
        if await self._house.files.load(project, line.id, now=0) is not None:
            return  # it is there: its pieces are passed over
        self._file = StoredFile(
            project=project,
            id=line.id,
            filename=line.filename,
            purpose=line.purpose,
            created_at=line.created_at,
            expires_at=line.expires_at,
            size=line.size,
            digest=line.digest,
            blob=new_blob(line.created_at),
        )
        self._pieces, self._hash = 0, hashlib.sha256()
        await self._finish_if_whole()

    async def _add(self, content: bytes) -> None:
        if self._file is None:
            return
        await self._house.files.add_piece(self._file.blob, self._pieces, content)
        self._pieces += 1
        self._hash.update(content)
        await self._finish_if_whole()

    async def _finish_if_whole(self) -> None:
        if self._file is None or self._pieces < piece_count(self._file.size):
            return
        if self._hash.digest() == self._file.digest:
            await self._house.files.add(self._file)
            self._file = None
        else:
            await self._drop()

    async def _drop(self) -> None:
        if self._file is not None:
            await self._house.files.abandon(self._file.blob)
            self._file = None
