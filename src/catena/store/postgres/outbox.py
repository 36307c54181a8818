"""Webhooks in PostgreSQL: who wants to hear of the ends of runs, and what they have yet to hear."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from catena.store import Delivery, Endpoint, Status
from catena.store.cipher import Cipher
from catena.store.postgres.clock import Clock
from catena.store.postgres.database import Database, Row
from catena.store.postgres.statements import Q

__all__ = ["Outbox", "endpoint_in", "endpoint_values"]

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Endpoint).decode


class Outbox:
    """The verbs of a `Store` for webhooks. Servers tell times by their own clocks; those of the database are kept."""

    _database: Database
    _clock: Clock

    async def notify(self, project: str, turn_id: str, status: Status, at: float) -> None:
        end = {
            "project": project,
            "subject": turn_id,
            "event_type": f"response.{status}",
            "due": self._clock.corrected(at),
        }
        await self._database.fetch(Q["notify"], end)

    async def claim_deliveries(self, now: float, lease: float, *, limit: int) -> Sequence[Delivery]:
        await self._clock.now()
        now = self._clock.corrected(now)
        until = now + lease
        rows = await self._database.fetch(Q["claim_deliveries"], {"now": now, "until": until, "limit": limit})
        return [
            Delivery(
                endpoint=endpoint_in(row, self._database.cipher),
                event_type=row["event_type"],
                subject=row["subject"],
                created_at=row["created_at"],
                due=until,
                tries=row["tries"],
            )
            for row in sorted(rows, key=lambda row: row["since"])
        ]

    async def postpone(self, delivery: Delivery, due: float) -> None:
        await self._database.fetch(Q["postpone"], {**_place_of(delivery), "next": self._clock.corrected(due)})

    async def drop_delivery(self, delivery: Delivery) -> None:
        await self._database.fetch(Q["drop_delivery"], _place_of(delivery))

    async def add_endpoint(self, project: str, endpoint: Endpoint) -> None:
        await self._database.fetch(
            Q["add_endpoint"], endpoint_values(project, endpoint, self._database.cipher)
        )

    async def endpoints(self, project: str) -> Sequence[Endpoint]:
        rows = await self._database.fetch(Q["endpoints"], {"project": project})
        return [endpoint_in(row, self._database.cipher) for row in rows]

    async def change_endpoint(
        self, project: str, endpoint_id: str, change: Callable[[Endpoint], Endpoint]
    ) -> Endpoint | None:
        while True:
            rows = await self._database.fetch(Q["endpoint"], {"project": project, "endpoint": endpoint_id})
            if not rows:
                return None
            changed = change(endpoint_in(rows[0], self._database.cipher))
            values = endpoint_values(project, changed, self._database.cipher)
            values["document_before"] = rows[0]["document"]
            if await self._database.fetch(Q["change_endpoint"], values):
                return changed

    async def drop_endpoint(self, project: str, endpoint_id: str) -> bool:
        ((gone,),) = await self._database.fetch(
            Q["drop_endpoint"], {"project": project, "endpoint": endpoint_id}
        )
        return bool(gone)


def _place_of(delivery: Delivery) -> dict[str, Any]:
    """Where a delivery stands, as long as nobody has claimed it since."""
    return {"due": delivery.due, "endpoint": delivery.endpoint.id, "subject": delivery.subject}


def endpoint_in(row: Row, cipher: Cipher) -> Endpoint:
    """The endpoint in a row. Raises StoreUnavailable if it cannot be opened."""
    return _decode(cipher.open(row["document"], "document", row["project"].encode(), row["id"].encode()))


def endpoint_values(project: str, endpoint: Endpoint, cipher: Cipher) -> dict[str, Any]:
    """An endpoint as the statements that store it take it."""
    return {
        "project": project,
        "endpoint": endpoint.id,
        "event_types": list(endpoint.event_types),
        "document": cipher.seal(_encode(endpoint), "document", project.encode(), endpoint.id.encode()),
    }
