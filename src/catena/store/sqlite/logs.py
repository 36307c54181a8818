"""What engines sent for runs under way: a file for each, beside the database.

Every piece of every stream is written down before anybody hears it, thousands a second, and thrown away a moment
later. A table, with a flush of the disk for each commit, is too dear for that; and it need not survive more than the
end of this process, which a file does from the moment that the system has the bytes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from catena.store import LeaseLost, Turn
from catena.store.cipher import CLEAR, Cipher

__all__ = ["RunLogs"]

_NUMBER: Final = 4
"""Bytes of the number of a batch, and of its length, which stand before it."""


class RunLogs:
    """The logs in `folder`, of the runs in `holds` and no others: what others have left is removed.

    `holds` are the project and the fence of each run: whose claim may write. All methods but `forget` may raise
    OSError, and `load` StoreUnavailable for what cannot be opened.
    """

    def __init__(self, folder: Path, holds: Mapping[str, tuple[str, int]], cipher: Cipher = CLEAR) -> None:
        self._folder = folder
        self._cipher = cipher
        self._holds = dict(holds)
        self._files: dict[str, int] = {}
        folder.mkdir(mode=0o700, exist_ok=True)
        for path in folder.iterdir():
            if path.name not in self._holds:
                path.unlink()

    def expect(self, turn: Turn) -> None:
        """The run of this turn goes on under its fence, and may be written for."""
        self._holds[turn.id] = (turn.project, turn.fence)

    def append(self, turn: Turn, batch: int, chunks: bytes) -> None:
        """Keep one batch; the first begins the log anew. Raises LeaseLost if the run has ended, or goes on under
        another fence."""
        if self._holds.get(turn.id) != (turn.project, turn.fence):
            raise LeaseLost(turn.id)
        file = self._files.get(turn.id)
        if file is None:
            flags = os.O_CREAT | os.O_APPEND | os.O_RDWR | os.O_CLOEXEC
            file = self._files[turn.id] = os.open(self._folder / turn.id, flags, 0o600)
        if batch == 0:
            os.ftruncate(file, 0)
        frame = self._frame(turn.id, batch, chunks)
        written = os.write(file, frame)
        if written != len(frame):  # the disk is full: nothing may come behind half a batch
            os.ftruncate(file, os.fstat(file).st_size - written)
            raise OSError("no room for a run's log")

    def _frame(self, turn_id: str, batch: int, chunks: bytes) -> bytes:
        number = batch.to_bytes(_NUMBER)
        stored = self._cipher.seal(chunks, "chunks", turn_id.encode(), number)
        return number + len(stored).to_bytes(_NUMBER) + stored

    def load(self, turn_id: str) -> list[bytes]:
        """The batches of one run, as far as they are whole, in the order of their numbers."""
        batches = self._batches(turn_id)
        return [batches[number] for number in sorted(batches)]

    def _batches(self, turn_id: str) -> dict[int, bytes]:
        try:
            left = (self._folder / turn_id).read_bytes()
        except FileNotFoundError:
            return {}
        batches: dict[int, bytes] = {}
        while left:
            number, length = int.from_bytes(left[:_NUMBER]), int.from_bytes(left[_NUMBER : 2 * _NUMBER])
            end = 2 * _NUMBER + length
            if not 2 * _NUMBER < end <= len(left):
                break  # cut off, or never written by a system that crashed itself
            batches[number] = self._cipher.open(
                left[2 * _NUMBER : end], "chunks", turn_id.encode(), number.to_bytes(_NUMBER)
            )
            left = left[end:]
        return batches

    def seal_again(self) -> None:
        """Write every log anew, as it would be written now. Nobody appends meanwhile."""
        for path in self._folder.iterdir():
            frames = b"".join(
                self._frame(path.name, number, chunks) for number, chunks in self._batches(path.name).items()
            )
            fresh = path.with_name(f"{path.name}.new")
            fresh.touch(mode=0o600)
            fresh.write_bytes(frames)
            fresh.replace(path)

    def forget(self, turn_ids: Iterable[str]) -> None:
        """These runs have ended."""
        for turn_id in turn_ids:
            if self._holds.pop(turn_id, None) is None:
                continue  # it was never under way here
            file = self._files.pop(turn_id, None)
            if file is not None:
                os.close(file)
            with contextlib.suppress(OSError):  # if it stays, the next start removes it
                (self._folder / turn_id).unlink()

    def close(self) -> None:
        """Give the files back; what is in them stays."""
        for file in self._files.values():
            os.close(file)
        self._files.clear()
