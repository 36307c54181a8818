"""How the index of words keeps up with the database: what is stored is added behind it, and what is removed leaves it
before that is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import apsw

from catena.errors import CatenaError
from catena.store.sqlite.search import Search
from catena.store.sqlite.writer import Writer

__all__ = ["Indexer", "SearchedWriter"]

log = logging.getLogger("catena.store")

T = TypeVar("T")

_BEHIND: Final = 1.0
"""Seconds after a write in which nothing is added yet. Who searches has it added at once."""

_REST: Final = 0.1
"""Seconds between two steps while others write: the processor is theirs."""


class SearchedWriter(Writer):
    """A writer that tells of a removal only when what was removed cannot be found any more either."""

    def __init__(self, connection: apsw.Connection, purge: Callable[[], Any]) -> None:
        super().__init__(connection)
        self._purge = purge

    async def wipe(self, job: Callable[[apsw.Connection], T]) -> T:
        done = await super().wipe(job)
        await self._purge()
        return done


class Indexer:
    """Fills an index behind the writes, in a task that begins with the first of them. `scan` runs a read in the thread
    in which it may take long."""

    def __init__(
        self, search: Search, scan: Callable[[Callable[[apsw.Connection], Any]], Awaitable[Any]]
    ) -> None:
        self._search = search
        self._scan = scan
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """There may be something to add."""
        self._woken.set()
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name="catena search")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _follow(self) -> None:
        while True:
            await self._woken.wait()
            await asyncio.sleep(_BEHIND)
            try:
                await self._catch_up()
            except CatenaError as error:
                log.warning("what was said cannot be indexed for now: %s", error.message)

    async def _catch_up(self) -> None:
        self._woken.clear()
        while await self._scan(self._search.fill):
            if self._woken.is_set():
                self._woken.clear()
                await asyncio.sleep(_REST)
