"""How much projects have stored: measured now and then, as measuring takes a look at everything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

__all__ = ["Storage"]

_AGAIN_AFTER: Final = 10.0
"""Seconds for which a measurement holds."""


class _Measured(NamedTuple):
    at: float
    size: int


class Storage:
    """`measure` is the store's; `clock` gives seconds."""

    def __init__(
        self, measure: Callable[[str], Awaitable[int]], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._measure = measure
        self._clock = clock
        self._known: dict[str, _Measured] = {}
        self._measuring: dict[str, asyncio.Task[int]] = {}

    async def used(self, project: str) -> int:
        """The bytes that a project has stored, as of a moment ago. Raises StoreUnavailable."""
        known = self._known.get(project)
        if known is not None and self._clock() - known.at < _AGAIN_AFTER:
            return known.size
        task = self._measuring.get(project)
        if task is None:
            task = self._measuring[project] = asyncio.create_task(self._measured(project))
        return await asyncio.shield(task)

    async def _measured(self, project: str) -> int:
        try:
            size = await self._measure(project)
            self._known[project] = _Measured(self._clock(), size)
            return size
        finally:
            del self._measuring[project]
