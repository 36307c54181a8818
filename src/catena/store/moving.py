"""The verbs for moving house: trees are taken out of one store whole and put into another, with all their ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from catena.store import Conversation, Turn

__all__ = ["AnotherProject", "Movable", "TreeCopy", "TreeName", "Which"]


class AnotherProject(Exception):
    """A turn with this id is there, and belongs to another project."""

    def __init__(self, turn_id: str) -> None:
        super().__init__(f"{turn_id} is there already and belongs to another project.")


class TreeName(msgspec.Struct, frozen=True, order=True):
    """Which tree: its key, and the project that has it. Trees are listed in this order."""

    tree: str
    project: str


class Which(msgspec.Struct, frozen=True, kw_only=True):
    """Which trees are meant: those of a project, one of them, those with a turn that was created in a span of time.

    `since` is the first second of the span and `until` the first one after it, in unix seconds.
    """

    project: str | None = None
    tree: str | None = None
    since: int = 0
    until: int = 2**32

    @property
    def whole_projects(self) -> bool:
        """Whether nothing of a project is left out."""
        return self.tree is None and self.since == 0 and self.until == 2**32


class TreeCopy(msgspec.Struct, frozen=True, kw_only=True):
    """A tree as it is stored: its turns that have ended, whole, parents first, tombstones among them, and the names of
    its ends.

    Runs under way are not in it: they end where they run.
    """

    name: TreeName
    turns: Sequence[Turn]
    conversations: Sequence[Conversation] = ()


class Movable(Protocol):
    """What can be moved out of and into. All methods raise StoreUnavailable, as those of a `Store`."""

    async def projects(self) -> Sequence[str]:
        """The names of all projects that something is stored for, in alphabetical order."""
        ...

    async def trees(
        self, which: Which, *, after: TreeName | None = None, limit: int = 1000
    ) -> Sequence[TreeName]:
        """The trees that are meant, in the order of their names, from the one behind `after` on."""
        ...

    async def copy_tree(self, name: TreeName) -> TreeCopy:
        """A tree, read in one snapshot; without turns if it is not there any more."""
        ...

    async def put_tree(self, copy: TreeCopy) -> int:
        """Store what of a tree is not there yet, in one transaction. Returns how many turns that were.

        What is there stays as it is; so what was deleted here is not brought back. The `foreign_ids` of the turns are
        stored with them. Raises AnotherProject, and PreviousResponseNotFound if a turn's parent is in neither.
        """
        ...
