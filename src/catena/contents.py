"""What attachments name, found: files that were uploaded, and what is fetched from elsewhere and then remembered."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from catena.context.attach import CannotAttach, Found
from catena.fetching import Fetcher, FetchFailed
from catena.store import Files, StoredFile
from catena.store.files import piece_count

__all__ = ["Contents"]

_REMEMBERED: Final = 64 * 1024 * 1024
"""Bytes of what was fetched that are kept for the next turns of its chain."""


class Contents:
    """Whole contents, of at most so many bytes. Without a `fetcher` nothing is fetched."""

    def __init__(self, files: Files, fetcher: Fetcher | None, *, clock: Callable[[], float]) -> None:
        self._files = files
        self._fetcher = fetcher
        self._clock = clock
        self._fetched: OrderedDict[str, Found] = OrderedDict()

    async def load(self, project: str, file_id: str, most: int) -> Found | None:
        """The contents of a file; None if there is none.

        Raises CannotAttach if they have more than `most` bytes, or StoreUnavailable.
        """
        file = await self._files.load(project, file_id, now=int(self._clock()))
        if file is None:
            return None
        if file.size > most:
            raise _too_much()
        content = await self._content(file)
        return None if content is None else Found(content, file.filename)

    async def _content(self, file: StoredFile) -> bytes | None:
        pieces: list[bytes] = []
        for number in range(piece_count(file.size)):
            piece = await self._files.load_piece(file, number)
            if piece is None:  # it was deleted meanwhile
                return None
            pieces.append(piece)
        return b"".join(pieces)

    async def fetch(self, url: str, most: int) -> Found:
        """What is at a URL now. Raises CannotAttach."""
        if self._fetcher is None:
            raise CannotAttach("This server fetches nothing.", code="unsupported_value")
        try:
            fetched = await self._fetcher.fetch(url)
        except FetchFailed as error:
            raise CannotAttach(f"It could not be fetched: {error}") from error
        if len(fetched.content) > most:
            raise _too_much()
        found = Found(fetched.content, fetched.filename or "file")
        self._remember(url, found)
        return found

    def remembered(self, url: str) -> Found | None:
        """What was at a URL when it was fetched last, if that is known."""
        return self._fetched.get(url)

    def _remember(self, url: str, found: Found) -> None:
        self._fetched[url] = found
        self._fetched.move_to_end(url)
        size = sum(len(each.content) for each in self._fetched.values())
        while size > _REMEMBERED and len(self._fetched) > 1:
            _, oldest = self._fetched.popitem(last=False)
            size -= len(oldest.content)


def _too_much() -> CannotAttach:
    return CannotAttach(
        "The files in this context have too many bytes in all. Attach less, or raise `files.prompt_bytes`.",
        code="files_too_large",
    )
