"""The store in one SQLite file, for one server.

One thread writes (`writer`), in groups; reads go over connections of their own, which see what was committed before
they began. A turn is one row, found through (tree, id); a chain is read by following row numbers upwards in one
statement. See docs/adr/003-chain-store.md for what was measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Final, Literal, TypeVar

import apsw
import msgspec

from catena.errors import NotFound, PreviousResponseNotFound, StoreUnavailable
from catena.ids import item_home, tree_of
from catena.store import Claim, LeaseLost, Page, Turn, Usage
from catena.store.payloads import Place, put_back, take_out
from catena.store.sql import load_migrations, load_queries
from catena.store.sqlite.writer import Writer

__all__ = ["SqliteStore"]

T = TypeVar("T")

Durability = Literal["full", "normal"]

_Q: Final = load_queries("catena.store.sqlite")
_DOORS: Final = ("responses", "chat")
_STATUSES: Final = ("queued", "in_progress", "completed", "incomplete", "failed", "cancelled")
_DOOR_NUMBERS: Final = {name: number for number, name in enumerate(_DOORS)}
_STATUS_NUMBERS: Final = {name: number for number, name in enumerate(_STATUSES)}
_HAS_METADATA: Final = (
    "EXISTS (SELECT 1 FROM json_each(CAST(t.fields AS TEXT), '$.metadata') m "
    "WHERE m.key = :key{0} AND m.value = :value{0})"
)
_TURN_PREFIXES: Final = ("resp_", "chatcmpl-")
_PAGE: Final = 4096

_encode_places = msgspec.msgpack.Encoder().encode
_decode_places = msgspec.msgpack.Decoder(list[Place]).decode
_decode_items = msgspec.json.Decoder(list[dict[str, Any]]).decode


class SqliteStore:
    """See `Store`. Open it with `open`; it belongs to the event loop that it was opened in."""

    def __init__(self, path: Path, lock: IO[str], connect: Callable[[], apsw.Connection]) -> None:
        self._path = path
        self._lock = lock
        self._connect = connect
        self._readers: list[apsw.Connection] = []
        self._writer = Writer(connect())
        self._reader = self._new_reader()
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="catena-store-reader")
        self._pooled = threading.local()
        self._projects: dict[str, int] = {}

    @classmethod
    async def open(cls, path: Path | str, *, durability: Durability = "full") -> SqliteStore:
        """The store in this file, which is made if it is not there, and brought up to date if it is older.

        With durability `full`, what was written survives a loss of power at once; with `normal`, the last moments may
        be lost then, but nothing by a crash of this process. Raises StoreUnavailable if another server has the file,
        or if it cannot be used.
        """
        path = Path(path)
        lock = _sole_use(path)

        def connect() -> apsw.Connection:
            connection = apsw.Connection(str(path))
            connection.set_busy_timeout(10_000)
            for pragma in _pragmas(durability):
                connection.execute(f"PRAGMA {pragma}")
            return connection

        try:
            _create_private(path)
            _migrate(connect())
            return cls(path, lock, connect)
        except (apsw.Error, OSError, StoreUnavailable) as error:
            lock.close()
            if isinstance(error, StoreUnavailable):
                raise
            raise StoreUnavailable(f"The database {path} cannot be opened: {error}") from error

    async def close(self) -> None:
        self._pool.shutdown()
        for reader in self._readers:
            reader.close()
        await self._writer.close()  # the last connection folds the write-ahead log in
        self._lock.close()

    # Writing

    async def _write(self, job: Callable[[apsw.Connection], T]) -> T:
        try:
            return await self._writer.write(job)
        except apsw.Error as error:
            raise StoreUnavailable(f"The store could not be written: {type(error).__name__}.") from error

    async def begin(self, turn: Turn, *, owner: str = "", lease: float = 0.0, request: bytes = b"") -> None:
        run = {
            "owner": owner or None,
            "lease_until": time.time() + lease if owner else None,
            "request": request or None,
        }
        prepared = _prepared(turn)

        def job(connection: apsw.Connection) -> None:
            row = self._row(connection, prepared)
            connection.execute(_Q["begin"], {**row, **run})
            self._keep_belongings(connection, connection.last_insert_rowid(), prepared, row["project"])

        await self._write(job)

    async def finish(self, turn: Turn) -> None:
        prepared = _prepared(turn)

        def job(connection: apsw.Connection) -> None:
            row = {**self._row(connection, prepared), "fence": turn.fence}
            for (number,) in connection.execute(_Q["finish"], row):
                self._keep_belongings(connection, number, prepared, row["project"])
                connection.execute(_Q["forget_log"], {"number": number})
                return
            for _, _, _, fence in connection.execute(_Q["state"], row):
                if fence != turn.fence:
                    raise LeaseLost(turn.id)

        await self._write(job)

    def _row(self, connection: apsw.Connection, prepared: _Prepared) -> dict[str, Any]:
        turn = prepared.turn
        project = self._project_to_write(connection, turn.project)
        return {
            "tree": turn.tree,
            "id": turn.id,
            "project": project,
            "parent": None if turn.parent is None else _parent_number(connection, project, turn.parent),
            "door": _DOOR_NUMBERS[turn.door],
            "status": _STATUS_NUMBERS[turn.status],
            "model": turn.model,
            "created_at": turn.created_at,
            "listed": turn.listed,
            "input": turn.input,
            "output": turn.output,
            "fields": turn.fields,
            "cuts": turn.cuts or None,
            "payloads": _encode_places(prepared.places) if prepared.places else None,
        }

    def _keep_belongings(
        self, connection: apsw.Connection, number: int, prepared: _Prepared, project: int
    ) -> None:
        tree = prepared.turn.tree
        for digest, content in prepared.contents.items():
            connection.execute(_Q["add_payload"], {"tree": tree, "hash": digest, "content": content})
            connection.execute(_Q["use_payload"], {"tree": tree, "hash": digest, "turn": number})
        for item_id in prepared.turn.foreign_ids:
            connection.execute(_Q["add_foreign_item"], {"project": project, "id": item_id, "turn": number})

    async def set_fields(self, project: str, turn_id: str, fields: bytes) -> bool:
        found = self._found(project, turn_id)
        if found is None:
            return False

        def job(connection: apsw.Connection) -> bool:
            return bool(list(connection.execute(_Q["set_fields"], {**found, "fields": fields})))

        return await self._write(job)

    async def delete(self, project: str, turn_id: str, *, cascade: bool = False) -> Sequence[str]:
        found = self._found(project, turn_id)
        if found is None:
            return []

        def job(connection: apsw.Connection) -> list[str]:
            doomed = [(number, each) for number, each in connection.execute(_Q["subtree"], found)]
            if not cascade:
                doomed = [(number, each) for number, each in doomed if each == turn_id]
            for number, _ in doomed:
                _drop_belongings(connection, number)
                connection.execute(_Q["erase"], {"number": number})
            return [each for _, each in doomed]

        deleted = await self._write(job)
        await asyncio.wrap_future(self._pool.submit(self._wipe_log))
        return deleted

    def _wipe_log(self) -> None:
        """What was deleted may still stand in the write-ahead log: fold it in now, not when there is time."""
        with contextlib.suppress(apsw.Error):
            list(self._own_reader().execute("PRAGMA wal_checkpoint(TRUNCATE)"))

    async def expire(self, older_than: int, *, limit: int = 1000) -> int:
        def job(connection: apsw.Connection) -> int:
            which = {"before": f"{older_than:08x}", "limit": limit}
            removed = 0
            for (tree,) in list(connection.execute(_Q["expired_trees"], which)):
                for (number,) in list(connection.execute(_Q["turns_of_tree"], {"tree": tree})):
                    _drop_belongings(connection, number)
                    connection.execute(_Q["drop_turn"], {"number": number})
                    removed += 1
            return removed

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
                turn = msgspec.structs.replace(self._whole(connection, name, columns), fence=fence)
                claims.append(Claim(turn=turn, request=request or b"", tries=tries))
            return claims

        return await self._write(job)

    async def renew(self, owner: str, lease: float) -> Sequence[str]:
        def job(connection: apsw.Connection) -> list[str]:
            what = {"owner": owner, "until": time.time() + lease}
            return [turn_id for (turn_id,) in connection.execute(_Q["renew"], what)]

        return await self._write(job)

    async def release(self, turn: Turn) -> None:
        found = self._found(turn.project, turn.id)
        if found is not None:
            await self._write(
                lambda connection: connection.execute(_Q["release"], {**found, "fence": turn.fence})
            )

    async def waiting(self) -> int:
        with _readable():
            return int(self._reader.execute(_Q["waiting"]).get)

    async def append_log(self, turn: Turn, batch: int, chunks: bytes) -> None:
        found = self._found(turn.project, turn.id)

        def job(connection: apsw.Connection) -> None:
            what = {**(found or {}), "fence": turn.fence, "batch": batch, "chunks": chunks}
            if not list(connection.execute(_Q["append_log"], what)):
                raise LeaseLost(turn.id)

        if found is not None:
            await self._write(job)

    async def load_log(self, project: str, turn_id: str) -> Sequence[bytes]:
        found = self._found(project, turn_id)
        if found is None:
            return []
        with _readable():
            return [chunks for (chunks,) in self._reader.execute(_Q["load_log"], found)]

    # Reading

    async def load(self, project: str, turn_id: str) -> Turn | None:
        found = self._found(project, turn_id)
        if found is None:
            return None
        with _readable():
            for row in self._reader.execute(_Q["load"], found):
                return self._whole(self._reader, project, row)
        return None

    async def load_chain(self, project: str, turn_id: str) -> Sequence[Turn]:
        found = self._found(project, turn_id)
        if found is None:
            raise PreviousResponseNotFound(turn_id)
        turns = await self._in_pool(
            lambda reader: [
                self._whole(reader, project, row) for row in reader.execute(_Q["load_chain"], found)
            ]
        )
        if not turns:
            raise PreviousResponseNotFound(turn_id)
        return turns

    async def load_item(self, project: str, item_id: str) -> bytes | None:
        return _item_in(await self._home_of(project, item_id), item_id)

    async def _home_of(self, project: str, item_id: str) -> Turn | None:
        stem = item_home(item_id)
        if stem is not None:
            for prefix in _TURN_PREFIXES:
                turn = await self.load(project, f"{prefix}{stem}0000")
                if turn is not None and _item_in(turn, item_id) is not None:
                    return turn
        number = self._project(project)
        with _readable():
            what = {"project": number, "id": item_id}
            for row in self._reader.execute(_Q["home_of_foreign_item"], what):
                return self._whole(self._reader, project, row)
        return None

    async def list_listed(
        self, project: str, page: Page, *, model: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> tuple[Sequence[Turn], bool]:
        which: dict[str, Any] = {"project": self._project(project), "limit": page.limit + 1}
        conditions = ["t.project = :project", "t.listed", "NOT t.deleted"]
        if page.after is not None:
            which["after"] = self._number_of(project, page.after)
            conditions.append(f"t.number {'>' if page.ascending else '<'} :after")
        if model is not None:
            which["model"] = model
            conditions.append("t.model = :model")
        for number, (key, value) in enumerate((metadata or {}).items()):
            which |= {f"key{number}": key, f"value{number}": value}
            conditions.append(_HAS_METADATA.format(number))
        columns, _, _ = _Q["load"].partition(" WHERE ")
        direction = "ASC" if page.ascending else "DESC"
        statement = f"{columns} WHERE {' AND '.join(conditions)} ORDER BY t.number {direction} LIMIT :limit"
        turns = await self._in_pool(
            lambda reader: [self._whole(reader, project, row) for row in reader.execute(statement, which)]
        )
        return turns[: page.limit], len(turns) > page.limit

    def _number_of(self, project: str, turn_id: str) -> int:
        found = self._found(project, turn_id)
        with _readable():
            for number, *_ in self._reader.execute(_Q["state"], found) if found else ():
                return int(number)
        raise NotFound(f"Completion with id '{turn_id}' not found.", param="after")

    async def tree(self, project: str, turn_id: str) -> Sequence[Turn]:
        found = self._found(project, turn_id)
        if found is None or await self._missing(found):
            return []
        which = {"tree": found["tree"], "project": found["project"]}
        return await self._in_pool(
            lambda reader: [
                self._whole(reader, project, row) for row in reader.execute(_Q["load_tree"], which)
            ]
        )

    async def _missing(self, found: dict[str, Any]) -> bool:
        with _readable():
            return not list(self._reader.execute(_Q["state"], found))

    async def usage(self) -> Usage:
        turns, trees = await self._in_pool(lambda reader: next(iter(reader.execute(_Q["count"]))))
        files = (Path(f"{self._path}{suffix}") for suffix in ("", "-wal"))
        size = sum(file.stat().st_size for file in files if file.exists())
        return Usage(turns=turns, trees=trees, bytes=size)

    async def _in_pool(self, read: Callable[[apsw.Connection], T]) -> T:
        """What may take longer than the loop may be held up is read in a thread."""
        with _readable():
            return await asyncio.wrap_future(self._pool.submit(lambda: read(self._own_reader())))

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
        tree = tree_of(turn_id)
        return None if tree is None else {"tree": tree, "id": turn_id, "project": self._project(project)}

    def _project(self, name: str) -> int:
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

    def _whole(self, connection: apsw.Connection, project: str, row: Sequence[Any]) -> Turn:
        (
            turn_id,
            tree,
            parent,
            door,
            status,
            model,
            created_at,
            listed,
            deleted,
            given,
            output,
            fields,
            cuts,
            places,
        ) = row
        turn = Turn(
            project=project,
            id=turn_id,
            tree=tree,
            parent=parent,
            door=_DOORS[door],
            status=_STATUSES[status],
            model=model,
            created_at=created_at,
            listed=bool(listed),
            input=given or b"[]",
            output=output or b"[]",
            fields=fields or b"{}",
            cuts=cuts or b"",
            deleted=bool(deleted),
        )
        if places is None:
            return turn

        def content_of(digest: bytes) -> bytes:
            content: bytes = connection.execute(_Q["payload"], {"tree": tree, "hash": digest}).get
            return content

        return put_back(turn, _decode_places(places), content_of)


class _Prepared(msgspec.Struct, frozen=True):
    """A turn with its large payloads taken out, which is done before the writer's thread has to wait for it."""

    turn: Turn
    places: Sequence[Place]
    contents: Mapping[bytes, bytes]


