"""Removes the trees whose time is over: those whose newest turn is older than what is kept.

By whole trees, so that an ancestor never expires under a living descendant.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from catena.errors import CatenaError
from catena.history import History
from catena.store import Store

__all__ = ["Retention"]

log = logging.getLogger("catena.retention")

_DAY: Final = 86_400
_EVERY: Final = 3_600.0
_AT_ONCE: Final = 100


class Retention:
    """Looks once an hour. With `days` 0 everything is kept."""

    def __init__(self, store: Store, history: History, *, days: int, clock: Callable[[], float]) -> None:
        self._store = store
        self._history = history
        self._days = days
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        if self._days > 0:
            self._task = asyncio.create_task(self._go_on(), name="catena retention")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def sweep(self) -> int:
        """Remove what is due now, in small steps. Returns how many turns went."""
        older_than = int(self._clock()) - self._days * _DAY
        total = 0
        while removed := await self._store.expire(older_than, limit=_AT_ONCE):
            total += removed
        if total:
            self._history.clear()
            log.info("%d turns were older than %d days and are removed", total, self._days)
        return total

    async def _go_on(self) -> None:
        while True:
            try:
                await self.sweep()
            except CatenaError as error:
                log.warning("old turns could not be removed: %s", error.message)
            await asyncio.sleep(_EVERY)
