"""The store in one SQLite file, for one server.

One thread writes (`writer`), in groups; reads go over connections of their own, which see what was committed before
they began. A turn is one row, found through (tree, id); a chain is read by following row numbers upwards in one
statement. See docs/adr/003-chain-store.md for what was measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import apsw
import msgspec

from catena.errors import (
    CatenaError,
    ConversationNotFound,
    NotFound,
    PreviousResponseNotFound,
    StoreUnavailable,
)
from catena.ids import item_home
from catena.store import (
    Claim,
    Conversation,
    Delivery,
    Endpoint,
    KeyUse,
    LeaseLost,
    Page,
    Status,
    Turn,
    Usage,
)
from catena.store.cipher import Cipher, Sealing
from catena.store.counters import MemoryCounters
from catena.store.housekeeping import ALL_PROJECTS, Whose
from catena.store.moving import TreeCopy, TreeName, Which
from catena.store.rows import (
    DOORS,
    Prepared,
    decode_places,
    encode_places,
    id_of,
    is_over,
    item_in,
    key_of,
    prepare,
    prepare_fields,
    turn_of,
)
from catena.store.sqlite import belongings, conversations, moving, outbox
from catena.store.sqlite.documents import SqliteDocuments
from catena.store.sqlite.files import SqliteFiles
from catena.store.sqlite.housekeeping import SqliteHousekeeping, chosen
from catena.store.sqlite.indexing import Indexer, SearchedWriter
from catena.store.sqlite.lineage import SqliteLineage
from catena.store.sqlite.logs import RunLogs
from catena.store.sqlite.opening import Durability, connect, create_private, migrate, sole_use, unlocked
from catena.store.sqlite.resealing import SqliteResealing
from catena.store.sqlite.search import Search
from catena.store.sqlite.statements import expanded, give_cipher, load_statements
from catena.store.sqlite.writer import Writer

__all__ = ["SqliteStore"]

T = TypeVar("T")

_Q: Final = load_statements()
_HAS_METADATA: Final = expanded(
    "EXISTS (SELECT 1 FROM json_each(CAST(opened(t.fields, t.tree, t.id) AS TEXT), '$.metadata') m "
    "WHERE m.key = :key{0} AND m.value = :value{0})"
)
_NO_RUN: Final = {"owner": None, "lease_until": None, "request": None}

_MOST_ON_THE_LOOP: Final = 256 * 1024
"""Bytes of a turn that are read or looked through without a thread. More would hold everybody else up."""


class SqliteStore:
    """See `Store`. Open it with `open`; it belongs to the event loop that it was opened in."""

    def __init__(
        self,
        path: Path,
        lock: IO[str],
        connect: Callable[[], apsw.Connection],
        *,
        search: Search | None,
        cipher: Cipher,
    ) -> None:
        self._path = path
        self._lock = lock
        self._connect = connect
        self._cipher = cipher
        self._readers: list[apsw.Connection] = []
        self._search = search
        self._writer = self._new_writer()
        self._reader = self._new_reader()
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="catena-store-reader")
        self._pooled = threading.local()
        self._projects: dict[str, int] = {}
        self.counters = MemoryCounters()  # nobody else has this store
        self.documents = SqliteDocuments(_DocumentAccess(self._reader, self._writer))
        self.peers = None
        self.lineage = SqliteLineage(self, search, encrypted=cipher.sealing)
        self.housekeeping = SqliteHousekeeping(_DocumentAccess(self._reader, self._writer), self)
        self._scans = ThreadPoolExecutor(1, thread_name_prefix="catena-store-scan")
        self.files = SqliteFiles(_DocumentAccess(self._reader, self._writer), self._in_pool, cipher)
        self._closed = False
        self._indexer = Indexer(search, self.scan) if search is not None else None
        under_way = self._reader.execute(_Q["under_way"])
        holds = {id_of(tree, rest): (str(project), int(fence)) for tree, rest, project, fence in under_way}
        self._logs = RunLogs(Path(f"{path}-logs"), holds, cipher)
        self.resealing = (
            SqliteResealing(_DocumentAccess(self._reader, self._writer), cipher, self._logs)
            if isinstance(cipher, Sealing)
            else None
        )

    @property
    def commits(self) -> int:
        """Transactions that were committed since it was opened."""
        return self._writer.commits

    @property
    def writes(self) -> int:
        """Writes in them."""
        return self._writer.jobs

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
            create_private(path)
            with contextlib.closing(connect(path, durability)) as connection:
                migrate(connection)
                cipher = unlocked(connection, key_file)
                search = Search(Path(f"{path}.search"))
                searched = searched and not cipher.sealing  # an index of words would tell what is sealed
                if searched:
                    search.open(connection)
                else:
                    search.remove()
            return cls(
                path,
                lock,
                lambda: give_cipher(connect(path, durability), cipher),
                search=search if searched else None,
                cipher=cipher,
            )
        except CatenaError:
            lock.close()
            raise
        except (apsw.Error, OSError) as error:
            lock.close()
            raise StoreUnavailable(f"The database {path} cannot be opened: {error}") from error

    async def close(self) -> None:
        self._closed = True
        if self._indexer is not None:
            await self._indexer.stop()
        for pool in (self._pool, self._scans):
            await asyncio.get_running_loop().run_in_executor(None, pool.shutdown)
        for reader in self._readers:
            reader.close()
        await self._writer.close()  # the last connection folds the write-ahead log in
        if self._search is not None:
            self._search.close()
        self._logs.close()
        self._lock.close()

    # Writing

    async def _write(self, job: Callable[[apsw.Connection], T]) -> T:
        with _writable():
            done = await self._writer.write(job)
        if self._indexer is not None:
            self._indexer.wake()
        return done

    async def _prepared(self, turn: Turn) -> Prepared:
        if len(turn.input) + len(turn.output) + len(turn.fields) <= _MOST_ON_THE_LOOP:
            return prepare(turn, self._cipher)
        return await self._in_thread(lambda: prepare(turn, self._cipher))

    async def begin(self, turn: Turn, *, owner: str = "", lease: float = 0.0, request: bytes = b"") -> None:
        prepared = await self._prepared(turn)
        run = {
            "owner": owner or None,
            "lease_until": time.time() + lease if owner else None,
            "request": self._sealed_request(turn.id, request) if request else None,
        }

        def job(connection: apsw.Connection) -> None:
            number, project = self._begin(connection, prepared, run)
            conversations.hold(connection, turn, project, number)

        await self._write(job)
        self._logs.expect(turn)

    def _sealed_request(self, turn_id: str, request: bytes) -> bytes:
        return self._cipher.seal(request, "request", *(key_of(turn_id) or ()))

    async def finish(self, turn: Turn, *, notify_at: float | None = None) -> None:
        prepared = await self._prepared(turn)

        def job(connection: apsw.Connection) -> None:
            project = self._project_to_write(connection, turn.project)
            if _add(connection, prepared, project, _NO_RUN) is None and not _end(
                connection, prepared, project
            ):
                return
            if notify_at is not None:
                outbox.notify(connection, project, turn.id, turn.status, notify_at)

        await self._write(job)
        self._logs.forget([turn.id])

    def _begin(
        self, connection: apsw.Connection, prepared: Prepared, run: Mapping[str, Any]
    ) -> tuple[int, int]:
        """A turn that is new. Returns the numbers of its row and of its project."""
        project = self._project_to_write(connection, prepared.turn.project)
        number = _add(connection, prepared, project, run)
        if number is None:
            raise _taken(prepared.turn)
        return number, project

    async def set_fields(self, project: str, turn_id: str, fields: bytes) -> bool:
        found = self._found(project, turn_id)
        if found is None:
            return False
        stored, places, contents = prepare_fields(turn_id, fields, self._cipher)

        def job(connection: apsw.Connection) -> bool:
            for number, status, deleted, _, payloads in list(connection.execute(_Q["state"], found)):
                if deleted or not is_over(status):
                    return False
                before = decode_places(payloads) if payloads else []
                after = [*(place for place in before if place.column != "fields"), *places]
                changed = {"fields": stored, "payloads": encode_places(after) if after else None}
                belongings.add_payloads(connection, number, found["tree"], contents)
                connection.execute(_Q["set_fields"], {**changed, "number": number})
                unused = {place.hash for place in before} - {place.hash for place in after}
                belongings.drop_payloads(connection, number, found["tree"], unused)
                return True
            return False

        return await self._write(job)

    async def delete(self, project: str, turn_id: str, *, cascade: bool = False) -> Sequence[str]:
        found = self._found(project, turn_id)
        if found is None:
            return []

        def job(connection: apsw.Connection) -> list[str]:
            doomed = _below(connection, found) if cascade else _itself(connection, found)
            for number in doomed:
                belongings.drop(connection, number)
                connection.execute(_Q["erase"], {"number": number})
            return list(doomed.values())

        with _writable():
            deleted = await self._writer.wipe(job)
        self._logs.forget(deleted)
        return deleted

    async def expire(self, older_than: int, *, whose: Whose = ALL_PROJECTS, limit: int = 1000) -> int:
        projects = await self._in_pool(lambda reader: chosen(reader, whose))
        which: dict[str, Any] = {"before": older_than.to_bytes(4), "limit": limit, **projects}
        removed = 0
        for (tree,) in await self._in_pool(lambda reader: list(reader.execute(_Q["expired_trees"], which))):
            # Each by itself, so that nobody has to wait for all of them.
            removed += await self._expire_tree(tree, which["before"])
        if removed:
            with _writable():
                await self._writer.wipe(lambda connection: None)
        return removed

    async def _expire_tree(self, tree: bytes, before: bytes) -> int:
        def job(connection: apsw.Connection) -> int:
            turns = list(connection.execute(_Q["turns_of_tree"], {"tree": tree}))
            if any(made >= before for _, made in turns):  # it was continued meanwhile
                return 0
            for number, _ in turns:
                belongings.drop(connection, number)
                connection.execute(_Q["drop_turn"], {"number": number})
            return len(turns)

        return await self._write(job)

    # Runs

    async def claim(self, owner: str, lease: float, *, limit: int) -> Sequence[Claim]:
        def job(connection: apsw.Connection) -> list[Claim]:
            now = time.time()
            claims = []
            for (number,) in list(connection.execute(_Q["claimable"], {"now": now, "limit": limit})):
                what = {"number": number, "owner": owner, "until": now + lease}
                (row,) = connection.execute(_Q["claim"], what)
                *columns, project, request, fence, tries = row
                ((name,),) = connection.execute(_Q["project_name"], {"number": project})
                turn = turn_of(name, columns, _payloads(connection), cipher=self._cipher)
                turn = msgspec.structs.replace(turn, fence=fence)
                if request:
                    request = self._cipher.open(request, "request", *(key_of(turn.id) or ()))
                claims.append(Claim(turn=turn, request=request or b"", tries=tries))
            return claims

        claims = await self._write(job)
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

        return await self._write(job) if keys else []

    async def release(self, turn: Turn) -> None:
        found = self._found(turn.project, turn.id)
        if found is not None:
            what = {**found, "fence": turn.fence}
            await self._write(lambda connection: _execute(connection, "release", what))

    async def waiting(self) -> int:
        with _readable():
            return int(self._reader.execute(_Q["waiting"]).get)

    async def append_log(self, turn: Turn, batch: int, chunks: bytes) -> None:
        with _writable():
            self._logs.append(turn, batch, chunks)

    async def load_log(self, project: str, turn_id: str) -> Sequence[bytes]:
        found = self._found(project, turn_id)
        if found is None or await self._missing(found):
            return []
        with _readable():
            return self._logs.load(turn_id)

    # Webhooks

    async def notify(self, project: str, turn_id: str, status: Status, at: float) -> None:
        number = self.project(project)
        await self._write(lambda connection: outbox.notify(connection, number, turn_id, status, at))

    async def claim_deliveries(self, now: float, lease: float, *, limit: int) -> Sequence[Delivery]:
        with _readable():
            if not self._reader.execute(_Q["is_any_due"], {"now": now}).get:
                return []  # the usual case, which need not hold up the writer
        return await self._write(lambda connection: outbox.claim(connection, now, lease, limit))

    async def postpone(self, delivery: Delivery, due: float) -> None:
        what = {**outbox.place_of(delivery), "next": due}
        await self._write(lambda connection: _execute(connection, "postpone", what))

    async def drop_delivery(self, delivery: Delivery) -> None:
        what = outbox.place_of(delivery)
        await self._write(lambda connection: _execute(connection, "drop_delivery", what))

    async def add_endpoint(self, project: str, endpoint: Endpoint) -> None:
        await self._write(
            lambda connection: outbox.add(connection, self._project_to_write(connection, project), endpoint)
        )

    async def endpoints(self, project: str) -> Sequence[Endpoint]:
        number = self.project(project)
        with _readable():
            return outbox.endpoints(self._reader, number)

    async def change_endpoint(
        self, project: str, endpoint_id: str, change: Callable[[Endpoint], Endpoint]
    ) -> Endpoint | None:
        number = self.project(project)
        return await self._write(lambda connection: outbox.change(connection, number, endpoint_id, change))

    async def drop_endpoint(self, project: str, endpoint_id: str) -> bool:
        number = self.project(project)
        return await self._write(lambda connection: outbox.drop(connection, number, endpoint_id))

    # Conversations

    async def open_conversation(self, conversation: Conversation, first: Turn) -> None:
        prepared = await self._prepared(first)

        def job(connection: apsw.Connection) -> None:
            number, project = self._begin(connection, prepared, _NO_RUN)
            conversations.add(connection, conversation, project, number)

        await self._write(job)

    async def extend_conversation(self, turn: Turn) -> None:
        prepared = await self._prepared(turn)

        def job(connection: apsw.Connection) -> None:
            number, project = self._begin(connection, prepared, _NO_RUN)
            conversations.move(connection, turn, project, number)

        await self._write(job)

    async def load_conversation(self, project: str, conversation_id: str) -> Conversation | None:
        place = conversations.place_of(conversation_id, self.project(project))
        with _readable():
            return conversations.find(self._reader, place)

    async def conversation_chain(self, project: str, conversation_id: str) -> Sequence[Turn]:
        place = conversations.place_of(conversation_id, self.project(project))
        turns = await self._chain(project, _Q["conversation_chain"], place)
        if not turns:
            raise ConversationNotFound(conversation_id)
        return turns

    async def set_conversation_metadata(self, project: str, conversation_id: str, metadata: bytes) -> bool:
        place = conversations.place_of(conversation_id, self.project(project))
        return await self._write(lambda connection: conversations.set_metadata(connection, place, metadata))

    async def drop_conversation(self, project: str, conversation_id: str) -> bool:
        place = conversations.place_of(conversation_id, self.project(project))
        with _writable():
            return await self._writer.wipe(lambda connection: conversations.drop(connection, place))

    async def list_conversations(
        self, project: str, page: Page, *, metadata: Mapping[str, str] | None = None
    ) -> tuple[Sequence[Conversation], bool]:
        number = self.project(project)
        after = conversations.place_of(page.after, number) if page.after is not None else None
        wanted = msgspec.json.encode(metadata or {})
        found = await self._in_pool(lambda reader: conversations.listed(reader, number, page, after, wanted))
        return found[: page.limit], len(found) > page.limit

    # Moving

    async def projects(self) -> Sequence[str]:
        return await self._in_pool(lambda reader: [name for (name,) in reader.execute(_Q["project_names"])])

    async def trees(
        self, which: Which, *, after: TreeName | None = None, limit: int = 1000
    ) -> Sequence[TreeName]:
        return await self._in_pool(lambda reader: moving.trees(reader, which, after, limit))

    async def copy_tree(self, name: TreeName) -> TreeCopy:
        tree, number = bytes.fromhex(name.tree), self.project(name.project)

        def read(reader: apsw.Connection) -> TreeCopy:
            with reader:  # one snapshot
                which = {"tree": tree, "project": number}
                turns = _turns(reader, name.project, _Q["copy_turns"], which, self._cipher)
                named = moving.conversations_of(reader, tree, number)
            return TreeCopy(name=name, turns=turns, conversations=named)

        return await self._in_pool(read)

    async def put_tree(self, copy: TreeCopy) -> int:
        prepared = await self._in_thread(lambda: [prepare(turn, self._cipher) for turn in copy.turns])

        def job(connection: apsw.Connection) -> int:
            project = self._project_to_write(connection, copy.name.project)
            added = moving.put(
                connection, project, prepared, lambda turn: _add(connection, turn, project, _NO_RUN)
            )
            moving.put_conversations(connection, project, copy.conversations)
            return added

        return await self._write(job)

    # Reading

    async def find_key(self, project: str, name: bytes, *, since: int) -> KeyUse | None:
        which = {"project": self.project(project), "name": name, "since": since}
        with _readable():
            for turn_id, body in self._reader.execute(_Q["find_key"], which):
                return KeyUse(turn_id, body)
        return None

    async def load(self, project: str, turn_id: str) -> Turn | None:
        found = self._found(project, turn_id)
        if found is None:
            return None
        with _readable():
            which = {**found, "most": _MOST_ON_THE_LOOP}
            turns = _turns(self._reader, project, _Q["load"], which, self._cipher)
        if not turns:
            turns = await self._turns(project, _Q["load"], {**found, "most": None})
        return turns[0] if turns else None

    async def load_chain(self, project: str, turn_id: str) -> Sequence[Turn]:
        found = self._found(project, turn_id)
        turns = await self._chain(project, _Q["load_chain"], found) if found else []
        if not turns:
            raise PreviousResponseNotFound(turn_id)
        return turns

    async def load_item(self, project: str, item_id: str) -> bytes | None:
        stem = item_home(item_id)
        for prefix in DOORS if stem is not None else ():
            item = item_in(await self.load(project, f"{prefix}{stem}0000"), item_id)
            if item is not None:
                return item
        which = {"project": self.project(project), "id": item_id}
        homes = await self._turns(project, _Q["home_of_foreign_item"], which)
        return item_in(homes[0], item_id) if homes else None

    async def list_listed(
        self, project: str, page: Page, *, model: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> tuple[Sequence[Turn], bool]:
        which: dict[str, Any] = {"project": self.project(project), "limit": page.limit + 1}
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
        found = self._found(project, turn_id)
        with _readable():
            for created_at, number in self._reader.execute(_Q["position"], found) if found else ():
                return {"created_at": created_at, "number": number}
        raise NotFound(f"Completion with id '{turn_id}' not found.", param="after")

    async def tree(self, project: str, turn_id: str) -> Sequence[Turn]:
        found = self._found(project, turn_id)
        if found is None or await self._missing(found):
            return []
        which = {"tree": found["tree"], "project": found["project"]}
        return await self._turns(project, _Q["load_tree"], which)

    async def _missing(self, found: dict[str, Any]) -> bool:
        with _readable():
            return not list(self._reader.execute(_Q["state"], found))

    async def usage(self) -> Usage:
        turns, trees = await self._in_pool(lambda reader: next(iter(reader.execute(_Q["count"]))))
        files = (Path(f"{self._path}{suffix}") for suffix in ("", "-wal", "-shm", ".search"))
        size = sum(file.stat().st_size for file in files if file.exists())
        return Usage(turns=turns, trees=trees, bytes=size)

    async def stored_bytes(self, project: str) -> int:
        which = {"project": project, "first": f"{project}/", "beyond": f"{project}0"}
        return await self._in_pool(lambda reader: int(reader.execute(_Q["stored_bytes"], which).get))

    async def _turns(self, project: str, statement: str, which: Mapping[str, Any]) -> list[Turn]:
        return await self._in_pool(lambda reader: _turns(reader, project, statement, which, self._cipher))

    async def _chain(self, project: str, statement: str, which: Mapping[str, Any]) -> list[Turn]:
        return await self._in_pool(lambda reader: _chain(reader, project, statement, which, self._cipher))

    async def _in_pool(self, read: Callable[[apsw.Connection], T]) -> T:
        """What may take longer than the loop may be held up is read in a thread."""
        with _readable():
            return await self._in_thread(lambda: read(self._own_reader()))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise StoreUnavailable("The store is closed.")
        return await asyncio.wrap_future(self._pool.submit(work))

    async def scan(self, read: Callable[[apsw.Connection], T]) -> T:
        """What may have to look at very many turns, one at a time: no run ever waits for it."""
        if self._closed:
            raise StoreUnavailable("The store is closed.")
        with _readable():
            return await asyncio.wrap_future(self._scans.submit(lambda: read(self._own_reader())))

    def _new_writer(self) -> Writer:
        connection = self._connect()
        if self._search is None:
            return Writer(connection)
        search = self._search
        search.watch(connection)
        return SearchedWriter(connection, lambda: self.scan(search.purge))

    def _own_reader(self) -> apsw.Connection:
        if not hasattr(self._pooled, "connection"):
            self._pooled.connection = self._new_reader()
        connection: apsw.Connection = self._pooled.connection
        return connection

    def _new_reader(self) -> apsw.Connection:
        reader = self._connect()
        self._readers.append(reader)
        return reader

    # Between rows and turns

    def _found(self, project: str, turn_id: str) -> dict[str, Any] | None:
        """By what a turn is looked up; None for an id that cannot be one of ours."""
        key = key_of(turn_id)
        return None if key is None else {"tree": key[0], "id": key[1], "project": self.project(project)}

    def project(self, name: str) -> int:
        """The number of a project; of an unknown one a number that no row has."""
        number = self._projects.get(name)
        if number is None:
            with _readable():
                for (number,) in self._reader.execute(_Q["project_number"], {"name": name}):
                    self._projects[name] = number
        return self._projects.get(name, -1)

    def _project_to_write(self, connection: apsw.Connection, name: str) -> int:
        number = self._projects.get(name)
        if number is None:
            # Not remembered here: this transaction may be rolled back yet.
            connection.execute(_Q["add_project"], {"name": name})
            ((number,),) = connection.execute(_Q["project_number"], {"name": name})
        return int(number)


def _execute(connection: apsw.Connection, name: str, values: Mapping[str, Any]) -> None:
    connection.execute(_Q[name], values)


def _parent_number(connection: apsw.Connection, project: int, turn: Turn, parent: str) -> int:
    """The row of the parent, which is in the same tree as the turn."""
    key = key_of(parent)
    if key is not None and key[0].hex() == turn.tree:
        what = {"tree": key[0], "id": key[1], "project": project}
        for (number,) in connection.execute(_Q["find"], what):
            return int(number)
    raise PreviousResponseNotFound(parent)


def _add(connection: apsw.Connection, prepared: Prepared, project: int, run: Mapping[str, Any]) -> int | None:
    """Store a turn in a new row, and return its number; None if the turn is there already."""
    turn = prepared.turn
    parent = None if turn.parent is None else _parent_number(connection, project, turn, turn.parent)
    place = {"project": project, "parent": parent, "fence": turn.fence}
    connection.execute(_Q["add"], {**prepared.columns, **place, **run})
    if not connection.changes():
        return None
    number = connection.last_insert_rowid()
    belongings.keep(connection, number, prepared, project)
    return number


def _end(connection: apsw.Connection, prepared: Prepared, project: int) -> bool:
    """Bring a turn that was begun into its final state; False if it has ended or was deleted."""
    begun = list(connection.execute(_Q["state"], {**prepared.columns, "project": project}))
    if not begun:
        raise _taken(prepared.turn)
    ((number, status, deleted, fence, payloads),) = begun
    if fence != prepared.turn.fence:
        raise LeaseLost(prepared.turn.id)
    if deleted or is_over(status):
        return False
    connection.execute(_Q["end"], {**prepared.columns, "number": number})
    belongings.keep(connection, number, prepared, project)
    unused = belongings.hashes_in(payloads) - prepared.contents.keys()
    belongings.drop_payloads(connection, number, prepared.columns["tree"], unused)
    conversations.advance(connection, number)
    return True


def _taken(turn: Turn) -> ValueError:
    return ValueError(f"There is a turn {turn.id} already.")


def _itself(connection: apsw.Connection, found: Mapping[str, Any]) -> dict[int, str]:
    """The turn by its row number, unless it is a tombstone."""
    turn_id = id_of(found["tree"], found["id"])
    return {
        number: turn_id for number, _, deleted, *_ in connection.execute(_Q["state"], found) if not deleted
    }


def _below(connection: apsw.Connection, found: Mapping[str, Any]) -> dict[int, str]:
    """The turn and all its descendants by their row numbers, but for the tombstones among them."""
    reached: set[int] = set()
    alive: dict[int, str] = {}
    for number, parent, rest, deleted in connection.execute(_Q["outline"], found):
        if rest == found["id"] or parent in reached:
            reached.add(number)
            if not deleted:
                alive[number] = id_of(found["tree"], rest)
    return alive


def _turns(
    connection: apsw.Connection, project: str, statement: str, which: Mapping[str, Any], cipher: Cipher
) -> list[Turn]:
    content_of = _payloads(connection)
    return [turn_of(project, row, content_of, cipher=cipher) for row in connection.execute(statement, which)]


def _chain(
    connection: apsw.Connection, project: str, statement: str, which: Mapping[str, Any], cipher: Cipher
) -> list[Turn]:
    """The turns of a statement that goes upwards from a chain's end, from the root on."""
    content_of = _payloads(connection)
    chain: list[Turn] = []
    for row in reversed(list(connection.execute(statement, which))):
        parent = chain[-1].id if chain else None
        chain.append(turn_of(project, row, content_of, parent=parent, cipher=cipher))
    return chain


def _payloads(connection: apsw.Connection) -> Callable[[bytes, bytes], bytes]:
    def content_of(tree: bytes, digest: bytes) -> bytes:
        content: bytes = connection.execute(_Q["payload"], {"tree": tree, "hash": digest}).get
        return content

    return content_of


class _DocumentAccess:
    """The store's own connections, for its documents."""

    def __init__(self, reader: apsw.Connection, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer

    def read(self, job: Callable[[apsw.Connection], T]) -> T:
        with _readable():
            return job(self._reader)

    async def write(self, job: Callable[[apsw.Connection], T]) -> T:
        with _writable():
            return await self._writer.write(job)

    async def wipe(self, job: Callable[[apsw.Connection], T]) -> T:
        with _writable():
            return await self._writer.wipe(job)


class _Told:
    """While entered, errors of the database are told as the store's own. It holds nothing: one serves every request."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, apsw.Error | OSError):
            raise StoreUnavailable(f"The store could not be {self._what}: {type(error).__name__}.") from error


_READ: Final = _Told("read")
_WRITTEN: Final = _Told("written")


def _readable() -> _Told:
    return _READ


def _writable() -> _Told:
    return _WRITTEN
