"""What servers tell each other through PostgreSQL. Who waits for news looks again: nothing is kept in a session."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from catena.store import Claim
from catena.store.peers import Progress
from catena.store.postgres.clock import Clock, latest
from catena.store.postgres.database import Database, Row
from catena.store.postgres.leases import chunks_in, claims_in, request_in
from catena.store.postgres.rows import keys_of, place_of
from catena.store.postgres.statements import Q
from catena.store.rows import id_of, key_of, status_of

__all__ = ["PostgresPeers"]


class PostgresPeers:
    """See `Peers`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def progress(self, project: str, turn_id: str, batch: int) -> Progress | None:
        for row in await self._on("progress", project, turn_id, batch=batch):
            place, cipher = place_of(project, turn_id) or {}, self._database.cipher
            numbered = zip(row["numbers"], row["batches"], strict=True)
            batches = [chunks_in(place, number, chunks, cipher) for number, chunks in numbered]
            return Progress(status_of(row["status"]), batches)
        return None

    async def order(self, project: str, turn_id: str) -> bytes:
        for row in await self._on("order", project, turn_id):
            return request_in(row, *(key_of(turn_id) or (b"", b"")), self._database.cipher)
        return b""

    async def attend(self, project: str, turn_id: str, seconds: float) -> None:
        await self._on("attend", project, turn_id, seconds=seconds)

    async def is_attended(self, project: str, turn_id: str) -> bool:
        return bool(await self._on("is_attended", project, turn_id))

    async def ask_to_cancel(self, project: str, turn_id: str) -> None:
        await self._on("ask_to_cancel", project, turn_id)

    async def to_cancel(self, owner: str) -> Sequence[str]:
        rows = await self._database.fetch(Q["to_cancel"], {"owner": owner})
        return [id_of(row["tree"], row["id"]) for row in rows]

    async def claim_cancelled(self, owner: str, lease: float, *, limit: int) -> Sequence[Claim]:
        until = latest(await self._clock.now(), lease)
        what = {"owner": owner, "lease": lease, "limit": limit, "until": until}
        return claims_in(await self._database.fetch(Q["claim_cancelled"], what), self._database.cipher)

    async def waiting_among(self, turn_ids: Collection[str]) -> Sequence[str]:
        rows = await self._database.fetch(Q["waiting_among"], keys_of(turn_ids))
        return [id_of(row["tree"], row["id"]) for row in rows]

    async def removals(self, tree: str) -> int:
        for row in await self._database.fetch(Q["removals"], {"tree": bytes.fromhex(tree)}):
            return int(row["number"])
        return 0

    async def hold_key(self, project: str, name: bytes, owner: str, seconds: float) -> bool:
        what = {"project": project, "name": name, "owner": owner, "seconds": seconds}
        return bool(await self._database.fetch(Q["hold_key"], what))

    async def renew_keys(self, owner: str, names: Collection[bytes], seconds: float) -> None:
        if names:
            what = {"owner": owner, "names": list(names), "seconds": seconds}
            await self._database.fetch(Q["renew_keys"], what)

    async def release_key(self, project: str, name: bytes, owner: str) -> None:
        await self._database.fetch(Q["release_key"], {"project": project, "name": name, "owner": owner})

    async def _on(self, name: str, project: str, turn_id: str, **more: Any) -> Sequence[Row]:
        place = place_of(project, turn_id)
        return () if place is None else await self._database.fetch(Q[name], {**place, **more})
