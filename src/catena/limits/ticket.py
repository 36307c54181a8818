"""What a request was admitted with, until its run has ended: what it drew, and the places that it holds.

A run takes the ticket of the request that it is begun for, wherever that is: it is ambient, so that no way to begin a
run can forget it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Final

from catena.errors import StoreUnavailable
from catena.limits.wording import QuotaExceeded
from catena.store.counters import Counters, Draw

__all__ = ["Ticket", "current_ticket"]

_CURRENT: Final[ContextVar[Ticket | None]] = ContextVar("ticket", default=None)


def current_ticket() -> Ticket | None:
    """That of the request that is being answered here, if there are limits for it."""
    return _CURRENT.get()


class Ticket:
    """`headers` are those of the reply. `full` is why nothing more may be stored, if that is so."""

    def __init__(
        self,
        counters: Counters,
        holder: str | None,
        tokens: Sequence[Draw],
        *,
        headers: Mapping[str, str],
        full: QuotaExceeded | None = None,
        open_tickets: set[Ticket],
    ) -> None:
        self.headers = headers
        self.holder = holder
        self._full = full
        self._counters = counters
        self._tokens = tokens
        self._taken = False
        self._open = open_tickets
        self._open.add(self)

    def check_storage(self) -> None:
        """Raise QuotaExceeded if nothing more may be stored."""
        if self._full is not None:
            raise self._full

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """Runs that are begun inside take this ticket."""
        before = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(before)

    def take(self) -> None:
        """A run goes on with it, and will end it."""
        self._taken = True

    async def settle(self, used: int | None) -> None:
        """The run has ended, and used so many tokens; None where nobody knows."""
        self._open.discard(self)
        with contextlib.suppress(StoreUnavailable):
            if used is not None and self._tokens:
                await self._counters.give(
                    [Draw(each.name, each.amount - used, each.limit) for each in self._tokens]
                )
            if self.holder is not None:
                await self._counters.let_go(self.holder)

    async def close(self, *, failed: bool) -> None:
        """The request was answered. If no run took the ticket, it is over; one that failed used nothing."""
        if not self._taken:
            await asyncio.shield(self.settle(0 if failed else None))
