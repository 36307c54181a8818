"""Webhooks in SQLite: who wants to hear of the ends of runs, and what they have yet to hear.

Everything here is a part of a transaction that the store's writer has begun, or a read. The endpoints of a project are
one value, in its own row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import apsw
import msgspec

from catena.store import Delivery, Endpoint, Status
from catena.store.sqlite.statements import load_statements

__all__ = ["add", "change", "claim", "drop", "endpoints", "notify", "place_of"]

_Q: Final = load_statements()

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Endpoint]).decode


def notify(connection: apsw.Connection, project: int, turn_id: str, status: Status, at: float) -> None:
    """Put an end into the outbox, once for each endpoint of the project that wants it."""
    end = {"id": turn_id, "event_type": f"response.{status}", "due": at, "created_at": int(at)}
    connection.execute(_Q["notify"], {"project": project, **end})


def claim(connection: apsw.Connection, now: float, lease: float, limit: int) -> list[Delivery]:
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


def place_of(delivery: Delivery) -> dict[str, Any]:
    """Where a delivery stands, as long as nobody has claimed it since."""
    return {"due": delivery.due, "endpoint": delivery.endpoint.id, "subject": delivery.subject}


def endpoints(connection: apsw.Connection, project: int) -> list[Endpoint]:
    """The newest first."""
    for (webhooks,) in connection.execute(_Q["endpoints"], {"project": project}):
        return _decode(webhooks or "[]")
    return []


def add(connection: apsw.Connection, project: int, endpoint: Endpoint) -> None:
    """Store a new one."""
    _set(connection, project, [endpoint, *endpoints(connection, project)])


def change(
    connection: apsw.Connection, project: int, endpoint_id: str, make: Callable[[Endpoint], Endpoint]
) -> Endpoint | None:
    """Replace one by what `make` makes of it."""
    known = endpoints(connection, project)
    for place, endpoint in enumerate(known):
        if endpoint.id == endpoint_id:
            known[place] = make(endpoint)
            _set(connection, project, known)
            return known[place]
    return None


def drop(connection: apsw.Connection, project: int, endpoint_id: str) -> bool:
    """Remove one, with what it has yet to hear."""
    known = endpoints(connection, project)
    left = [each for each in known if each.id != endpoint_id]
    _set(connection, project, left)
    connection.execute(_Q["drop_deliveries_to"], {"project": project, "endpoint": endpoint_id})
    return len(left) < len(known)


def _set(connection: apsw.Connection, project: int, known: Sequence[Endpoint]) -> None:
    connection.execute(_Q["set_endpoints"], {"project": project, "webhooks": _encode(known).decode()})
