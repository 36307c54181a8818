"""Runs in SQLite: who has one until when, and what its engine sent so far."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Any, Final

import apsw
from msgspec.structs import replace

from catena.store import Claim, Turn
from catena.store.cipher import Cipher
from catena.store.rows import id_of, key_of, turn_of
from catena.store.sqlite.database import READ, WRITTEN, Database
from catena.store.sqlite.logs import RunLogs
from catena.store.sqlite.rows import payloads_of
from catena.store.sqlite.statements import load_statements

__all__ = ["Leases", "under_way"]

_Q: Final = load_statements()


class Leases:
    """The verbs of a `Store` for runs under way."""

    _database: Database
    _logs: RunLogs

    async def claim(self, owner: str, lease: float, *, limit: int) -> Sequence[Claim]:
        cipher = self._database.cipher

        def job(connection: apsw.Connection) -> list[Claim]:
            now = time.time()
            claimable = list(connection.execute(_Q["claimable"], {"now": now, "limit": limit}))
            whose = {"owner": owner, "until": now + lease}
            return [_claim(connection, {**whose, "number": number}, cipher) for (number,) in claimable]

        claims = await self._database.write(job)
        for claim in claims:
            self._logs.expect(claim.turn)
        return claims

    async def renew(self, owner: str, lease: float, turn_ids: Collection[str]) -> Sequence[str]:
        keys = [key for turn_id in turn_ids if (key := key_of(turn_id)) is not None]

        def job(connection: apsw.Connection) -> list[str]:
            what = {"owner": owner, "until": time.time() + lease}
            renewed: list[str] = []
            for tree, rest in keys:
                found = connection.execute(_Q["renew"], {**what, "tree": tree, "id": rest})
                renewed += [id_of(*key) for key in found]
            return renewed

        return await self._database.write(job) if keys else []

    async def release(self, turn: Turn) -> None:
        place = self._database.place_of(turn.project, turn.id)
        if place is not None:
            what = {**place, "fence": turn.fence}
            await self._database.write(lambda connection: list(connection.execute(_Q["release"], what)))

    async def waiting(self) -> int:
        return self._database.read(lambda reader: int(reader.execute(_Q["waiting"]).get))

    async def append_log(self, turn: Turn, batch: int, chunks: bytes) -> None:
        self.log_at_once(turn, batch, chunks)

    def log_at_once(self, turn: Turn, batch: int, chunks: bytes) -> None:
        with WRITTEN:
            self._logs.append(turn, batch, chunks)

    async def load_log(self, project: str, turn_id: str) -> Sequence[bytes]:
        place = self._database.place_of(project, turn_id)
        if place is None or not self._database.read(lambda reader: list(reader.execute(_Q["state"], place))):
            return []
        with READ:
            return self._logs.load(turn_id)


def _claim(connection: apsw.Connection, what: dict[str, Any], cipher: Cipher) -> Claim:
    """Take up the run in one row."""
    (row,) = connection.execute(_Q["claim"], what)
    *columns, project, request, fence, tries = row
    ((name,),) = connection.execute(_Q["project_name"], {"number": project})
    turn = replace(turn_of(name, columns, payloads_of(connection), cipher=cipher), fence=fence)
    if request:
        request = cipher.open(request, "request", *(key_of(turn.id) or ()))
    return Claim(turn=turn, request=request or b"", tries=tries)


def under_way(reader: apsw.Connection) -> dict[str, tuple[str, int]]:
    """The project and the fence of every run that has not ended."""
    return {
        id_of(tree, rest): (str(project), int(fence))
        for tree, rest, project, fence in reader.execute(_Q["under_way"])
    }
