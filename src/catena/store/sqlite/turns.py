"""Turns in SQLite: begun, finished, and their fields changed, each in one transaction with all that belongs to it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

import apsw

from catena.errors import PreviousResponseNotFound
from catena.store import LeaseLost, Turn
from catena.store.rows import (
    Prepared,
    decode_places,
    encode_places,
    is_over,
    key_of,
    prepare,
    prepare_fields,
)
from catena.store.sqlite import belongings, holding, outbox
from catena.store.sqlite.database import MOST_ON_THE_LOOP, Database
from catena.store.sqlite.indexing import Indexer
from catena.store.sqlite.logs import RunLogs
from catena.store.sqlite.statements import load_statements

__all__ = ["NO_RUN", "Turns", "add", "add_new", "prepared"]

_Q: Final = load_statements()

NO_RUN: Final = {"owner": None, "lease_until": None, "request": None}
"""What is stored beside a turn that nobody runs."""


class Turns:
    """The verbs of a `Store` that write turns."""

    _database: Database
    _logs: RunLogs
    _indexer: Indexer | None

    async def begin(self, turn: Turn, *, owner: str = "", lease: float = 0.0, request: bytes = b"") -> None:
        database = self._database
        row = await prepared(database, turn)
        run = {
            "owner": owner or None,
            "lease_until": time.time() + lease if owner else None,
            "request": database.cipher.seal(request, "request", *(key_of(turn.id) or ()))
            if request
            else None,
        }

        def job(connection: apsw.Connection) -> None:
            number, project = add_new(database, connection, row, run)
            holding.hold(connection, turn, project, number)

        await database.write(job)
        self._logs.expect(turn)

    async def finish(self, turn: Turn, *, notify_at: float | None = None) -> None:
        database = self._database
        row = await prepared(database, turn)

        def job(connection: apsw.Connection) -> None:
            project = database.project_to_write(connection, turn.project)
            if add(connection, row, project, NO_RUN) is None and not _end(connection, row, project):
                return
            if notify_at is not None:
                outbox.notify(connection, project, turn.id, turn.status, notify_at)

        await database.write(job)
        if self._indexer is not None:
            self._indexer.wake()
        self._logs.forget([turn.id])

    async def set_fields(self, project: str, turn_id: str, fields: bytes) -> bool:
        place = self._database.place_of(project, turn_id)
        if place is None:
            return False
        stored, places, contents = prepare_fields(turn_id, fields, self._database.cipher)

        def job(connection: apsw.Connection) -> bool:
            for number, status, deleted, _, payloads in list(connection.execute(_Q["state"], place)):
                if deleted or not is_over(status):
                    return False
                before = decode_places(payloads) if payloads else []
                after = [*(each for each in before if each.column != "fields"), *places]
                changed = {"fields": stored, "payloads": encode_places(after) if after else None}
                belongings.add_payloads(connection, number, place["tree"], contents)
                connection.execute(_Q["set_fields"], {**changed, "number": number})
                unused = {each.hash for each in before} - {each.hash for each in after}
                belongings.drop_payloads(connection, number, place["tree"], unused)
                return True
            return False

        return await self._database.write(job)


async def prepared(database: Database, turn: Turn) -> Prepared:
    """A turn as its row takes it; a large one is made so in a thread."""
    if len(turn.input) + len(turn.output) + len(turn.fields) <= MOST_ON_THE_LOOP:
        return prepare(turn, database.cipher)
    return await database.in_thread(lambda: prepare(turn, database.cipher))


def add_new(
    database: Database, connection: apsw.Connection, row: Prepared, run: Mapping[str, Any]
) -> tuple[int, int]:
    """Store a turn that is new. Returns the numbers of its row and of its project."""
    project = database.project_to_write(connection, row.turn.project)
    number = add(connection, row, project, run)
    if number is None:
        raise _taken(row.turn)
    return number, project


def add(connection: apsw.Connection, row: Prepared, project: int, run: Mapping[str, Any]) -> int | None:
    """Store a turn in a new row, and return its number; None if the turn is there already."""
    turn = row.turn
    parent = None if turn.parent is None else _parent_key(turn, turn.parent)
    place = {"project": project, "parent": parent, "fence": turn.fence}
    connection.execute(_Q["add"], {**row.columns, **place, **run})
    if not connection.changes():
        if parent is not None:
            _check_parent(connection, {**place, "tree": row.columns["tree"], "id": parent}, turn)
        return None
    number = connection.last_insert_rowid()
    belongings.keep(connection, number, row, project)
    return number


def _parent_key(turn: Turn, parent: str) -> bytes:
    """By what the parent is found in the turn's own tree."""
    key = key_of(parent)
    if key is None or key[0].hex() != turn.tree:
        raise PreviousResponseNotFound(parent)
    return key[1]


def _check_parent(connection: apsw.Connection, place: Mapping[str, Any], turn: Turn) -> None:
    """Raise PreviousResponseNotFound if that is why a turn was not stored."""
    if not list(connection.execute(_Q["find"], place)):
        raise PreviousResponseNotFound(str(turn.parent))


def _end(connection: apsw.Connection, row: Prepared, project: int) -> bool:
    """Bring a turn that was begun into its final state; False if it has ended or was deleted."""
    begun = list(connection.execute(_Q["state"], {**row.columns, "project": project}))
    if not begun:
        raise _taken(row.turn)
    ((number, status, deleted, fence, payloads),) = begun
    if fence != row.turn.fence:
        raise LeaseLost(row.turn.id)
    if deleted or is_over(status):
        return False
    connection.execute(_Q["end"], {**row.columns, "number": number})
    belongings.keep(connection, number, row, project)
    unused = belongings.hashes_in(payloads) - row.contents.keys()
    belongings.drop_payloads(connection, number, row.columns["tree"], unused)
    holding.advance(connection, number)
    return True


def _taken(turn: Turn) -> ValueError:
    return ValueError(f"There is a turn {turn.id} already.")
