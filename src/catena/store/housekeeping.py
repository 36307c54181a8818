"""The verbs for keeping a store clean: what has had its time, what only holds a place, and what is one person's."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Final, Protocol

import msgspec

__all__ = ["ALL_PROJECTS", "Due", "Expiry", "Housekeeping", "PersonsTurn", "Whose"]


class Whose(msgspec.Struct, frozen=True, kw_only=True):
    """Which projects are meant: those in `only` (None: all), but none of `but`; each with all of its end users."""

    only: Set[str] | None = None
    but: Set[str] = frozenset()

    def covers(self, project: str) -> bool:
        """Whether it is one of them; `project` is no end user's part of one."""
        return (self.only is None or project in self.only) and project not in self.but


ALL_PROJECTS: Final = Whose()


class Expiry(msgspec.Struct, frozen=True, kw_only=True):
    """Whose trees are over as soon as their newest turn is older than this (unix seconds)."""

    older_than: int
    whose: Whose = ALL_PROJECTS


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """How much has had its time: whole trees, and the turns in them."""

    trees: int
    turns: int


class PersonsTurn(msgspec.Struct, frozen=True):
    """A turn that was made for an end user, and the conversation that it is in; `ended` is False for one that runs."""

    id: str
    conversation: str | None = None
    ended: bool = True


class Housekeeping(Protocol):
    """Each verb works in small steps, so that nobody has to wait for all of it. All raise StoreUnavailable."""

    async def due(self, older_than: int, *, whose: Whose = ALL_PROJECTS) -> Due:
        """How much `Store.expire` would remove."""
        ...

    async def count_tombstones(self, before: int) -> int:
        """How many turns `drop_tombstones` would remove in its first pass."""
        ...

    async def drop_tombstones(self, before: int, *, limit: int = 1000) -> int:
        """Remove the ids of deleted turns that were created before `before`, where they hold no place for others: no
        turn is below them, and no conversation ends with them.

        Those above them can be next, so it is called until there are none. Returns how many were removed.
        """
        ...

    async def turns_of(self, project: str, end_user: str | None) -> Sequence[PersonsTurn]:
        """The requests of a project whose `safety_identifier` or `user` is this one, the oldest first; with None, all.

        All turns of the project are looked through.
        """
        ...
