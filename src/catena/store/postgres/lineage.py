"""Trees and lists, read from PostgreSQL without the contents of turns.

A tree's outline is read whole: depths and children follow from it. Lists walk along an index in the order in which
turns were stored, until a page is full.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from catena.errors import NotFound
from catena.store.cipher import MARK, Cipher, is_sealed
from catena.store.lineage import EDGE, Ends, NoSearch, Part, Shape, Sketch, TreeSketch, Wanted
from catena.store.outline import Outline
from catena.store.paging import Page
from catena.store.postgres.database import Database, Row, Session
from catena.store.postgres.finding import Finding, excerpted
from catena.store.postgres.indexing import Indexing
from catena.store.postgres.statements import Q
from catena.store.rows import door_of, id_of, key_of, status_of
from catena.store.shorthand import expand

__all__ = ["PostgresLineage"]

_NEWEST: Final = Page(limit=500, ascending=False)
"""So many turns of a list are looked at together."""


class PostgresLineage:
    """See `Lineage`. Without `indexing` it finds no words."""

    def __init__(self, database: Database, indexing: Indexing | None) -> None:
        self._database = database
        self._indexing = indexing

    async def part(
        self, project: str, turn_id: str, part: Part, page: Page
    ) -> tuple[Shape, Sequence[Sketch], bool] | None:
        key = key_of(turn_id)
        if key is None:
            return None
        tree, rest = key

        async def read(session: Session) -> tuple[Shape, Sequence[Sketch], bool] | None:
            outline = await _outline(session, tree, project)
            turn = outline.number_of(rest)
            if turn is None:
                return None
            chosen, has_more = outline.page(outline.part(turn, part), page)
            keys = [(tree, key_of(outline.id_of(number))[1]) for number in chosen]  # type: ignore[index]  # its own
            return outline.shape, await _sketches(session, keys, {tree: outline}), has_more

        return await self._database.snapshot(read)

    async def list_turns(self, project: str, page: Page, wanted: Wanted) -> tuple[Sequence[Sketch], bool]:
        await self._catch_up(wanted)

        async def read(session: Session) -> tuple[Sequence[Sketch], bool]:
            after = await _position(session, project, page.after)
            rows = await (await Finding.begin(session, project, wanted)).walk(page, after)
            keys = [(row["tree"], row["id"]) for row in rows[: page.limit]]
            outlines = {tree: await _outline(session, tree, project) for tree in dict(keys)}
            sketches = await _sketches(session, keys, outlines)
            return await excerpted(session, sketches, wanted), len(rows) > page.limit

        return await self._database.snapshot(read)

    async def list_trees(self, project: str, page: Page, wanted: Wanted) -> tuple[Sequence[TreeSketch], bool]:
        await self._catch_up(wanted)

        async def read(session: Session) -> tuple[Sequence[TreeSketch], bool]:
            found = await _newest_of_trees(await Finding.begin(session, project, wanted), page)
            trees = [await _tree(session, project, *key, wanted) for key in found[: page.limit]]
            return trees, len(found) > page.limit

        return await self._database.snapshot(read)

    async def _catch_up(self, wanted: Wanted) -> None:
        """What was stored before it is looked for is found, but for where there is very much to be done yet."""
        if wanted.words:
            if self._indexing is None:
                raise NoSearch(encrypted=self._database.cipher.sealing)
            await self._indexing.catch_up()


async def _outline(session: Session, tree: bytes, project: str) -> Outline:
    numbers: dict[bytes, int] = {}
    rows: list[tuple[int, int | None, bytes]] = []
    for row in await session.fetch(Q["numbered_outline"], {"tree": tree, "project": project}):
        numbers[row["id"]] = row["number"]
        parent = numbers[row["parent"]] if row["parent"] is not None else None
        rows.append((row["number"], parent, row["id"]))
    return Outline(tree, rows)


async def _position(session: Session, project: str, after: str | None) -> int | None:
    if after is None:
        return None
    key = key_of(after)
    if key is not None:
        place = {"tree": key[0], "id": key[1], "project": project}
        for row in await session.fetch(Q["position"], place):
            return int(row["number"])
    raise NotFound(f"There is no response '{after}'.", param="after")


async def _newest_of_trees(finding: Finding, page: Page) -> list[tuple[bytes, bytes]]:
    """Of each tree the newest turn that is wanted, from behind the tree of `page.after` on, and one more than asked
    for."""
    after = None
    if page.after is not None:
        tree, _ = key_of(page.after) or (b"", b"")
        newest = await finding.newest([tree])
        if not newest:
            raise NotFound(f"There is no tree '{page.after}' in this list.", param="after")
        after = newest[0]["number"]
    found: list[tuple[bytes, bytes]] = []
    while len(found) <= page.limit:
        rows = await finding.walk(_NEWEST, after)
        if not rows:
            break
        newest = await finding.newest(list(dict.fromkeys(row["tree"] for row in rows)))
        tips = {row["number"] for row in newest}
        found += [(row["tree"], row["id"]) for row in rows if row["number"] in tips]
        after = rows[-1]["number"]
    return found[: page.limit + 1]


async def _tree(session: Session, project: str, tree: bytes, newest: bytes, wanted: Wanted) -> TreeSketch:
    outline = await _outline(session, tree, project)
    root = key_of(outline.shape.root)
    assert root is not None
    first, latest = await _sketches(session, [root, (tree, newest)], {tree: outline})
    (latest,) = await excerpted(session, [latest], wanted)
    return TreeSketch(shape=outline.shape, root=first, newest=latest)


async def _sketches(
    session: Session, keys: Sequence[tuple[bytes, bytes]], outlines: Mapping[bytes, Outline]
) -> list[Sketch]:
    """The turns with these keys, in this order."""
    cipher = session.cipher
    which = {"trees": [tree for tree, _ in keys], "ids": [rest for _, rest in keys], "edge": EDGE}
    which["head"] = MARK
    rows = {(row["tree"], row["id"]): row for row in await session.fetch(Q["sketch"], which)}
    return [_sketch(rows[key], outlines[key[0]], cipher) for key in keys]


def _sketch(row: Row, outline: Outline, cipher: Cipher) -> Sketch:
    tree, parent, fields = row["tree"], row["parent"], row["fields"]
    if fields:
        fields = cipher.open(fields, "fields", tree, row["id"])
    return Sketch(
        id=id_of(tree, row["id"]),
        parent=id_of(tree, parent) if parent is not None else None,
        door=door_of(row["door"]),
        status=status_of(row["status"]),
        model=row["model"].decode(),
        created_at=row["created_at"],
        deleted=row["deleted"],
        depth=outline.depths[row["number"]],
        children=outline.children[row["number"]],
        fields=expand(fields) if fields else b"{}",
        input=_ends(row, "input", cipher),
        output=_ends(row, "output", cipher),
    )


def _ends(row: Row, column: str, cipher: Cipher) -> Ends:
    head, tail = row[f"{column}_head"] or b"[]", row[f"{column}_tail"] or b""
    if not is_sealed(head):
        return Ends(head, tail)
    # A part of it could not be opened, so it is there whole.
    whole = cipher.open(head, column, row["tree"], row["id"])
    return Ends(whole[:EDGE], whole[-EDGE:] if len(whole) > EDGE else b"")
