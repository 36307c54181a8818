"""The store in one SQLite file, for one server.

One thread writes (`writer`), in groups; reads go over connections of their own, which see what was committed before
they began. A turn is one row, found through (tree, id); a chain is read by following row numbers upwards in one
statement. See docs/adr/003-chain-store.md for what was measured.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

import apsw

from catena.errors import CatenaError, NotFound, PreviousResponseNotFound, StoreUnavailable
from catena.ids import item_home
from catena.store import KeyUse, Page, Turn, Usage
from catena.store.cipher import Sealing
from catena.store.counters import MemoryCounters
from catena.store.rows import DOORS, item_in
from catena.store.sqlite.conversations import Conversations
from catena.store.sqlite.database import MOST_ON_THE_LOOP, Database
from catena.store.sqlite.documents import SqliteDocuments
from catena.store.sqlite.files import SqliteFiles
from catena.store.sqlite.housekeeping import SqliteHousekeeping
from catena.store.sqlite.indexing import Indexer
from catena.store.sqlite.leases import Leases, under_way
from catena.store.sqlite.lineage import SqliteLineage
from catena.store.sqlite.logs import RunLogs
from catena.store.sqlite.moving import Moving
from catena.store.sqlite.opening import Durability, connect, create_private, migrate, sole_use, unlocked
from catena.store.sqlite.outbox import Outbox
from catena.store.sqlite.removal import Removal
from catena.store.sqlite.resealing import SqliteResealing
from catena.store.sqlite.rows import chain_in, turns_in
from catena.store.sqlite.search import Search
from catena.store.sqlite.statements import expanded, give_cipher, load_statements
from catena.store.sqlite.turns import Turns

__all__ = ["SqliteStore"]

_Q: Final = load_statements()
_HAS_METADATA: Final = expanded(
    "EXISTS (SELECT 1 FROM json_each(CAST(opened(t.fields, t.tree, t.id) AS TEXT), '$.metadata') m "
    "WHERE m.key = :key{0} AND m.value = :value{0})"
)


class SqliteStore(Turns, Removal, Leases, Conversations, Outbox, Moving):
    """See `Store`. Open it with `open`; it belongs to the event loop that it was opened in."""

    def __init__(self, path: Path, lock: IO[str], database: Database, search: Search | None) -> None:
        self._path = path
        self._lock = lock
        self._database = database
        self._search = search
        self._indexer = Indexer(search, database.scan) if search is not None else None
        cipher = database.cipher
        self._logs = RunLogs(Path(f"{path}-logs"), database.read(under_way), cipher)
        self.counters = MemoryCounters()  # nobody else has this store
        self.documents = SqliteDocuments(database)
        self.files = SqliteFiles(database)
        self.housekeeping = SqliteHousekeeping(database)
        self.lineage = SqliteLineage(database, search)
        self.peers = None
        self.resealing = (
            SqliteResealing(database, cipher, self._logs) if isinstance(cipher, Sealing) else None
        )

    @classmethod
    async def open(
        cls,
        path: Path | str,
        *,
        durability: Durability = "full",
        searched: bool = False,
        key_file: Path | None = None,
    ) -> SqliteStore:
        """The store in this file, which is made if it is not there, and brought up to date if it is older.

        With durability `full`, what was written survives a loss of power at once; with `normal`, the last moments may
        be lost then, but nothing by a crash of this process. Only one that is `searched` can look for words. With a
        file of keys new contents are sealed, and words cannot be looked for. Raises StoreUnavailable if another server
        has the file, if it cannot be used, or if a key is missing that contents were sealed with.
        """
        path = Path(path)
        lock = sole_use(path)
        try:
            database, search = _opened(path, durability, searched=searched, key_file=key_file)
            return cls(path, lock, database, search)
        except CatenaError:
            lock.close()
            raise
        except (apsw.Error, OSError) as error:
            lock.close()
            raise StoreUnavailable(f"The database {path} cannot be opened: {error}") from error

    async def close(self) -> None:
        if self._indexer is not None:
            await self._indexer.stop()
        await self._database.close()
        if self._search is not None:
            self._search.close()
        self._logs.close()
        self._lock.close()

    @property
    def commits(self) -> int:
        """Transactions that were committed since it was opened."""
        return self._database.writer.commits

    @property
    def writes(self) -> int:
        """Writes in them."""
        return self._database.writer.jobs

    # Reading

    async def find_key(self, project: str, name: bytes, *, since: int) -> KeyUse | None:
        which = {"project": self._database.project(project), "name": name, "since": since}
        found = self._database.read(lambda reader: list(reader.execute(_Q["find_key"], which)))
        return KeyUse(*found[0]) if found else None

    async def load(self, project: str, turn_id: str) -> Turn | None:
        place = self._database.place_of(project, turn_id)
        if place is None:
            return None
        small, cipher = {**place, "most": MOST_ON_THE_LOOP}, self._database.cipher
        turns = self._database.read(lambda reader: turns_in(reader, project, _Q["load"], small, cipher))
        if not turns:
            turns = await self._turns(project, _Q["load"], {**place, "most": None})
        return turns[0] if turns else None

    async def load_chain(self, project: str, turn_id: str, *, most: int | None = None) -> Sequence[Turn]:
        database, place = self._database, self._database.place_of(project, turn_id)
        if place is not None:
            which = {**place, "most": -1 if most is None else most}
            turns = await database.aside(
                lambda reader: chain_in(reader, project, _Q["load_chain"], which, database.cipher)
            )
            if turns:
                return turns
        raise PreviousResponseNotFound(turn_id)

    async def load_item(self, project: str, item_id: str) -> bytes | None:
        stem = item_home(item_id)
        for prefix in DOORS if stem is not None else ():
            item = item_in(await self.load(project, f"{prefix}{stem}0000"), item_id)
            if item is not None:
                return item
        which = {"project": self._database.project(project), "id": item_id}
        homes = await self._turns(project, _Q["home_of_foreign_item"], which)
        return item_in(homes[0], item_id) if homes else None

    async def list_listed(
        self, project: str, page: Page, *, model: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> tuple[Sequence[Turn], bool]:
        which: dict[str, Any] = {"project": self._database.project(project), "limit": page.limit + 1}
        conditions = ["t.project = :project", "t.listed", "NOT t.deleted"]
        if page.after is not None:
            which |= self._position_of(project, page.after)
            direction = ">" if page.ascending else "<"
            conditions.append(f"(t.created_at, t.number) {direction} (:created_at, :number)")
        if model is not None:
            which["model"] = model
            conditions.append("t.model = :model")
        for number, (key, value) in enumerate((metadata or {}).items()):
            which |= {f"key{number}": key, f"value{number}": value}
            conditions.append(_HAS_METADATA.format(number))
        columns, _, _ = _Q["load"].rpartition(" WHERE ")
        order = "t.created_at, t.number" if page.ascending else "t.created_at DESC, t.number DESC"
        statement = f"{columns} WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT :limit"
        turns = await self._turns(project, statement, which)
        return turns[: page.limit], len(turns) > page.limit

    def _position_of(self, project: str, turn_id: str) -> dict[str, int]:
        for created_at, number in self._rows("position", project, turn_id):
            return {"created_at": created_at, "number": number}
        raise NotFound(f"Completion with id '{turn_id}' not found.", param="after")

    async def tree(self, project: str, turn_id: str) -> Sequence[Turn]:
        place = self._database.place_of(project, turn_id)
        if place is None or not self._rows("state", project, turn_id):
            return []
        return await self._turns(
            project, _Q["load_tree"], {"tree": place["tree"], "project": place["project"]}
        )

    async def usage(self) -> Usage:
        turns, trees = await self._database.aside(lambda reader: next(iter(reader.execute(_Q["count"]))))
        files = (Path(f"{self._path}{suffix}") for suffix in ("", "-wal", "-shm", ".search"))
        size = sum(file.stat().st_size for file in files if file.exists())
        return Usage(turns=turns, trees=trees, bytes=size)

    async def stored_bytes(self, project: str) -> int:
        which = {"project": project, "first": f"{project}/", "beyond": f"{project}0"}
        return await self._database.aside(lambda reader: int(reader.execute(_Q["stored_bytes"], which).get))

    def _rows(self, name: str, project: str, turn_id: str) -> list[Any]:
        """What a statement finds for a turn; nothing for an id that cannot be one of ours."""
        place = self._database.place_of(project, turn_id)
        return self._database.read(lambda reader: list(reader.execute(_Q[name], place))) if place else []

    async def _turns(self, project: str, statement: str, which: Mapping[str, Any]) -> list[Turn]:
        cipher = self._database.cipher
        return await self._database.aside(lambda reader: turns_in(reader, project, statement, which, cipher))


def _opened(
    path: Path, durability: Durability, *, searched: bool, key_file: Path | None
) -> tuple[Database, Search | None]:
    """The connections to a file that this process has for itself, and the index of words if there is to be one."""
    create_private(path)
    search = Search(Path(f"{path}.search"))
    with contextlib.closing(connect(path, durability)) as connection:
        migrate(connection)
        cipher = unlocked(connection, key_file)
        searched = searched and not cipher.sealing  # an index of words would tell what is sealed
        if searched:
            search.open(connection)
        else:
            search.remove()
    words = search if searched else None
    return Database(
        lambda: give_cipher(connect(path, durability), cipher), cipher=cipher, search=words
    ), words
