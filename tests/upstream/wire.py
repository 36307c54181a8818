"""A socket that is not there: what is written to it is kept, and what arrives is fed by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

__all__ = ["Wire"]


class Wire(asyncio.Transport):
    """The socket's side of a connection."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False
        self.reading = True
        self.writes: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def writelines(self, pieces: Iterable[bytes | bytearray | memoryview]) -> None:
        self.writes.extend(map(bytes, pieces))

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True
