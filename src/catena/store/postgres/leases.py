"""Runs in PostgreSQL: who has one until when, by the clock of the database, and what its engine sent so far."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from catena.store import Claim, LeaseLost, Turn
from catena.store.cipher import Cipher
from catena.store.postgres.clock import Clock, latest
from catena.store.postgres.database import Database, Row
from catena.store.postgres.rows import keys_of, place_of, turn_in
from catena.store.postgres.statements import Q
from catena.store.postgres.writer import Writer
from catena.store.rows import id_of, key_of

__all__ = ["Leases", "chunks_in", "claims_in", "request_in"]


class Leases:
    """The verbs of a `Store` for runs under way."""

    _database: Database
    _writer: Writer
    _clock: Clock

    async def claim(self, owner: str, lease: float, *, limit: int) -> Sequence[Claim]:
        until = latest(await self._clock.now(), lease)
        what = {"owner": owner, "lease": lease, "limit": limit, "until": until}
        return claims_in(await self._database.fetch(Q["claim"], what), self._database.cipher)

    async def renew(self, owner: str, lease: float, turn_ids: Collection[str]) -> Sequence[str]:
        which = keys_of(turn_ids)
        if not which["ids"]:
            return []
        what = {"owner": owner, "lease": lease}
        rows = await self._database.fetch(Q["renew"], {**which, **what})
        kept = [row for row in rows if row["renewed"]]
        for row in rows:
            if not row["renewed"]:  # it is being written
                place = {"tree": row["tree"], "id": row["id"]}
                kept += await self._database.fetch(Q["renew_one"], {**place, **what})
        return [id_of(row["tree"], row["id"]) for row in kept]

    async def release(self, turn: Turn) -> None:
        place = place_of(turn.project, turn.id)
        if place is not None:
            await self._database.fetch(Q["release"], {**place, "fence": turn.fence})

    async def waiting(self) -> int:
        ((count,),) = await self._database.fetch(Q["waiting"], {})
        return int(count)

    log_at_once: None = None

    async def append_log(self, turn: Turn, batch: int, chunks: bytes) -> None:
        tree, rest = key_of(turn.id) or (b"", b"")
        place = {"tree": tree, "id": rest, "project": turn.project, "fence": turn.fence}
        stored = self._database.cipher.seal(chunks, "chunks", tree, rest, batch.to_bytes(4))
        row = await self._writer.write(Q["append_log"], {**place, "batch": batch, "chunks": stored})
        if not row["kept"]:
            raise LeaseLost(turn.id)

    async def load_log(self, project: str, turn_id: str) -> Sequence[bytes]:
        place = place_of(project, turn_id)
        rows = await self._database.fetch(Q["load_log"], place) if place is not None else ()
        return [chunks_in(place or {}, row["batch"], row["chunks"], self._database.cipher) for row in rows]


def chunks_in(place: Mapping[str, Any], batch: int, stored: bytes, cipher: Cipher) -> bytes:
    """A batch of a run's log. Raises StoreUnavailable if it cannot be opened."""
    return cipher.open(stored, "chunks", place["tree"], place["id"], batch.to_bytes(4))


def request_in(row: Row, tree: bytes, rest: bytes, cipher: Cipher) -> bytes:
    """What a run needs that waits. Raises StoreUnavailable if it cannot be opened."""
    return cipher.open(row["request"], "request", tree, rest) if row["request"] else b""


def claims_in(rows: Sequence[Row], cipher: Cipher) -> list[Claim]:
    """The claims in rows, the oldest first."""
    return [_claim_in(row, cipher) for row in sorted(rows, key=lambda row: row["number"])]


def _claim_in(row: Row, cipher: Cipher) -> Claim:
    turn = replace(turn_in(row["project"], row, cipher), fence=row["fence"])
    return Claim(turn=turn, request=request_in(row, row["tree"], row["id"], cipher), tries=row["tries"])
