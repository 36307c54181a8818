"""Lines into a store. What is there already stays as it is, so an import that was cut is simply repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from catena.errors import CatenaError
from catena.moving.leaving import House
from catena.moving.lines import (
    VERSION,
    DocumentLine,
    End,
    Header,
    Line,
    ProjectLine,
    TreeLine,
    decode_line,
)
from catena.moving.unpacking import Unpacking
from catena.store import Document
from catena.store.moving import AnotherProject, TreeCopy

__all__ = ["Arrived", "BadLine", "arrive"]

_AT_ONCE: Final = 8
"""Trees that are stored together: each waits for the disk, and they may wait for it as one. Any database has as many
connections."""

_LARGE: Final = 4 * 1024 * 1024
"""Bytes of lines that are held for that, at most, beside the last one."""


class BadLine(Exception):
    """The file is no whole export, or does not fit into this store; the message names the line."""


class Arrived(msgspec.Struct):
    """What has been read so far, and how much of it was new."""

    trees: int = 0
    turns: int = 0
    new_turns: int = 0
    bytes_read: int = 0


async def arrive(
    house: House,
    file: Iterable[bytes],
    *,
    project: str | None = None,
    told: Callable[[Arrived], object] = lambda arrived: None,
) -> Arrived:
    """Store what stands in the lines, for `project` or for the projects that it was of.

    Raises BadLine; what stood before that line is stored. Raises StoreUnavailable.
    """
    arrived = Arrived()
    unpacking = Unpacking(house, project)
    trees = _Trees(house, project, arrived)
    ended = False
    try:
        for number, text in enumerate(file, 1):
            line = _line(text, number)
            if (number == 1) != isinstance(line, Header):
                raise BadLine(f"Line {number}: expected the header in the first line, and only there.")
            ended = isinstance(line, End)
            await unpacking.take(line)
            if isinstance(line, TreeLine):
                await trees.take(line, number, len(text))
            else:
                await trees.put()
                await _put(house, line, number, project, arrived)
            arrived.bytes_read += len(text)
            told(arrived)
    finally:
        await trees.put()
    if not ended:
        raise BadLine(
            "The export has no end: it was cut. What was in it is stored; export again for the rest."
        )
    return arrived


def _line(text: bytes, number: int) -> Line:
    try:
        return decode_line(text)
    except msgspec.MsgspecError as error:
        hint = "Is this an export?" if number == 1 else "What stood before it is stored. Was the export cut?"
        raise BadLine(f"Line {number}: it cannot be read ({error}). {hint}") from error


async def _put(house: House, line: Line, number: int, project: str | None, arrived: Arrived) -> None:
    match line:
        case Header():
            if line.version > VERSION:
                raise BadLine(
                    f"The export has version {line.version}, and this Catena knows {VERSION}. Use a newer one."
                )
        case DocumentLine() if project is None:
            document = Document(kind=line.kind, id=line.id, created_at=line.created_at, body=bytes(line.body))
            await house.documents.add(document)
        case ProjectLine():
            await _put_project(house, line, project)
        case End():
            if (line.trees, line.turns) != (arrived.trees, arrived.turns):
                raise BadLine(
                    f"Line {number}: expected {line.trees} trees with {line.turns} turns before it, and there were "
                    f"{arrived.trees} with {arrived.turns}."
                )


async def _put_project(house: House, line: ProjectLine, project: str | None) -> None:
    name = project or line.name
    known = {endpoint.id for endpoint in await house.endpoints(name)}
    for endpoint in reversed(line.endpoints):  # the newest is told first
        if endpoint.id not in known:
            await house.add_endpoint(name, endpoint)


class _Trees:
    """Trees that are stored some at once."""

    def __init__(self, house: House, project: str | None, arrived: Arrived) -> None:
        self._house = house
        self._project = project
        self._arrived = arrived
        self._held: list[tuple[TreeLine, int]] = []
        self._size = 0

    async def take(self, line: TreeLine, number: int, size: int) -> None:
        """Have it stored, now or with those that come. Raises what `put` raises."""
        self._held.append((line, number))
        self._size += size
        if len(self._held) >= _AT_ONCE or self._size >= _LARGE:
            await self.put()

    async def put(self) -> None:
        """Store those that are held. Raises BadLine for the first that cannot be, or StoreUnavailable; the others are
        stored."""
        held, self._held, self._size = self._held, [], 0
        putting = [_put_tree(self._house, line.copy(self._project), number) for line, number in held]
        outcomes = await asyncio.gather(*putting, return_exceptions=True)
        for (line, _), outcome in zip(held, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                raise outcome
            self._arrived.new_turns += outcome
            self._arrived.trees += 1
            self._arrived.turns += len(line.turns)


async def _put_tree(house: House, copy: TreeCopy, number: int) -> int:
    try:
        return await house.put_tree(copy)
    except (AnotherProject, ValueError) as error:
        raise BadLine(f"Line {number}: {error}") from error
    except CatenaError as error:
        if error.http_status >= 500:
            raise
        raise BadLine(f"Line {number}: {error}") from error
