"""Trees and lists, read from SQLite without the contents of turns.

A tree's outline, three numbers for each turn, is read whole: depths and children follow from it. Lists walk the
rows in the order in which they were stored, from the newest or the oldest on, until a page is full; there is no index
for them, which every turn would have to pay for in bytes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import apsw
import msgspec
from msgspec.structs import replace

from catena.store.lineage import EDGE, Ends, NoSearch, Part, Shape, Sketch, TreeSketch, Wanted
from catena.store.outline import Outline
from catena.store.paging import Page
from catena.store.rows import door_of, id_of, key_of, status_of
from catena.store.shorthand import expand
from catena.store.sqlite.database import Database
from catena.store.sqlite.search import Search
from catena.store.sqlite.statements import load_statements
from catena.store.sqlite.walk import position, trees, walk
from catena.wire.words import excerpt, words_of

__all__ = ["SqliteLineage"]

_Q: Final = load_statements()

_STEPS: Final = 16


class SqliteLineage:
    """See `Lineage`. Without `search` it finds no words; there is never one where contents are sealed."""

    def __init__(self, database: Database, search: Search | None) -> None:
        self._database = database
        self._search = search

    async def part(
        self, project: str, turn_id: str, part: Part, page: Page
    ) -> tuple[Shape, Sequence[Sketch], bool] | None:
        key = key_of(turn_id)
        number = self._database.project(project)
        if key is None:
            return None

        def read(reader: apsw.Connection) -> tuple[Shape, Sequence[Sketch], bool] | None:
            with _snapshot(reader):
                outline = _outline(reader, key[0], number)
                turn = outline.number_of(key[1])
                if turn is None:
                    return None
                chosen, has_more = outline.page(outline.part(turn, part), page)
                return outline.shape, _sketches(reader, chosen, {key[0]: outline}), has_more

        return await self._database.scan(read)

    async def list_turns(self, project: str, page: Page, wanted: Wanted) -> tuple[Sequence[Sketch], bool]:
        number = self._database.project(project)

        def read(reader: apsw.Connection) -> tuple[Sequence[Sketch], bool]:
            self._catch_up(reader, wanted)
            with _snapshot(reader):
                after = position(reader, number, page.after)
                rows = walk(reader, number, wanted, self._search, after=after, ascending=page.ascending)
                found = list(islice(rows, page.limit + 1))
                places = dict(found[: page.limit])
                outlines = {tree: _outline(reader, tree, number) for tree in set(places.values())}
                sketches = _sketches(reader, list(places), outlines)
                return _excerpted(reader, sketches, list(places), wanted), len(found) > page.limit

        return await self._database.scan(read)

    async def list_trees(self, project: str, page: Page, wanted: Wanted) -> tuple[Sequence[TreeSketch], bool]:
        number = self._database.project(project)

        def read(reader: apsw.Connection) -> tuple[Sequence[TreeSketch], bool]:
            self._catch_up(reader, wanted)
            with _snapshot(reader):
                found, has_more = trees(walk(reader, number, wanted, self._search), page)
                return [_tree(reader, number, row, tree, wanted) for row, tree in found], has_more

        return await self._database.scan(read)

    def _catch_up(self, reader: apsw.Connection, wanted: Wanted) -> None:
        """What was stored before it is looked for is found, but for an index that has very much to be filled with."""
        if wanted.words:
            if self._search is None:
                raise NoSearch(encrypted=self._database.cipher.sealing)
            for _ in range(_STEPS):
                if not self._search.fill(reader):
                    return


@contextlib.contextmanager
def _snapshot(reader: apsw.Connection) -> Iterator[None]:
    """Everything that is read inside is of one moment."""
    with reader:
        yield


def _outline(reader: apsw.Connection, tree: bytes, project: int) -> Outline:
    return Outline(tree, reader.execute(_Q["outline"], {"tree": tree, "project": project}))


def _tree(reader: apsw.Connection, project: int, newest: int, tree: bytes, wanted: Wanted) -> TreeSketch:
    outline = _outline(reader, tree, project)
    root, latest = _sketches(reader, [outline.root, newest], {tree: outline})
    (latest,) = _excerpted(reader, [latest], [newest], wanted)
    return TreeSketch(shape=outline.shape, root=root, newest=latest)


def _sketches(
    reader: apsw.Connection, numbers: Sequence[int], outlines: Mapping[bytes, Outline]
) -> list[Sketch]:
    """The turns in these rows, in this order."""
    which = {"numbers": msgspec.json.encode(numbers).decode(), "edge": EDGE}
    found: dict[int, Sketch] = {}
    for number, tree, *row in reader.execute(_Q["sketch"], which):
        found[number] = _sketch(number, tree, row, outlines[tree])
    return [found[number] for number in numbers]


def _sketch(number: int, tree: bytes, row: Sequence[Any], outline: Outline) -> Sketch:
    rest, door, status, model, created_at, deleted, fields, head_in, tail_in, head_out, tail_out = row
    parent = outline.parents[number]
    return Sketch(
        id=id_of(tree, rest),
        parent=outline.id_of(parent) if parent is not None else None,
        door=door_of(door),
        status=status_of(status),
        model=model,
        created_at=created_at,
        deleted=bool(deleted),
        depth=outline.depths[number],
        children=outline.children[number],
        fields=expand(fields) if fields else b"{}",
        input=Ends(head_in or b"[]", tail_in or b""),
        output=Ends(head_out or b"[]", tail_out or b""),
    )


def _excerpted(
    reader: apsw.Connection, sketches: Sequence[Sketch], numbers: Sequence[int], wanted: Wanted
) -> Sequence[Sketch]:
    """The sketches, each with where in it the words were found."""
    if not wanted.words:
        return sketches
    found = []
    for sketch, number in zip(sketches, numbers, strict=True):
        ((given, output),) = reader.execute(_Q["contents"], {"number": number})
        text = words_of(given or b"[]", output or b"[]")
        found.append(replace(sketch, excerpt=excerpt(text, wanted.words)))
    return found
