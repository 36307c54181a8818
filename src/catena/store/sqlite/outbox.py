"""Webhooks in SQLite: who wants to hear of the ends of runs, and what they have yet to hear.

The endpoints of a project are one value, in its own row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import apsw
import msgspec

from catena.store import Delivery, Endpoint, Status
from catena.store.sqlite.database import Database
from catena.store.sqlite.statements import load_statements

__all__ = ["Outbox", "notify"]

_Q: Final = load_statements()

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(list[Endpoint]).decode


class Outbox:
    """The verbs of a `Store` for webhooks."""

    _database: Database

    async def notify(self, project: str, turn_id: str, status: Status, at: float) -> None:
        number = self._database.project(project)
        await self._database.write(lambda connection: notify(connection, number, turn_id, status, at))

    async def claim_deliveries(self, now: float, lease: float, *, limit: int) -> Sequence[Delivery]:
        if not self._database.read(lambda reader: reader.execute(_Q["is_any_due"], {"now": now}).get):
            return []  # the usual case, which need not hold up the writer
        return await self._database.write(lambda connection: _claim(connection, now, lease, limit))

    async def postpone(self, delivery: Delivery, due: float) -> None:
        what = {**_place_of(delivery), "next": due}
        await self._database.write(lambda connection: list(connection.execute(_Q["postpone"], what)))

    async def drop_delivery(self, delivery: Delivery) -> None:
        what = _place_of(delivery)
        await self._database.write(lambda connection: list(connection.execute(_Q["drop_delivery"], what)))

    async def add_endpoint(self, project: str, endpoint: Endpoint) -> None:
        def job(connection: apsw.Connection) -> None:
            number = self._database.project_to_write(connection, project)
            _set(connection, number, [endpoint, *_endpoints(connection, number)])

        await self._database.write(job)

    async def endpoints(self, project: str) -> Sequence[Endpoint]:
        number = self._database.project(project)
        return self._database.read(lambda reader: _endpoints(reader, number))

    async def change_endpoint(
        self, project: str, endpoint_id: str, change: Callable[[Endpoint], Endpoint]
    ) -> Endpoint | None:
        number = self._database.project(project)
        return await self._database.write(lambda connection: _change(connection, number, endpoint_id, change))

    async def drop_endpoint(self, project: str, endpoint_id: str) -> bool:
        number = self._database.project(project)
        return await self._database.write(lambda connection: _drop(connection, number, endpoint_id))


def notify(connection: apsw.Connection, project: int, turn_id: str, status: Status, at: float) -> None:
    """Put an end into the outbox, once for each endpoint of the project that wants it, in a transaction of the
    writer's."""
    end = {"id": turn_id, "event_type": f"response.{status}", "due": at, "created_at": int(at)}
    connection.execute(_Q["notify"], {"project": project, **end})


def _claim(connection: apsw.Connection, now: float, lease: float, limit: int) -> list[Delivery]:
    """Lease what is due."""
    claimed = []
    for row in list(connection.execute(_Q["due_deliveries"], {"now": now, "limit": limit})):
        due, endpoint_id, subject, event_type, created_at, tries, webhooks = row
        place = {"due": due, "endpoint": endpoint_id, "subject": subject}
        connection.execute(_Q["lease_delivery"], {**place, "until": now + lease})
        (endpoint,) = (each for each in _decode(webhooks) if each.id == endpoint_id)
        claimed.append(
            Delivery(
                endpoint=endpoint,
                event_type=event_type,
                subject=subject,
                created_at=created_at,
                due=now + lease,
                tries=tries + 1,
            )
        )
    return claimed


def _place_of(delivery: Delivery) -> dict[str, Any]:
    """Where a delivery stands, as long as nobody has claimed it since."""
    return {"due": delivery.due, "endpoint": delivery.endpoint.id, "subject": delivery.subject}


def _endpoints(connection: apsw.Connection, project: int) -> list[Endpoint]:
    """The newest first."""
    for (webhooks,) in connection.execute(_Q["endpoints"], {"project": project}):
        return _decode(webhooks or "[]")
    return []


def _change(
    connection: apsw.Connection, project: int, endpoint_id: str, make: Callable[[Endpoint], Endpoint]
) -> Endpoint | None:
    """Replace one by what `make` makes of it."""
    known = _endpoints(connection, project)
    for place, endpoint in enumerate(known):
        if endpoint.id == endpoint_id:
            known[place] = make(endpoint)
            _set(connection, project, known)
            return known[place]
    return None


def _drop(connection: apsw.Connection, project: int, endpoint_id: str) -> bool:
    """Remove one, with what it has yet to hear."""
    known = _endpoints(connection, project)
    left = [each for each in known if each.id != endpoint_id]
    _set(connection, project, left)
    connection.execute(_Q["drop_deliveries_to"], {"project": project, "endpoint": endpoint_id})
    return len(left) < len(known)


def _set(connection: apsw.Connection, project: int, known: Sequence[Endpoint]) -> None:
    connection.execute(_Q["set_endpoints"], {"project": project, "webhooks": _encode(known).decode()})