def _prepared(turn: Turn) -> _Prepared:
    return _Prepared(*take_out(turn))


def _parent_number(connection: apsw.Connection, project: int, parent: str) -> int:
    what = {"tree": tree_of(parent), "id": parent, "project": project}
    for (number,) in connection.execute(_Q["find"], what):
        return int(number)
    raise PreviousResponseNotFound(parent)


def _drop_belongings(connection: apsw.Connection, number: int) -> None:
    """Drop what a turn has outside its row, while the row still says what that is."""
    ((tree, turn_id, project, given, places),) = connection.execute(_Q["belongings"], {"number": number})
    for digest in {place.hash for place in _decode_places(places)} if places else ():
        what = {"tree": tree, "hash": digest, "number": number}
        connection.execute(_Q["unuse_payload"], what)
        connection.execute(_Q["drop_unused_payload"], what)
    for item in _decode_items(given or b"[]"):
        if item["id"][-50:-4] != turn_id[-50:-4]:
            what = {"project": project, "id": item["id"], "number": number}
            connection.execute(_Q["drop_foreign_item"], what)
    connection.execute(_Q["forget_log"], {"number": number})


def _item_in(turn: Turn | None, item_id: str) -> bytes | None:
    for column in (turn.input, turn.output) if turn is not None else ():
        if item_id.encode() in column:
            for item in _decode_items(column):
                if item.get("id") == item_id:
                    return msgspec.json.encode(item)
    return None


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        raise StoreUnavailable(f"The store could not be read: {type(error).__name__}.") from error


