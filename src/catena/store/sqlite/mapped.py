"""Pages of a file that is mapped into memory: what is written there is the system's at once, without asking it.

For what must survive the process, but not the machine, and is written in small pieces, thousands a second: a piece
costs a copy of its bytes. Each page says whose it is, and the how manieth of theirs; one that was given back is zeros.
The file doubles when it is full, up to a step, and the room on the disk is taken before it is mapped: no room is an
error then, and nothing that strikes in the middle of a copy. It shrinks when no page is in use.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import count, takewhile
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["ROOM", "MappedPages", "Page"]

_SIZE: Final = 4096
_HEAD: Final = 128
"""Bytes before those that are to be used: the number, the length of the owner's name, and the name in ASCII."""

ROOM: Final = _SIZE - _HEAD
"""Bytes of a page that are its owner's."""

_LEAST: Final = 256 * _SIZE
"""Bytes that the file has, once a page was taken."""

_STEP: Final = 16 * 1024 * 1024
"""Bytes by which it grows at most, as everybody waits while it does."""

_EMPTY: Final = bytes(_SIZE)


class Page(NamedTuple):
    """What is the owner's begins at `start` in `memory`, and has `ROOM` bytes."""

    memory: mmap.mmap
    start: int

    def content(self) -> bytes:
        return self.memory[self.start : self.start + ROOM]


class MappedPages:
    """The pages in the file at `path`, which is this process's alone. Opening it may raise OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._maps: list[mmap.mmap] = []
        self._free: list[Page] = []
        self._used = 0
        self._file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._file).st_size // _LEAST * _LEAST
        if self._size:
            self._maps.append(mmap.mmap(self._file, self._size))

    def owned(self) -> Mapping[str, Sequence[Page]]:
        """The pages of each owner in their order, of a file that was just opened. All others are free."""
        found: defaultdict[str, dict[int, Page]] = defaultdict(dict)
        free: list[Page] = []
        for memory in self._maps:
            for at in range(0, len(memory), _SIZE):
                page = Page(memory, at + _HEAD)
                length = memory[at + 4]
                if length:
                    owner = memory[at + 5 : at + 5 + length].decode("ascii", "replace")
                    found[owner][int.from_bytes(memory[at : at + 4])] = page
                else:
                    free.append(page)
        whole: dict[str, Sequence[Page]] = {}
        for owner, pages in found.items():
            whole[owner] = [pages.pop(number) for number in takewhile(pages.__contains__, count())]
            free += pages.values()  # a crash has left nothing before them
        self._used = self._size // _SIZE
        self.give_back(free)
        return whole

    def take(self, owner: str, first: int, wanted: int) -> Sequence[Page]:
        """`wanted` pages for an owner who has `first` already: all or none. Raises OSError where there is no room."""
        while len(self._free) < wanted:
            self._grow()
        pages = [self._free.pop() for _ in range(wanted)]
        self._used += wanted
        for number, page in enumerate(pages, first):
            name = owner.encode("ascii")
            head = number.to_bytes(4) + bytes((len(name),)) + name
            at = page.start - _HEAD
            page.memory[at : at + len(head)] = head
        return pages

    def give_back(self, pages: Sequence[Page]) -> None:
        """What was in these is gone, and they are free: the last first, so that a crash leaves what comes before."""
        for page in reversed(pages):
            at = page.start - _HEAD
            page.memory[at : at + _SIZE] = _EMPTY
            self._free.append(page)
            self._used -= 1
        if not self._used and self._size > _LEAST:
            self._shrink()

    def _grow(self) -> None:
        more = min(self._size or _LEAST, _STEP)
        try:
            if os.pwrite(self._file, bytes(more), self._size) != more:
                raise OSError("no room for more pages")
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise
        memory = mmap.mmap(self._file, more, offset=self._size)
        self._size += more
        self._maps.append(memory)
        self._free += [Page(memory, at + _HEAD) for at in range(0, more, _SIZE)]

    def _shrink(self) -> None:
        self._unmap()
        self._size = 0
        with contextlib.suppress(OSError):  # then it is longer than it need be
            os.ftruncate(self._file, 0)

    def _unmap(self) -> None:
        for memory in self._maps:
            memory.close()
        self._maps.clear()
        self._free.clear()

    def close(self) -> None:
        """Give the file back; what is in it stays."""
        if self._file < 0:
            return
        self._unmap()
        os.close(self._file)
        self._file = -1
        if not self._used:
            self._path.unlink(missing_ok=True)
