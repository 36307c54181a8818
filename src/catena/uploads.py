"""Files on their way in: cut into the store's pieces as they arrive, never whole in memory."""

from __future__ import annotations

import hashlib
import os
from typing import Final

from catena.errors import PayloadTooLarge
from catena.store import Files, StoredFile
from catena.store.files import PIECE, new_blob

__all__ = ["Upload", "file_too_large"]

_NAME_LENGTH: Final = 255


def file_too_large(max_bytes: int) -> PayloadTooLarge:
    """What is said of a file that has more bytes than it may."""
    return PayloadTooLarge(
        f"The file is larger than this server accepts: {max_bytes} bytes. Send less, or raise `files.max_bytes`.",
        param="file",
        code="file_too_large",
    )


class Upload:
    """One file. Either `finish` or `abandon` it."""

    def __init__(self, files: Files, *, now: float, max_bytes: int) -> None:
        self._files = files
        self._max_bytes = max_bytes
        self._blob = new_blob(int(now))
        self._digest = hashlib.sha256()
        self._rest = bytearray()
        self._size = 0
        self._pieces = 0

    async def write(self, data: bytes) -> None:
        """Add some of its contents. Raises PayloadTooLarge, or StoreUnavailable."""
        self._size += len(data)
        if self._size > self._max_bytes:
            raise file_too_large(self._max_bytes)
        self._rest += data
        while len(self._rest) >= PIECE:
            await self._keep(PIECE)

    async def finish(
        self, project: str, filename: str, purpose: str, *, now: float, expires_after: int | None = None
    ) -> StoredFile:
        """The file, stored: made `now`, for so many seconds. Raises StoreUnavailable."""
        if self._rest:
            await self._keep(len(self._rest))
        return await self._files.add(
            StoredFile(
                project=project,
                id=f"file-{int(now * 1000):012x}{os.urandom(10).hex()}",
                filename=filename[:_NAME_LENGTH],
                purpose=purpose,
                created_at=int(now),
                expires_at=None if expires_after is None else int(now) + expires_after,
                size=self._size,
                digest=self._digest.digest(),
                blob=self._blob,
            )
        )

    async def abandon(self) -> None:
        """Take back what was kept. Raises StoreUnavailable."""
        if self._pieces:
            await self._files.abandon(self._blob)

    async def _keep(self, length: int) -> None:
        piece = bytes(self._rest[:length])
        del self._rest[:length]
        self._digest.update(piece)
        await self._files.add_piece(self._blob, self._pieces, piece)
        self._pieces += 1
