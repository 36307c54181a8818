"""What the clock of the database shows, as far as it is known here.

Leases are by that clock. A database that stood still, or a way to it, may do late what it was asked, when nobody waits
for it any more. So who claims says until when the claim is meant: one that comes later claims nothing. Times that a
server has from its own clock, and others act upon, are corrected, as machines need not agree.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from catena.store.postgres.database import Database
from catena.store.postgres.statements import Q

__all__ = ["Clock", "latest"]

_FOR: Final = 60.0
"""Seconds for which a look at the clock is good: two clocks drift apart by less than a millisecond in it."""

_QUICK: Final = 0.25
"""Seconds that a look may take to be good for longer: what came late tells a time that was."""


_ALIKE: Final = 1.0
"""Seconds by which the clock of this machine may be another's without any harm."""


class Clock:
    """The clock of this database; `wall` is that of this machine."""

    def __init__(self, database: Database, wall: Callable[[], float] = time.time) -> None:
        self._database = database
        self._wall = wall
        self._ahead = 0.0
        self._good_until = float("-inf")

    async def now(self) -> float:
        """Seconds since 1970: what it shows, or a moment less. Raises StoreUnavailable."""
        began = time.monotonic()
        if began >= self._good_until:
            ((shown,),) = await self._database.fetch(Q["clock"], {})
            seen = time.monotonic()
            self._ahead = float(shown) - seen
            self._good_until = seen + _FOR if seen - began < _QUICK else began
        return time.monotonic() + self._ahead

    def corrected(self, moment: float) -> float:
        """What it shows at a moment of this machine's clock, as far as is known by now."""
        if self._good_until == float("-inf"):
            return moment
        wrong = time.monotonic() + self._ahead - self._wall()
        return moment + wrong if abs(wrong) > _ALIKE else moment


def latest(now: float, lease: float) -> float:
    """When a claim that begins now comes too late.

    A server renews every third of a lease, and claims only if it has renewed within half of one. So where others have
    not renewed since their leases began, as nobody could, a claim comes before these leases are over, or too late.
    """
    return now + max(lease / 6, _QUICK)
