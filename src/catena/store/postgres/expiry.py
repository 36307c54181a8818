"""Trees that have had their time, removed row by row: found in one walk along their keys, and removed some at a time.

Several servers may do it at once. What one holds, the others leave out, and so does everybody what a request holds to
continue it: nobody waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from catena.store.housekeeping import Expiry
from catena.store.postgres.database import Database, Row, Session
from catena.store.postgres.removal import erase
from catena.store.postgres.statements import Q, statement

__all__ = ["Walk", "thresholds"]

_STEP: Final = 5_000
"""Turns that are looked at in one statement."""

_AT_ONCE: Final = 50
"""Trees that are held at once, and go in one transaction."""


def thresholds(terms: Sequence[Expiry]) -> dict[str, Any]:
    """When turns are old, as the statements take it: in projects with terms of their own, and `before` in all others.

    A time is 8 hexadecimal digits, as in ids; for what is kept for ever it is empty, which is before all times.
    """
    named = sorted({project for term in terms for project in {*(term.whose.only or ()), *term.whose.but}})
    befores = [_latest(term for term in terms if term.whose.covers(project)) for project in named]
    others = _latest(term for term in terms if term.whose.only is None)
    return {"projects": named, "befores": befores, "before": others}


def _latest(terms: Any) -> str:
    return max((term.older_than.to_bytes(4).hex() for term in terms), default="")


class Walk:
    """Goes through the trees of a `place` once, from the lowest key to the highest: of `turns`, or of a partition."""

    def __init__(self, database: Database, terms: Sequence[Expiry], *, place: str = "turns") -> None:
        self._database = database.patient()
        self._thresholds = thresholds(terms)
        self._find = statement("walk_trees", place=place)
        self._latest = max([self._thresholds["before"], *self._thresholds["befores"]])
        self._found: list[bytes] = []
        self._reached: bytes | None = b""

    @property
    def is_over(self) -> bool:
        return self._reached is None and not self._found

    async def on(self, limit: int) -> tuple[int, int]:
        """Remove the next trees, at most `limit`; fewer only at the end. Returns how many trees and turns."""
        trees = turns = 0
        while trees < limit and not self.is_over:
            if not self._found:
                await self._look()
                continue
            most = min(_AT_ONCE, limit - trees)
            some, self._found = self._found[:most], self._found[most:]
            removed = await self._removed(some)
            trees, turns = trees + removed[0], turns + removed[1]
        return trees, turns

    async def _removed(self, some: Sequence[bytes]) -> tuple[int, int]:
        return await self._database.transaction(lambda session: self._remove(session, some))

    async def _look(self) -> None:
        what = {"tree": self._reached, "limit": _STEP, "before": self._latest}
        (row,) = await self._database.fetch(self._find, what)
        self._found, self._reached = list(row["old"]), row["reached"]

    async def _remove(self, session: Session, some: Sequence[bytes]) -> tuple[int, int]:
        held = {row["tree"]: row["turns"] for row in await session.fetch(Q["hold_trees"], {"trees": some})}
        judged = await session.fetch(Q["judged_trees"], {**self._thresholds, "trees": list(held)})
        by_tree: dict[bytes, list[Row]] = {}
        for row in judged:
            by_tree.setdefault(row["tree"], []).append(row)
        whole: list[bytes] = []
        turns = 0
        for tree, rows in by_tree.items():
            if sum(row["turns"] for row in rows) != held[tree]:
                continue  # somebody is about to continue it
            if all(row["over"] for row in rows):
                whole.append(tree)
            else:
                turns += await _erase_some(session, tree, [row for row in rows if row["over"]])
        if whole:
            turns += await _drop(session, whole)
        return len(whole), turns


async def _erase_some(session: Session, tree: bytes, over: Sequence[Row]) -> int:
    """Erase what is over under a key that several projects have by chance. Ids go later, as those of deleted turns."""
    erased = 0
    for row in over:
        outline = await session.fetch(Q["outline"], {"tree": tree, "project": row["project"]})
        erased += len(await erase(session, tree, [each["id"] for each in outline]))
    return erased


async def _drop(session: Session, trees: Sequence[bytes]) -> int:
    which: Mapping[str, Any] = {"trees": trees}
    ((removed,),) = await session.fetch(Q["drop_trees"], which)
    # First what is to be done yet: who is just taking words holds that, and has written them when this goes on.
    await session.fetch(Q["drop_unworded_trees"], which)
    await session.fetch(Q["drop_words_of_trees"], which)
    return int(removed)
