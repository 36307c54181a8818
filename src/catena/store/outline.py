"""A tree without its contents: three numbers for each turn, from which depths, children and whole parts follow.

Pure: each store reads the rows in its own way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from catena.errors import NotFound
from catena.store.lineage import Part, Shape
from catena.store.paging import Page
from catena.store.rows import id_of

__all__ = ["Outline"]


class Outline:
    """How the turns of a tree hang together, by their row numbers.

    `rows` are row number, parent's number or None, and the rest of the id of each turn, parents first.
    """

    def __init__(self, tree: bytes, rows: Iterable[Sequence[Any]]) -> None:
        self._tree = tree
        self._rests: dict[int, bytes] = {}
        self.parents: dict[int, int | None] = {}
        self.depths: dict[int, int] = {}
        self.children: dict[int, int] = {}
        for number, parent, rest, *_ in rows:
            # A parent's number is the smaller one: it was there first.
            self._rests[number] = rest
            self.parents[number] = parent
            self.depths[number] = 1 if parent is None else self.depths[parent] + 1
            self.children[number] = 0
            if parent is not None:
                self.children[parent] += 1

    @property
    def root(self) -> int:
        """The row of the root."""
        return next(iter(self._rests))

    @property
    def shape(self) -> Shape:
        """The whole tree in numbers."""
        return Shape(
            root=self.id_of(self.root),
            turns=len(self._rests),
            branches=sum(not below for below in self.children.values()),
            depth=max(self.depths.values()),
        )

    def id_of(self, number: int) -> str:
        """The id of the turn in a row."""
        return id_of(self._tree, self._rests[number])

    def number_of(self, rest: bytes) -> int | None:
        """The row of the turn whose id ends with `rest`; None if there is none."""
        return next((number for number, own in self._rests.items() if own == rest), None)

    def page(self, part: Sequence[int], page: Page) -> tuple[Sequence[int], bool]:
        """A page of a part, and whether there is more. Raises NotFound if `page.after` is not in it."""
        start = 0
        if page.after is not None:
            place = next(
                (place for place, number in enumerate(part) if self.id_of(number) == page.after), None
            )
            if place is None:
                raise NotFound(f"There is no response '{page.after}' in this list.", param="after")
            start = place + 1
        return part[start : start + page.limit], len(part) > start + page.limit

    def part(self, turn: int, part: Part) -> Sequence[int]:
        """The rows of a part of the tree, as seen from a turn, parents first."""
        match part:
            case "tree":
                return list(self._rests)
            case "path":
                return [*self._above(turn), turn]
            case "ancestors":
                return self._above(turn)
            case "children":
                return [number for number, parent in self.parents.items() if parent == turn]
            case "siblings":
                above = self.parents[turn]
                beside = [number for number, parent in self.parents.items() if parent == above]
                return [number for number in beside if number != turn]
            case "descendants":
                return self._below(turn)

    def _above(self, turn: int) -> Sequence[int]:
        path = []
        above = self.parents[turn]
        while above is not None:
            path.append(above)
            above = self.parents[above]
        return path[::-1]

    def _below(self, turn: int) -> Sequence[int]:
        reached = {turn}
        for number, parent in self.parents.items():
            if parent in reached:
                reached.add(number)
        return sorted(reached - {turn})
