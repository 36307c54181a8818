"""Counters in PostgreSQL, for all servers on it: each verb is one statement, and its clock is everybody's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from catena.store.counters import Draw, Drawn, Place
from catena.store.postgres.database import Database
from catena.store.postgres.statements import Q

__all__ = ["PostgresCounters"]


class PostgresCounters:
    """See `Counters`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def draw(self, draws: Sequence[Draw]) -> Drawn:
        rows = await self._database.fetch(Q["draw"], _values_of(draws))
        short = next((number for number, row in enumerate(rows) if row["short"]), None)
        return Drawn([row["level"] for row in rows], short)

    async def give(self, draws: Sequence[Draw]) -> None:
        await self._database.fetch(Q["give"], _values_of(draws))

    async def hold(self, holder: str, places: Sequence[Place], lease: float) -> int | None:
        names, sizes = [each.name.encode() for each in places], [each.limit for each in places]
        which = {"names": names, "sizes": sizes, "holder": holder, "lease": lease}
        rows = await self._database.fetch(Q["hold"], which)
        return next((number for number, row in enumerate(rows) if not row["has_room"]), None)

    async def renew(self, holders: Sequence[str], lease: float) -> None:
        await self._database.fetch(Q["renew_places"], {"holders": holders, "lease": lease})

    async def let_go(self, holder: str) -> None:
        await self._database.fetch(Q["let_go"], {"holder": holder})


def _values_of(draws: Sequence[Draw]) -> dict[str, Any]:
    return {
        "names": [each.name.encode() for each in draws],
        "amounts": [float(each.amount) for each in draws],
        "sizes": [each.limit for each in draws],
    }
