"""Lines into a store. What is there already stays as it is, so an import that was cut is simply repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterable

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
    ended = False
    for number, text in enumerate(file, 1):
        line = _line(text, number)
        if (number == 1) != isinstance(line, Header):
            raise BadLine(f"Line {number}: expected the header in the first line, and only there.")
        ended = isinstance(line, End)
        await unpacking.take(line)
        await _put(house, line, number, project, arrived)
        arrived.bytes_read += len(text)
        told(arrived)
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
        case TreeLine():
            arrived.new_turns += await _put_tree(house, line.copy(project), number)
            arrived.trees += 1
            arrived.turns += len(line.turns)
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


async def _put_tree(house: House, copy: TreeCopy, number: int) -> int:
    try:
        return await house.put_tree(copy)
    except (AnotherProject, ValueError) as error:
        raise BadLine(f"Line {number}: {error}") from error
    except CatenaError as error:
        if error.http_status >= 500:
            raise
        raise BadLine(f"Line {number}: {error}") from error
