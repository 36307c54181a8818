"""A store's contents as lines. Trees come in the order of their keys, so that the last one tells how to go on."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import IO, Final, Protocol

import msgspec

from catena.moving.lines import (
    VERSION,
    DocumentLine,
    End,
    FileLine,
    Header,
    PieceLine,
    ProjectLine,
    TreeLine,
    decode_line,
    encode_line,
)
from catena.store import Page, Store
from catena.store.documents import SERVER
from catena.store.files import StoredFile, piece_count
from catena.store.moving import Movable, TreeCopy, TreeName, Which

__all__ = ["House", "Left", "last_place", "leave"]

_BATCH: Final = 500
"""Names of trees that are asked for at a time."""

_FILE: Final = re.compile(rb'"(file-[0-9a-f]{32})"')


class _Owned(msgspec.Struct):
    project: str | None = None


_decode_owner: Final = msgspec.json.Decoder(_Owned).decode


class House(Store, Movable, Protocol):
    """What is moved out of or into."""


class Left(msgspec.Struct):
    """What has been written so far, whether by this run or by the one that was cut."""

    trees: int = 0
    turns: int = 0
    after: TreeName | None = None


async def leave(
    house: House,
    file: IO[bytes],
    which: Which,
    *,
    now: int,
    left: Left | None = None,
    told: Callable[[Left], object] = lambda left: None,
) -> Left:
    """Write what `which` means to `file`, and an end. `left` says what stands there already.

    `told` hears of the progress after each tree. Raises StoreUnavailable, and OSError of the file.
    """
    if left is None or left.after is None:
        left = Left()
        await _write_head(house, file, which, now)
    written: set[str] = set()
    while names := await house.trees(which, after=left.after, limit=_BATCH):
        for name in names:
            copy = await house.copy_tree(name)
            if not which.whole_projects:
                await _write_files_of(house, file, copy, now, written)
            if copy.turns:
                file.write(encode_line(TreeLine.of(copy)))
            left.trees += bool(copy.turns)
            left.turns += len(copy.turns)
            left.after = name
            told(left)
    file.write(encode_line(End(trees=left.trees, turns=left.turns)))
    return left


async def _write_head(house: House, file: IO[bytes], which: Which, now: int) -> None:
    """What comes before the trees. Keys go with whole projects, not with single trees."""
    file.write(encode_line(Header(version=VERSION, created_at=now)))
    for name in await house.projects():
        if which.project in (None, name):
            file.write(encode_line(ProjectLine(name=name, endpoints=await house.endpoints(name))))
            if which.whole_projects:
                await _write_files(house, file, name, now)
    if which.whole_projects:
        for kind in ("project", "key"):
            await _write_documents(house, file, kind, which.project)


async def _write_documents(house: House, file: IO[bytes], kind: str, project: str | None) -> None:
    after: str | None = None
    while True:
        found, more = await house.documents.list(kind, SERVER, Page(limit=_BATCH, after=after))
        for each in found:
            if project in (None, each.id, _decode_owner(each.body).project):
                line = DocumentLine(
                    kind=kind, id=each.id, created_at=each.created_at, body=msgspec.Raw(each.body)
                )
                file.write(encode_line(line))
        if not more:
            return
        after = found[-1].id


async def _write_files(house: House, file: IO[bytes], project: str, now: int) -> None:
    after: str | None = None
    while True:
        found, more = await house.files.list(project, Page(limit=_BATCH, after=after), now=now)
        for each in found:
            await _write_file(house, file, each)
        if not more:
            return
        after = found[-1].id


async def _write_files_of(house: House, file: IO[bytes], copy: TreeCopy, now: int, written: set[str]) -> None:
    """Write the files that the turns of a tree name, those of one project, but for what is `written` or gone."""
    named = {
        each
        for turn in copy.turns
        for column in (turn.input, turn.output, turn.fields)
        for each in _FILE.findall(column)
    }
    for file_id in sorted({each.decode() for each in named} - written):
        stored = await house.files.load(copy.name.project, file_id, now=now)
        if stored is not None:
            await _write_file(house, file, stored)
            written.add(file_id)


async def _write_file(house: House, file: IO[bytes], stored: StoredFile) -> None:
    named = {name: getattr(stored, name) for name in FileLine.__struct_fields__}
    file.write(encode_line(FileLine(**named)))
    for number in range(piece_count(stored.size)):
        content = await house.files.load_piece(stored, number)
        if content is None:  # it was deleted meanwhile; what arrives is dropped as its size is not right
            return
        file.write(encode_line(PieceLine(content=content)))


def last_place(file: IO[bytes]) -> Left | None:
    """Where an export that was cut is to be continued; the file then ends there.

    None if it has its end, so that there is nothing to continue. Raises ValueError if it is no export.
    """
    left, whole, read = Left(), 0, 0
    file.seek(0)
    for number, text in enumerate(file):
        try:
            line = decode_line(text) if text.endswith(b"\n") else None
        except msgspec.MsgspecError:
            line = None
        if number == 0 and not isinstance(line, Header):
            raise ValueError("The file is no export of Catena.")
        if isinstance(line, End):
            return None
        if line is None:
            break
        read += len(text)
        if isinstance(line, TreeLine):
            whole = read  # files that come behind are of the next tree, and written again with it
            left.trees += 1
            left.turns += len(line.turns)
            left.after = TreeName(line.tree, line.project)
    file.seek(whole)  # a head that may not be whole is written again
    file.truncate()
    return left
