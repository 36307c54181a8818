"""The verbs for looking around: which turns a tree has and how they hang together, and lists over all trees.

What they tell of a turn is a sketch: where it stands, its fields, and the two ends of what was said, never a whole
large content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from catena.store.paging import Page
from catena.wire.words import Term

__all__ = [
    "EDGE",
    "PARTS",
    "Door",
    "Ends",
    "Lineage",
    "NoSearch",
    "Part",
    "Shape",
    "Sketch",
    "Status",
    "TreeSketch",
    "Wanted",
]

Door: TypeAlias = Literal["responses", "chat", "conversation"]
"""What a turn came through. Those of a conversation are no requests: items that were put into it or taken out."""
Status: TypeAlias = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]

Part: TypeAlias = Literal["tree", "path", "ancestors", "children", "siblings", "descendants"]
"""Which turns of a tree are meant, as seen from one of them: all; those from the root to it; or those above, right
below, beside or below it."""

PARTS: Final[Sequence[Part]] = ("tree", "path", "ancestors", "children", "siblings", "descendants")

EDGE: Final = 4096
"""Bytes of a content that a sketch has of its beginning, and of its end."""


class Ends(msgspec.Struct, frozen=True, gc=False):
    """The first and the last `EDGE` bytes of a JSON array of items. What is no longer than that is in `head` whole, and
    `tail` is empty."""

    head: bytes = b"[]"
    tail: bytes = b""


class Sketch(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A turn as it stands in its tree.

    `depth` of the root is 1; `children` are the turns right below it. `fields` is the JSON object of a `Turn`, but what
    is large in it may be empty. A tombstone has neither fields nor ends.
    """

    id: str
    parent: str | None
    door: Door
    status: Status
    model: str
    created_at: int
    deleted: bool
    depth: int
    children: int
    fields: bytes = b"{}"
    input: Ends = Ends()
    output: Ends = Ends()
    excerpt: str = ""
    """Where in it the first of the words was found that were looked for."""


class Shape(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A whole tree in numbers: its turns, how many of them nothing continues, and how deep the deepest is."""

    root: str
    turns: int
    branches: int
    depth: int


class TreeSketch(msgspec.Struct, frozen=True, kw_only=True):
    """A tree in a list: what it began with, and the newest of its turns that was wanted."""

    shape: Shape
    root: Sketch
    newest: Sketch


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What turns of a list must be like: each of these that is given must hold.

    `metadata` are pairs that a turn must have. `created_after` and `created_before` are unix seconds, themselves not
    among what is meant. `conversation` is the one that a response was made in. All `words` must be in what was said.
    """

    model: str | None = None
    status: Status | None = None
    metadata: Mapping[str, str] = {}
    created_after: int | None = None
    created_before: int | None = None
    conversation: str | None = None
    words: Sequence[Term] = ()


class NoSearch(Exception):
    """This store does not look for words: there is no index of them, or must not be, as its contents are
    `encrypted`."""

    def __init__(self, *, encrypted: bool = False) -> None:
        super().__init__()
        self.encrypted = encrypted


class Lineage(Protocol):
    """Reads that may have to look at many turns. They never hold up those that a run waits for.

    Lists are in the order in which turns were stored; they raise NoSearch if words are wanted and not looked for. All
    methods raise StoreUnavailable, as those of a `Store`.
    """

    async def part(
        self, project: str, turn_id: str, part: Part, page: Page
    ) -> tuple[Shape, Sequence[Sketch], bool] | None:
        """A page of the turns of a tree, parents before children, and whether there are more after them.

        Tombstones are among them, and can be asked about. None if `turn_id` is not there. Raises NotFound if
        `page.after` is not in this part.
        """
        ...

    async def list_turns(self, project: str, page: Page, wanted: Wanted) -> tuple[Sequence[Sketch], bool]:
        """A page of the requests of a project, and whether there are more. Raises NotFound if `page.after` is unknown.

        What was only put into a conversation is not among them, and no tombstone.
        """
        ...

    async def list_trees(self, project: str, page: Page, wanted: Wanted) -> tuple[Sequence[TreeSketch], bool]:
        """A page of the trees that have a turn as it is wanted, in the order of the newest of these.

        `page.after` is the id of a root; raises NotFound if that is not in the list.
        """
        ...
