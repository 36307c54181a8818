"""The verbs for files: what clients upload, kept in pieces, once for each project and content.

Pieces are written one by one, each in a transaction of its own, so that a large file holds nobody up; a file is there
from `add` on. Pieces that no file came to claim are dropped with `drop_abandoned`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from catena.store.paging import Page

__all__ = ["PIECE", "Files", "StoredFile", "new_blob", "piece_count"]

PIECE: Final = 256 * 1024
"""Bytes of every piece of a file but the last."""


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file without its contents, of `size` bytes, whose SHA-256 is `digest`. Times are unix seconds.

    Ids sort by the time at which they were made. `blob` is what the pieces are kept under; files of the same contents
    share it.
    """

    project: str
    id: str
    filename: str
    purpose: str
    created_at: int
    expires_at: int | None = None
    size: int
    digest: bytes
    blob: bytes


def new_blob(now: int) -> bytes:
    """A name for contents that are about to be written; it tells when that was."""
    return now.to_bytes(5) + os.urandom(11)


def piece_count(size: int) -> int:
    """How many pieces a file of `size` bytes has."""
    return -(-size // PIECE)


class Files(Protocol):
    """What a store does with files. All methods raise StoreUnavailable, as those of a `Store`.

    No method shows a file of another project. `now` is unix seconds: a file that has expired by then is not there.
    """

    async def add_piece(self, blob: bytes, number: int, content: bytes) -> None:
        """Keep a piece of contents; they are numbered from 0."""
        ...

    async def abandon(self, blob: bytes) -> None:
        """Remove the pieces of contents that no file is going to claim."""
        ...

    async def add(self, file: StoredFile) -> StoredFile:
        """Store a file whose pieces have been written.

        Where the project has another file of the same contents, the new pieces go. Returns the file as it is stored,
        which then has the blob of the other.
        """
        ...

    async def load(self, project: str, file_id: str, *, now: int) -> StoredFile | None:
        """A file; None if there is none."""
        ...

    async def load_piece(self, file: StoredFile, number: int) -> bytes | None:
        """A piece of its contents; None if they were removed, or have no such piece."""
        ...

    async def list(
        self, project: str, page: Page, *, now: int, purpose: str | None = None
    ) -> tuple[Sequence[StoredFile], bool]:
        """The files in the order in which they were made, and whether there are more after them.

        `page.after` is a place in that order: the file of this id need not be there any more.
        """
        ...

    async def drop(self, project: str, file_id: str, *, now: int) -> bool:
        """Remove a file, and its contents unless another file has the same, at once and for good.

        False if there is none.
        """
        ...

    async def expire(self, now: int, *, limit: int = 100) -> int:
        """Remove files, of all projects, that have expired by `now`, at most `limit`. Returns how many."""
        ...

    async def drop_abandoned(self, before: int) -> int:
        """Remove contents that were begun before `before` and are no file's. Returns how many blobs."""
        ...
