"""Documents in SQLite: over the store's connections, or over one of their own.

`SqliteDocuments` is told how to read and to write: a server's go through the store's writer, and those of a command,
which may run beside a server, through `open_documents`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import apsw

from catena.errors import NotFound, StoreUnavailable
from catena.store.documents import Document
from catena.store.paging import Page
from catena.store.sql import load_migrations, load_queries
from catena.store.sqlite.opening import connect, create_private, migrate, sole_use

__all__ = ["Access", "SqliteDocuments", "open_documents"]

T = TypeVar("T")

_Q: Final = load_queries("catena.store.sqlite")

_FIRST: Final = (-(2**62), "")
_LAST: Final = (2**62, "")

_PATIENCE: Final = 5_000
"""Milliseconds that a command waits for a server which writes."""


class Access(Protocol):
    """How the tables are reached. A job is one transaction, and does the same again if it is run again."""

    def read(self, job: Callable[[apsw.Connection], T]) -> T: ...

    def write(self, job: Callable[[apsw.Connection], T]) -> Awaitable[T]: ...

    def wipe(self, job: Callable[[apsw.Connection], T]) -> Awaitable[T]: ...


class SqliteDocuments:
    """See `Documents`."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def add(self, document: Document) -> bool:
        return await self._access.write(
            lambda connection: bool(list(connection.execute(_Q["add_document"], _row(document))))
        )

    async def put(self, document: Document) -> None:
        await self._access.write(
            lambda connection: list(connection.execute(_Q["put_document"], _row(document)))
        )

    async def get(self, kind: str, project: str, document_id: str) -> Document | None:
        return self._access.read(lambda connection: _find(connection, kind, project, document_id))

    async def list(self, kind: str, project: str, page: Page) -> tuple[Sequence[Document], bool]:
        found = self._access.read(lambda connection: _listed(connection, kind, project, page))
        return found[: page.limit], len(found) > page.limit

    async def change(
        self, kind: str, project: str, document_id: str, change: Callable[[bytes], bytes]
    ) -> Document | None:
        def job(connection: apsw.Connection) -> Document | None:
            found = _find(connection, kind, project, document_id)
            if found is None:
                return None
            place = {"kind": kind, "project": project, "id": document_id}
            connection.execute(_Q["set_document"], {**place, "body": change(found.body)})
            return _find(connection, kind, project, document_id)

        return await self._access.write(job)

    async def drop(self, kind: str, project: str, document_id: str) -> bool:
        place = {"kind": kind, "project": project, "id": document_id}
        return await self._access.wipe(
            lambda connection: bool(list(connection.execute(_Q["drop_document"], place)))
        )


def _row(document: Document) -> dict[str, Any]:
    return {name: getattr(document, name) for name in document.__struct_fields__}


def _find(connection: apsw.Connection, kind: str, project: str, document_id: str) -> Document | None:
    place = {"kind": kind, "project": project, "id": document_id}
    for created_at, body in connection.execute(_Q["document"], place):
        return Document(kind=kind, project=project, id=document_id, created_at=created_at, body=body)
    return None


def _listed(connection: apsw.Connection, kind: str, project: str, page: Page) -> list[Document]:
    """A page, and one more if there is more."""
    created_at, last_id = _FIRST if page.ascending else _LAST
    if page.after is not None:
        after = _find(connection, kind, project, page.after)
        if after is None:
            raise NotFound(f"No object with id '{page.after}' found.", param="after")
        created_at, last_id = after.created_at, after.id
    order = {"beyond": ">", "direction": "ASC"} if page.ascending else {"beyond": "<", "direction": "DESC"}
    place = {"kind": kind, "project": project, "created_at": created_at, "id": last_id}
    rows = connection.execute(_Q["list_documents"].format(**order), {**place, "limit": page.limit + 1})
    return [
        Document(kind=kind, project=project, id=document_id, created_at=made, body=body)
        for document_id, made, body in rows
    ]


class _OwnConnection:
    """Access for a process that may not be the only one."""

    def __init__(self, connection: apsw.Connection) -> None:
        connection.set_busy_timeout(_PATIENCE)
        self._connection = connection

    def read(self, job: Callable[[apsw.Connection], T]) -> T:
        with _usable():
            return job(self._connection)

    async def write(self, job: Callable[[apsw.Connection], T]) -> T:
        with _usable():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                result = job(self._connection)
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            return result

    async def wipe(self, job: Callable[[apsw.Connection], T]) -> T:
        return await self.write(job)  # a server folds the log in soon, and the last connection does at once


@contextlib.contextmanager
def _usable() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        raise StoreUnavailable(f"The database could not be used: {type(error).__name__}.") from error


@contextlib.asynccontextmanager
async def open_documents(path: Path) -> AsyncIterator[SqliteDocuments]:
    """The documents of a database that a server may have open at the same time.

    A database that is not there is made, and an older one brought up to date, where no server has it. Raises
    StoreUnavailable.
    """
    await asyncio.to_thread(_bring_up_to_date, path)
    with _usable():
        connection = connect(path, "full")
    try:
        yield SqliteDocuments(_OwnConnection(connection))
    finally:
        connection.close()


def _bring_up_to_date(path: Path) -> None:
    known = len(load_migrations("catena.store.sqlite"))
    if path.exists():
        with _usable(), contextlib.closing(apsw.Connection(str(path), apsw.SQLITE_OPEN_READONLY)) as opened:
            opened.set_busy_timeout(_PATIENCE)
            if int(opened.execute("PRAGMA user_version").get) == known:
                return
    with contextlib.closing(sole_use(path)), _usable():
        create_private(path)
        with contextlib.closing(connect(path, "full")) as connection:
            migrate(connection)
