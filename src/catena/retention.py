"""Removes what has had its time: trees whose newest turn is older than what is kept, files that have expired, and the
ids of deleted turns that hold no place any more.

Turns go by whole trees, so that an ancestor never expires under a living descendant.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from catena.errors import CatenaError
from catena.history import History
from catena.store import Store
from catena.store.housekeeping import Expiry, Whose

__all__ = ["Removed", "Retention", "Term"]

log = logging.getLogger("catena.retention")

_DAY: Final = 86_400
_EVERY: Final = 3_600.0
_AT_ONCE: Final = 100

_RUNS_END_WITHIN: Final = 2 * _DAY
"""Seconds. The id of a turn that was deleted while it ran is kept so long, so that its end finds it."""


class Term(msgspec.Struct, frozen=True, kw_only=True):
    """How many days a turn is kept, and in which projects another number of them; 0 is for ever."""

    days: int
    by_project: Mapping[str, int] = {}

    def spans(self) -> Iterator[tuple[Whose, int]]:
        """The projects that have an end, with their days."""
        if self.days > 0:
            yield Whose(but=self.by_project.keys()), self.days
        for project, days in self.by_project.items():
            if days > 0:
                yield Whose(only={project}), days


class Removed(msgspec.Struct, kw_only=True):
    """How much was removed, or is due to be. Trees and turns of trees, files, contents whose upload was never
    finished, and ids of turns that had been deleted."""

    turns: int = 0
    files: int = 0
    abandoned_uploads: int = 0
    deleted_ids: int = 0


class Retention:
    """Looks once an hour."""

    def __init__(self, store: Store, history: History, *, term: Term, clock: Callable[[], float]) -> None:
        self._store = store
        self._history = history
        self._term = term
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._go_on(), name="catena retention")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def sweep(self) -> Removed:
        """Remove what is due now, in small steps."""
        removed = Removed()
        await self._sweep_turns(removed)
        await self._sweep_tombstones(removed)
        await self._sweep_files(removed)
        return removed

    async def _sweep_turns(self, removed: Removed) -> None:
        now = self._clock()
        terms = [Expiry(older_than=before, whose=whose) for whose, before in self._ends(now)]
        removed.turns = await self._store.sweep(terms, now=now)
        if removed.turns:
            self._history.clear()
            log.info("%d turns have had their time and are removed", removed.turns)

    async def _sweep_tombstones(self, removed: Removed) -> None:
        before = int(self._clock()) - _RUNS_END_WITHIN
        while gone := await self._store.housekeeping.drop_tombstones(before):
            removed.deleted_ids += gone

    async def _sweep_files(self, removed: Removed) -> None:
        now = int(self._clock())
        while expired := await self._store.files.expire(now, limit=_AT_ONCE):
            removed.files += expired
        removed.abandoned_uploads = await self._store.files.drop_abandoned(now - _DAY)

    async def due(self) -> Removed:
        """What `sweep` would remove of turns and ids; nothing is changed."""
        now = int(self._clock())
        housekeeping = self._store.housekeeping
        due = [await housekeeping.due(before, whose=whose) for whose, before in self._ends(now)]
        return Removed(
            turns=sum(each.turns for each in due),
            deleted_ids=await housekeeping.count_tombstones(now - _RUNS_END_WITHIN),
        )

    def _ends(self, now: float) -> Iterator[tuple[Whose, int]]:
        """When turns of which projects were stored that have had their time now; a term may be longer than time is."""
        for whose, days in self._term.spans():
            yield whose, max(int(now) - days * _DAY, 0)

    async def _go_on(self) -> None:
        while True:
            try:
                await self.sweep()
            except CatenaError as error:
                log.warning("what has had its time could not be removed: %s", error.message)
            except Exception:
                log.exception("what has had its time could not be removed, by a fault of this server")
            await asyncio.sleep(_EVERY)
