"""Contents that go: of single turns at once, and of whole trees whose time is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import apsw

from catena.store.housekeeping import ALL_PROJECTS, Expiry, Whose
from catena.store.rows import id_of
from catena.store.sqlite import belongings
from catena.store.sqlite.database import Database
from catena.store.sqlite.housekeeping import chosen
from catena.store.sqlite.logs import RunLogs
from catena.store.sqlite.statements import load_statements

__all__ = ["Removal", "erase"]

_Q: Final = load_statements()

_AT_ONCE: Final = 100
"""Trees that are looked for in one go."""


class Removal:
    """The verbs of a `Store` that remove turns."""

    _database: Database
    _logs: RunLogs

    async def delete(self, project: str, turn_id: str, *, cascade: bool = False) -> Sequence[str]:
        place = self._database.place_of(project, turn_id)
        if place is None:
            return []

        def job(connection: apsw.Connection) -> list[str]:
            doomed = _below(connection, place) if cascade else _itself(connection, place)
            for number in doomed:
                erase(connection, number)
            return list(doomed.values())

        deleted = await self._database.wipe(job)
        self._logs.forget(deleted)
        return deleted

    async def expire(self, older_than: int, *, whose: Whose = ALL_PROJECTS, limit: int = 1000) -> int:
        before = older_than.to_bytes(4)

        def expired(reader: apsw.Connection) -> list[Any]:
            which = {"before": before, "limit": limit, **chosen(reader, whose)}
            return list(reader.execute(_Q["expired_trees"], which))

        removed = 0
        for tree, project in await self._database.aside(expired):
            # Each by itself, so that nobody has to wait for all of them.
            removed += await self._expire_tree(tree, project, before)
        if removed:
            await self._database.wipe(lambda connection: None)
        return removed

    async def sweep(self, terms: Sequence[Expiry], *, now: float) -> int:
        removed = 0
        for term in terms:
            while turns := await self.expire(term.older_than, whose=term.whose, limit=_AT_ONCE):
                removed += turns
        return removed

    async def _expire_tree(self, tree: bytes, project: int, before: bytes) -> int:
        def job(connection: apsw.Connection) -> int:
            turns = list(connection.execute(_Q["turns_of_tree"], {"tree": tree, "project": project}))
            if any(made >= before for _, made in turns):  # it was continued meanwhile
                return 0
            for number, _ in turns:
                belongings.drop(connection, number)
                connection.execute(_Q["drop_turn"], {"number": number})
            return len(turns)

        return await self._database.write(job)


def erase(connection: apsw.Connection, number: int) -> None:
    """Leave a tombstone of the turn in this row, in a transaction of the writer's."""
    belongings.drop(connection, number)
    connection.execute(_Q["erase"], {"number": number})


def _itself(connection: apsw.Connection, place: Mapping[str, Any]) -> dict[int, str]:
    """The turn by its row number, unless it is a tombstone."""
    turn_id = id_of(place["tree"], place["id"])
    return {
        number: turn_id for number, _, deleted, *_ in connection.execute(_Q["state"], place) if not deleted
    }


def _below(connection: apsw.Connection, place: Mapping[str, Any]) -> dict[int, str]:
    """The turn and all its descendants by their row numbers, but for the tombstones among them."""
    reached: set[int] = set()
    alive: dict[int, str] = {}
    for number, parent, rest, deleted in connection.execute(_Q["outline"], place):
        if rest == place["id"] or parent in reached:
            reached.add(number)
            if not deleted:
                alive[number] = id_of(place["tree"], rest)
    return alive
