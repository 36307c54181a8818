"""What has had its time, what only holds a place, and what is one person's, in SQLite."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any, Final

import apsw
import msgspec

from catena.store.housekeeping import ALL_PROJECTS, Due, PersonsTurn, Whose
from catena.store.persons import persons_turn
from catena.store.sqlite.database import Database
from catena.store.sqlite.statements import load_statements

__all__ = ["SqliteHousekeeping", "chosen"]

_Q: Final = load_statements()
_ANY_NUMBER: Final = 1_000_000
_CHUNK: Final = 2_000
"""Turns that are looked through at a time, so that no read lasts long enough to hold the write-ahead log up."""


class SqliteHousekeeping:
    """See `Housekeeping`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self, older_than: int, *, whose: Whose = ALL_PROJECTS) -> Due:
        def read(reader: apsw.Connection) -> Due:
            which = {"before": older_than.to_bytes(4), **chosen(reader, whose)}
            ((trees, turns),) = reader.execute(_Q["due_trees"], which)
            return Due(trees=trees, turns=turns)

        return await self._database.scan(read)

    async def count_tombstones(self, before: int) -> int:
        which = {"before": before, "limit": _ANY_NUMBER}
        return await self._database.scan(
            lambda reader: len(list(reader.execute(_Q["idle_tombstones"], which)))
        )

    async def drop_tombstones(self, before: int, *, limit: int = 1000) -> int:
        def job(connection: apsw.Connection) -> int:
            idle = list(connection.execute(_Q["idle_tombstones"], {"before": before, "limit": limit}))
            for (number,) in idle:
                connection.execute(_Q["drop_turn"], {"number": number})
            return len(idle)

        return await self._database.write(job)

    async def turns_of(self, project: str, end_user: str | None) -> Sequence[PersonsTurn]:
        found: list[PersonsTurn] = []
        which: dict[str, Any] = {"project": self._database.project(project), "limit": _CHUNK, "after": 0}
        while rows := await self._database.scan(lambda reader: _chunk(reader, which)):
            which["after"] = rows[-1][0]
            found += [turn for turn in (_persons(row, end_user) for row in rows) if turn is not None]
        return found


def chosen(reader: apsw.Connection, whose: Whose) -> dict[str, str | None]:
    """The numbers of the projects that are meant, as the statements take them."""
    numbers: dict[str, list[int]] = {}
    for name, number in reader.execute(_Q["projects"]):
        numbers.setdefault(str(name).partition("/")[0], []).append(number)

    def among(names: Set[str]) -> str:
        return msgspec.json.encode([number for name in names for number in numbers.get(name, ())]).decode()

    return {"only": None if whose.only is None else among(whose.only), "but": among(whose.but)}


def _chunk(reader: apsw.Connection, which: dict[str, Any]) -> list[Any]:
    return list(reader.execute(_Q["fields_of_project"], which))


def _persons(row: Sequence[Any], end_user: str | None) -> PersonsTurn | None:
    _, tree, rest, status, fields = row
    return persons_turn(tree, rest, status, fields, end_user)