# Opening


def _sole_use(path: Path) -> IO[str]:
    """A lock that ends with this process. Raises StoreUnavailable if another one has it."""
    try:
        lock = Path(f"{path}.lock").open("w")  # noqa: SIM115 - held for the store's life
    except OSError as error:
        raise StoreUnavailable(f"The database {path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise StoreUnavailable(
            f"The database {path} is in use by another server. One server at a time can have a SQLite database."
        ) from None
    return lock


def _create_private(path: Path) -> None:
    """The file, readable for its owner only: conversations are in it."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _pragmas(durability: Durability) -> Sequence[str]:
    return (
        f"page_size = {_PAGE}",
        "journal_mode = WAL",
        f"synchronous = {durability.upper()}",
        "journal_size_limit = 4194304",
        "secure_delete = ON",
        "temp_store = MEMORY",
        "cache_size = -16384",
        "mmap_size = 268435456",
    )


def _migrate(connection: apsw.Connection) -> None:
    scripts = load_migrations("catena.store.sqlite")
    version = int(connection.execute("PRAGMA user_version").get)
    if version > len(scripts):
        raise StoreUnavailable(
            f"The database was written by a newer Catena (schema {version}; this one knows {len(scripts)}). "
            "Use that version, or another database."
        )
    connection.execute("BEGIN IMMEDIATE")
    for script in scripts[version:]:
        connection.execute(script)
    connection.execute(f"PRAGMA user_version = {len(scripts)}")
    connection.execute(_Q["end_all_leases"])  # who had them is gone: this process is alone
    connection.execute("COMMIT")
    connection.close()
