"""Connections for an event loop that close with it.

A connection belongs to the loop it was opened in: kept for the next `asyncio.run` it fails there, and dropped
without being closed it leaks. A loop has one hook for its end: `asyncio.run` closes the asynchronous
generators that are still open. So a generator holds each HTTP client, and closes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncGenerator
from typing import Any, TypeAlias

from openai import DefaultAsyncHttpxClient

__all__ = ["LoopPools"]

_Loop: TypeAlias = asyncio.AbstractEventLoop
_Keeper: TypeAlias = AsyncGenerator[None]
_Open: TypeAlias = dict[_Loop, tuple[Any, _Keeper]]


class LoopPools:
    """An asynchronous HTTP client for each event loop that asks.

    They are closed when their loop ends, or when nobody holds this object any more.
    """

    def __init__(self) -> None:
        self._open: _Open = {}
        # The finalizer holds them, so that the collector of garbage does not take the connections first.
        weakref.finalize(self, _close_all, self._open).atexit = False

    async def of_running_loop(self) -> Any:
        """The HTTP client of the running loop, made the first time."""
        loop = asyncio.get_running_loop()
        if loop not in self._open:
            _forget_closed_loops(self._open)
            http_client = DefaultAsyncHttpxClient()
            keeper = _keep(http_client, loop, self._open)
            self._open[loop] = http_client, keeper
            await anext(keeper)  # makes it known to the loop
        return self._open[loop][0]


async def _keep(http_client: Any, loop: _Loop, among: _Open) -> _Keeper:
    try:
        yield
    finally:
        del among[loop]
        await http_client.aclose()


def _forget_closed_loops(among: _Open) -> None:
    """A loop that was closed by hand, without the hook, leaves its entry behind."""
    for loop in [loop for loop in among if loop.is_closed()]:
        del among[loop]


def _close_all(among: _Open) -> None:
    for loop, (_, keeper) in list(among.items()):
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(_close_in, loop, keeper)


def _close_in(loop: _Loop, keeper: _Keeper) -> None:
    loop.create_task(_close(keeper))  # nobody is left to hold it


async def _close(keeper: _Keeper) -> None:
    await keeper.aclose()
