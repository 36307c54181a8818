"""The store in PostgreSQL, for any number of servers.

Each verb is one statement, or one transaction; those that are written all the time wait for each other and share a
commit (`writer`). Everything about a tree is found by its key. What one server has written, the next read of another
sees; nothing is remembered here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from catena.errors import NotFound, PreviousResponseNotFound
from catena.ids import item_home
from catena.store import KeyUse, Page, Turn, Usage
from catena.store.cipher import Sealing
from catena.store.housekeeping import ALL_PROJECTS, Expiry, Whose
from catena.store.postgres.clock import Clock
from catena.store.postgres.conversations import Conversations
from catena.store.postgres.counters import PostgresCounters
from catena.store.postgres.database import Database, DatabaseSettings, Row, Session
from catena.store.postgres.documents import PostgresDocuments
from catena.store.postgres.expiry import Walk
from catena.store.postgres.files import PostgresFiles
from catena.store.postgres.housekeeping import PostgresHousekeeping
from catena.store.postgres.indexing import Indexing
from catena.store.postgres.leases import Leases
from catena.store.postgres.lineage import PostgresLineage
from catena.store.postgres.lookback import forget_words
from catena.store.postgres.migrating import check_schema
from catena.store.postgres.moving import Moving
from catena.store.postgres.naming import Naming
from catena.store.postgres.outbox import Outbox
from catena.store.postgres.partitions import layout_of
from catena.store.postgres.peers import PostgresPeers
from catena.store.postgres.removal import below, drop_payloads, erase
from catena.store.postgres.resealing import PostgresResealing, unlocked
from catena.store.postgres.retiring import Sweep
from catena.store.postgres.rows import (
    labels_in,
    labels_of,
    place_of,
    placed,
    sealed_labels,
    stored_labels,
    turn_in,
    turns_in,
)
from catena.store.postgres.statements import Q, ordered
from catena.store.postgres.turns import Turns
from catena.store.postgres.writer import Writer
from catena.store.rows import DOORS, decode_places, encode_places, id_of, is_over, item_in, prepare_fields

__all__ = ["PostgresStore"]


class PostgresStore(Leases, Conversations, Outbox, Moving):
    """See `Store`. Open it with `open`; it belongs to the event loop that it was opened in."""

    def __init__(self, database: Database, *, searched: bool) -> None:
        self._database = database
        self._writer = Writer(database)
        self._walk: tuple[Expiry, Walk] | None = None  # one of `expire` that was not at its end
        self._clock = Clock(database)
        self._indexing = Indexing(database) if searched else None
        self._turns = Turns(database, self._writer, searched=searched)
        self.counters = PostgresCounters(database)
        self.documents = PostgresDocuments(database)
        self.files = PostgresFiles(database)
        self.housekeeping = PostgresHousekeeping(database)
        self.lineage = PostgresLineage(database, self._indexing)
        self.peers = PostgresPeers(database, self._clock)
        cipher = database.cipher
        self.resealing = PostgresResealing(database, cipher) if isinstance(cipher, Sealing) else None

    @classmethod
    async def open(
        cls, settings: DatabaseSettings, *, searched: bool = False, key_file: Path | None = None
    ) -> PostgresStore:
        """The store in this database, whose tables must be there: `migrate` makes them.

        Only one that is `searched` keeps words, and can look for them; another removes those that are there. With
        a file of keys new contents are sealed, and words are neither kept nor looked for. Raises StoreUnavailable if
        the database cannot be reached, if its tables are older or newer than this version's, or if a key is missing
        that contents were sealed with.
        """
        database = await Database.open(settings)
        try:
            await database.transaction(check_schema)
            layout = await database.transaction(layout_of)
            if layout is not None:
                database.naming = Naming(layout, plans_are_kept=not settings.pooled)
            database.cipher = await unlocked(database, key_file)
            searched = searched and not database.cipher.sealing  # words would tell what is sealed
            if not searched:
                await database.transaction(forget_words)
        except BaseException:
            await database.close()
            raise
        return cls(database, searched=searched)

    async def close(self) -> None:
        await self._writer.close()
        if self._indexing is not None:
            await self._indexing.close()
        await self._database.close()

    @property
    def commits(self) -> int:
        """Transactions with writes of runs that were committed since it was opened."""
        return self._writer.commits

    @property
    def writes(self) -> int:
        """Writes in them."""
        return self._writer.writes

    # Writing

    async def begin(self, turn: Turn, *, owner: str = "", lease: float = 0.0, request: bytes = b"") -> None:
        await self._turns.begin(turn, owner=owner, lease=lease, request=request)

    async def finish(self, turn: Turn, *, notify_at: float | None = None) -> None:
        at = self._clock.corrected(notify_at) if notify_at is not None else None
        await self._turns.finish(turn, notify_at=at)
        if self._indexing is not None:
            self._indexing.stored()

    async def set_fields(self, project: str, turn_id: str, fields: bytes) -> bool:
        place = place_of(project, turn_id)
        if place is None:
            return False
        cipher = self._database.cipher
        stored, places, contents = prepare_fields(turn_id, fields, cipher)
        hashes = sorted(contents)

        async def job(session: Session) -> bool:
            rows = await session.fetch(Q["lock"], place)
            if not rows or rows[0]["deleted"] or not is_over(rows[0]["status"]):
                return False
            before = decode_places(rows[0]["payloads"]) if rows[0]["payloads"] else []
            after = encode_places([*(each for each in before if each.column != "fields"), *places])
            values = {
                "fields": stored,
                "payloads": after,
                "labels": stored_labels(labels_in(fields), project, cipher),
                "hashes": hashes,
                "contents": [contents[each] for each in hashes],
            }
            await session.fetch(Q["set_fields"], {**place, **values})
            kept = placed(after, ("input", "output", "fields"))
            await drop_payloads(session, place["tree"], [place["id"]], but=sorted(kept))
            return True

        return await self._database.transaction(job)

    async def delete(self, project: str, turn_id: str, *, cascade: bool = False) -> Sequence[str]:
        place = place_of(project, turn_id)
        if place is None:
            return []

        async def job(session: Session) -> list[bytes]:
            outline = await session.fetch(Q["outline" if cascade else "itself"], place)
            return await erase(session, place["tree"], below(outline, place["id"]))

        return [id_of(place["tree"], rest) for rest in await self._database.transaction(job)]

    async def expire(self, older_than: int, *, whose: Whose = ALL_PROJECTS, limit: int = 1000) -> int:
        term = Expiry(older_than=older_than, whose=whose)
        if self._walk is None or self._walk[0] != term:
            self._walk = term, Walk(self._database, [term])
        _, walk = self._walk
        _, removed = await walk.on(limit)
        if walk.is_over:
            self._walk = None
        return removed

    async def sweep(self, terms: Sequence[Expiry], *, now: float) -> int:
        return await Sweep(self._database, terms, now).run()

    # Reading

    async def find_key(self, project: str, name: bytes, *, since: int) -> KeyUse | None:
        which = {"project": project, "name": name, "since": since}
        for row in await self._database.fetch(Q["find_key"], which):
            return KeyUse(row["turn"], self._database.cipher.open(row["body"], "body", name))
        return None

    async def load(self, project: str, turn_id: str) -> Turn | None:
        rows = await self._rows("load", project, turn_id)
        return turn_in(project, rows[0], self._database.cipher) if rows else None

    async def load_chain(self, project: str, turn_id: str, *, most: int | None = None) -> Sequence[Turn]:
        rows = await self._rows("load_chain", project, turn_id, most=most)
        if not rows:
            raise PreviousResponseNotFound(turn_id)
        return turns_in(project, rows, self._database.cipher)

    async def load_item(self, project: str, item_id: str) -> bytes | None:
        stem = item_home(item_id)
        for prefix in DOORS if stem is not None else ():
            item = item_in(await self.load(project, f"{prefix}{stem}0000"), item_id)
            if item is not None:
                return item
        which = {"project": project, "id": item_id.encode()}
        for row in await self._database.fetch(Q["home_of_foreign_item"], which):
            return item_in(turn_in(project, row, self._database.cipher), item_id)
        return None

    async def list_listed(
        self, project: str, page: Page, *, model: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> tuple[Sequence[Turn], bool]:
        which: dict[str, Any] = {
            "project": project,
            "model": model.encode() if model is not None else None,
            "labels": labels_of(metadata) if metadata else None,
            "created_at": None,
            "after": None,
            "limit": page.limit + 1,
        }
        cipher = self._database.cipher
        which["sealed_labels"] = sealed_labels(which["labels"], project, cipher)
        if page.after is not None:
            which |= await self._position_of(project, page.after)
        rows = await self._database.fetch(ordered("list_listed", page), which)
        return [turn_in(project, row, cipher) for row in rows[: page.limit]], len(rows) > page.limit

    async def _position_of(self, project: str, turn_id: str) -> dict[str, int]:
        for row in await self._rows("position", project, turn_id):
            return {"created_at": row["created_at"], "after": row["number"]}
        raise NotFound(f"Completion with id '{turn_id}' not found.", param="after")

    async def tree(self, project: str, turn_id: str) -> Sequence[Turn]:
        if not await self._rows("position", project, turn_id):
            return []
        return turns_in(project, await self._rows("load_tree", project, turn_id), self._database.cipher)

    async def usage(self) -> Usage:
        (row,) = await self._database.patient().fetch(Q["count"], {})
        return Usage(turns=row["turns"], trees=row["trees"], bytes=row["bytes"])

    async def stored_bytes(self, project: str) -> int:
        ((count,),) = await self._database.patient().fetch(Q["stored_bytes"], {"project": project})
        return int(count)

    async def _rows(self, name: str, project: str, turn_id: str, **more: Any) -> Sequence[Row]:
        """What a statement finds for a turn; nothing for an id that cannot be one of ours."""
        place = place_of(project, turn_id)
        return await self._database.fetch(Q[name], {**place, **more}) if place is not None else ()
