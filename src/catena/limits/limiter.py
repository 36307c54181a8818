"""Lets requests in as long as their project and their key are within their limits.

What a request will use is not known before: it draws what its body alone would be in tokens, and the difference when
its run has ended. So a limit may be passed once by as much as a history is long, and then is waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from catena.errors import CatenaError
from catena.limits import wording
from catena.limits.allowance import Allowance
from catena.limits.ticket import Ticket
from catena.limits.wording import Kind, QuotaExceeded, RateLimited
from catena.store.counters import Counters, Draw, Drawn, Place

__all__ = ["Limiter"]

_BYTES_A_TOKEN: Final = 4
_LEASE: Final = 60.0
"""Seconds after which the places of a server that died are free."""


class _Drawing(NamedTuple):
    kind: Kind
    spoken: str
    draw: Draw


class Limiter:
    """See the module. `stored` says how many bytes a project has stored."""

    def __init__(self, counters: Counters, stored: Callable[[str], Awaitable[int]]) -> None:
        self._counters = counters
        self._stored = stored
        self._open: set[Ticket] = set()
        self._renewing: asyncio.Task[None] | None = None

    async def admit(self, allowances: Sequence[Allowance], size: int) -> Ticket:
        """A ticket for a request with a body of `size` bytes. Raises TooManyRequests, whose headers say when."""
        holder = await self._hold(allowances)
        try:
            drawings = _drawings(allowances, size)
            headers = await self._draw(drawings)
            full = await self._full(allowances)
        except BaseException:
            if holder is not None:
                await self._counters.let_go(holder)
            raise
        tokens = [each.draw for each in drawings if each.kind == "tokens"]
        return Ticket(self._counters, holder, tokens, headers=headers, full=full, open_tickets=self._open)

    async def check_storage(self, allowances: Sequence[Allowance]) -> None:
        """Raise TooManyRequests if nothing more may be stored."""
        full = await self._full(allowances)
        if full is not None:
            raise full

    async def close(self) -> None:
        """Look after no places any more."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait([self._renewing])

    async def _hold(self, allowances: Sequence[Allowance]) -> str | None:
        limited = [each for each in allowances if each.limits.concurrent_runs]
        if not limited:
            return None
        holder = os.urandom(8).hex()
        places = [Place(f"runs {each.owner}", each.limits.concurrent_runs or 0) for each in limited]
        short = await self._counters.hold(holder, places, _LEASE)
        if short is not None:
            raise wording.over_runs(limited[short].spoken, places[short].limit)
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew(), name="catena places")
        return holder

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_LEASE / 3)
            holders = [ticket.holder for ticket in self._open if ticket.holder is not None]
            with contextlib.suppress(CatenaError):
                await self._counters.renew(holders, _LEASE)

    async def _draw(self, drawings: Sequence[_Drawing]) -> dict[str, str]:
        if not drawings:
            return {}
        drawn = await self._counters.draw([each.draw for each in drawings])
        headers = _headers(drawings, drawn)
        if drawn.short is not None:
            kind, spoken, draw = drawings[drawn.short]
            refusal = wording.over_rate(
                spoken, kind, limit=draw.limit, level=drawn.levels[drawn.short], amount=draw.amount
            )
            raise RateLimited(refusal.message, kind=kind, headers={**headers, **refusal.headers})
        return headers

    async def _full(self, allowances: Sequence[Allowance]) -> QuotaExceeded | None:
        for each in allowances:
            limit = each.limits.stored_bytes
            if each.project and limit:
                used = await self._stored(each.project)
                if used >= limit:
                    return QuotaExceeded(each.spoken, used, limit)
        return None


def _drawings(allowances: Sequence[Allowance], size: int) -> list[_Drawing]:
    drawings = []
    for each in allowances:
        if requests := each.limits.requests_per_minute:
            drawings.append(_Drawing("requests", each.spoken, Draw(f"requests {each.owner}", 1, requests)))
        if tokens := each.limits.tokens_per_minute:
            # No body is refused for good: what it really is, its run will tell.
            guess = min(max(1, size // _BYTES_A_TOKEN), tokens)
            drawings.append(_Drawing("tokens", each.spoken, Draw(f"tokens {each.owner}", guess, tokens)))
    return drawings


def _headers(drawings: Sequence[_Drawing], drawn: Drawn) -> dict[str, str]:
    """Of each kind those of the limit that is the nearest."""
    headers: dict[str, str] = {}
    nearest: dict[Kind, float] = {}
    for (kind, _, draw), level in zip(drawings, drawn.levels, strict=True):
        if level < nearest.get(kind, float("inf")):
            nearest[kind] = level
            headers |= wording.level_headers(kind, limit=draw.limit, level=level)
    return headers
