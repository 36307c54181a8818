"""What has had its time, what only holds a place, and what is one person's, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from catena.store.housekeeping import ALL_PROJECTS, Due, Expiry, PersonsTurn, Whose
from catena.store.persons import persons_turn
from catena.store.postgres.database import Database, Row, Session
from catena.store.postgres.expiry import thresholds
from catena.store.postgres.statements import Q

__all__ = ["PostgresHousekeeping"]

_CHUNK: Final = 2_000
"""Turns that are looked through at a time."""


class PostgresHousekeeping:
    """See `Housekeeping`."""

    def __init__(self, database: Database) -> None:
        self._database = database.patient()

    async def due(self, older_than: int, *, whose: Whose = ALL_PROJECTS) -> Due:
        (row,) = await self._database.fetch(
            Q["due_trees"], thresholds([Expiry(older_than=older_than, whose=whose)])
        )
        return Due(trees=row["trees"], turns=row["turns"])

    async def count_tombstones(self, before: int) -> int:
        ((count,),) = await self._database.fetch(Q["count_tombstones"], {"created_before": before})
        return int(count)

    async def drop_tombstones(self, before: int, *, limit: int = 1000) -> int:
        async def job(session: Session) -> int:
            idle = await session.fetch(Q["idle_tombstones"], {"created_before": before, "limit": limit})
            which = {"trees": [row["tree"] for row in idle], "ids": [row["id"] for row in idle]}
            return len(await session.fetch(Q["drop_tombstones"], which))

        return await self._database.transaction(job)

    async def turns_of(self, project: str, end_user: str | None) -> Sequence[PersonsTurn]:
        found: list[PersonsTurn] = []
        which: dict[str, Any] = {"project": project, "limit": _CHUNK, "after": 0}
        while rows := await self._database.fetch(Q["fields_of_project"], which):
            which["after"] = rows[-1]["number"]
            turns = (
                persons_turn(row["tree"], row["id"], row["status"], self._fields_in(row), end_user)
                for row in rows
            )
            found += [turn for turn in turns if turn is not None]
        return found

    def _fields_in(self, row: Row) -> bytes:
        return self._database.cipher.open(row["fields"], "fields", row["tree"], row["id"])
