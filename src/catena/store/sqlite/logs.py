"""What engines sent for runs under way, in pages beside the database.

Every piece of every stream is written down before anybody hears it, thousands a second, and thrown away a moment
later. A table, with a flush of the disk for each commit, is too dear for that, and so is a file for each. It need not
survive more than the end of this process, which memory does that is a file's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from mmap import mmap
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

from catena.store import LeaseLost, Turn
from catena.store.cipher import CLEAR, Cipher
from catena.store.sqlite.mapped import ROOM, MappedPages, Page

__all__ = ["RunLogs"]

_HEAD: Final = Struct(">III")
"""What stands before a batch: its number, its length and its checksum."""

_PAGES: Final = "pages"


class _Frame(NamedTuple):
    number: int
    stored: bytes
    end: int
    """Where the next one begins."""


class RunLogs:
    """The logs in `folder`, of the runs in `holds` and no others: what others have left is removed.

    `holds` are the project and the fence of each run: whose claim may write. Opening and appending may raise OSError,
    and `load` StoreUnavailable for what cannot be opened.
    """

    def __init__(self, folder: Path, holds: Mapping[str, tuple[str, int]], cipher: Cipher = CLEAR) -> None:
        self._cipher = cipher
        self._holds = dict(holds)
        folder.mkdir(mode=0o700, exist_ok=True)
        for path in folder.iterdir():
            if path.name != _PAGES:
                path.unlink()
        self._pages = MappedPages(folder / _PAGES)
        self._logs: dict[str, _Log] = {}
        for turn_id, pages in self._pages.owned().items():
            if turn_id in self._holds:
                self._logs[turn_id] = _Log(turn_id, self._pages, pages)
            else:
                self._pages.give_back(pages)

    def expect(self, turn: Turn) -> None:
        """The run of this turn goes on under its fence, and may be written for."""
        self._holds[turn.id] = (turn.project, turn.fence)

    def append(self, turn: Turn, batch: int, chunks: bytes) -> None:
        """Keep one batch; the first begins the log anew. Raises LeaseLost if the run has ended, or goes on under
        another fence."""
        if self._holds.get(turn.id) != (turn.project, turn.fence):
            raise LeaseLost(turn.id)
        log = self._logs.get(turn.id)
        if log is None or batch == 0:
            log = self._begin(turn.id)
        log.write(self._frame(turn.id, batch, chunks))

    def _begin(self, turn_id: str) -> _Log:
        log = self._logs.pop(turn_id, None)
        if log is not None:
            log.clear()
        log = self._logs[turn_id] = _Log(turn_id, self._pages)
        return log

    def _frame(self, turn_id: str, batch: int, chunks: bytes) -> bytes:
        stored = self._cipher.seal(chunks, "chunks", turn_id.encode(), batch.to_bytes(4))
        return _HEAD.pack(batch, len(stored), crc32(stored)) + stored

    def load(self, turn_id: str) -> list[bytes]:
        """The batches of one run, as far as they are whole, in the order of their numbers."""
        batches = self._batches(turn_id)
        return [batches[number] for number in sorted(batches)]

    def _batches(self, turn_id: str) -> dict[int, bytes]:
        log = self._logs.get(turn_id)
        if log is None:
            return {}
        return {
            number: self._cipher.open(stored, "chunks", turn_id.encode(), number.to_bytes(4))
            for number, stored, _ in _frames_in(log.content())
        }

    def seal_again(self) -> None:
        """Write every log anew, as it would be written now. Nobody appends meanwhile."""
        for turn_id, log in self._logs.items():
            batches = self._batches(turn_id)
            log.clear()
            for number, chunks in batches.items():
                log.write(self._frame(turn_id, number, chunks))

    def forget(self, turn_ids: Iterable[str]) -> None:
        """These runs have ended."""
        for turn_id in turn_ids:
            if self._holds.pop(turn_id, None) is None:
                continue  # it was never under way here
            log = self._logs.pop(turn_id, None)
            if log is not None:
                log.clear()

    def close(self) -> None:
        """Give the file back; what is in it stays."""
        self._logs.clear()
        self._pages.close()


class _Log:
    """The frames of one run, one behind the other, across the pages that it has taken."""

    __slots__ = ("_at", "_end", "_memory", "_owner", "_source", "_taken")

    def __init__(self, owner: str, source: MappedPages, taken: Sequence[Page] = ()) -> None:
        self._owner = owner
        self._source = source
        self._taken = list(taken)
        self._memory: mmap | None = None
        self._at = self._end = 0
        if taken:
            self._go_on()

    def _go_on(self) -> None:
        """Behind the last frame that is whole; what a crash has left there goes."""
        length = max((end for _, _, end in _frames_in(self.content())), default=0)
        last = min(length // ROOM, len(self._taken) - 1)
        self._source.give_back(self._taken[last + 1 :])
        del self._taken[last + 1 :]
        self._write_in(self._taken[last], length - last * ROOM)
        if self._memory is not None:
            self._memory[self._at : self._end] = bytes(self._end - self._at)

    def _write_in(self, page: Page, used: int) -> None:
        self._memory, self._at, self._end = page.memory, page.start + used, page.start + ROOM

    def write(self, frame: bytes) -> None:
        """Add a frame. Raises OSError where there is no room; then nothing was added."""
        end = self._at + len(frame)
        if self._memory is None or end > self._end:
            self._spread(frame)
        else:
            self._memory[self._at : end] = frame
            self._at = end

    def _spread(self, frame: bytes) -> None:
        """Add what needs more pages."""
        room = self._end - self._at
        pages = self._source.take(self._owner, len(self._taken), -((room - len(frame)) // ROOM))
        self._taken += pages
        if self._memory is not None:
            self._memory[self._at : self._end] = frame[:room]
        for start, page in zip(range(room, len(frame), ROOM), pages, strict=True):
            piece = frame[start : start + ROOM]
            page.memory[page.start : page.start + len(piece)] = piece
            self._write_in(page, len(piece))

    def content(self) -> bytes:
        return b"".join([page.content() for page in self._taken])

    def clear(self) -> None:
        """Give everything back."""
        self._source.give_back(self._taken)
        self._taken.clear()
        self._memory, self._at, self._end = None, 0, 0


def _frames_in(content: bytes) -> Iterator[_Frame]:
    """The frames up to the first that is not whole, which is where a log ends."""
    at = 0
    while at + _HEAD.size < len(content):
        number, length, checksum = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        stored = content[at : at + length]
        if not stored or len(stored) < length or crc32(stored) != checksum:
            return
        at += length
        yield _Frame(number, stored, at)
