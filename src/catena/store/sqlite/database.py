"""The connections to the file: one thread writes, in groups; reads see what was committed before they began.

What is small is read at once, on the loop. What may take longer is read in threads: `aside` what somebody waits for,
`scan` what may have to look at very many turns. SQLite's own errors stop here, and are told as StoreUnavailable.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import apsw

from catena.errors import StoreUnavailable
from catena.store.cipher import Cipher
from catena.store.rows import key_of
from catena.store.sqlite.indexing import SearchedWriter
from catena.store.sqlite.search import Search
from catena.store.sqlite.statements import load_statements
from catena.store.sqlite.writer import Writer

__all__ = ["MOST_ON_THE_LOOP", "READ", "WRITTEN", "Database"]

T = TypeVar("T")

_Q: Final = load_statements()

MOST_ON_THE_LOOP: Final = 256 * 1024
"""Bytes of a turn that are read or looked through without a thread. More would hold everybody else up."""


class Database:
    """See the module. It belongs to the event loop in which it was made. All methods raise StoreUnavailable.

    `connect` makes a connection with the store's settings; with `search`, what is removed leaves that too.
    """

    def __init__(
        self, connect: Callable[[], apsw.Connection], *, cipher: Cipher, search: Search | None
    ) -> None:
        self.cipher = cipher
        self.closed = False
        self._connect = connect
        self._readers: list[apsw.Connection] = []
        self._projects: dict[str, int] = {}
        self.writer = self._new_writer(search)
        self._reader = self._new_reader()
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="catena-store-reader")
        self._scans = ThreadPoolExecutor(1, thread_name_prefix="catena-store-scan")
        self._pooled = threading.local()

    async def close(self) -> None:
        self.closed = True
        for pool in (self._pool, self._scans):
            await asyncio.get_running_loop().run_in_executor(None, pool.shutdown)
        for reader in self._readers:
            reader.close()
        await self.writer.close()  # the last connection folds the write-ahead log in

    # Writing

    async def write(self, job: Callable[[apsw.Connection], T]) -> T:
        """Have a job done in a transaction; see `Writer.write`."""
        with WRITTEN:
            return await self.writer.write(job)

    async def wipe(self, job: Callable[[apsw.Connection], T]) -> T:
        """The same for a job that removes something; see `Writer.wipe`."""
        with WRITTEN:
            return await self.writer.wipe(job)

    # Reading

    def read(self, job: Callable[[apsw.Connection], T]) -> T:
        """What is so small that nobody has to wait for it."""
        with READ:
            return job(self._reader)

    async def aside(self, job: Callable[[apsw.Connection], T]) -> T:
        """What may take longer than the loop may be held up."""
        with READ:
            return await self.in_thread(lambda: job(self._own_reader()))

    async def scan(self, job: Callable[[apsw.Connection], T]) -> T:
        """What may have to look at very many turns, one such read at a time: no run ever waits for it."""
        self._check_open()
        with READ:
            return await asyncio.wrap_future(self._scans.submit(lambda: job(self._own_reader())))

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Work with the contents of turns that is too long for the loop."""
        self._check_open()
        return await asyncio.wrap_future(self._pool.submit(work))

    def _check_open(self) -> None:
        if self.closed:
            raise StoreUnavailable("The store is closed.")

    # Numbers of projects, and what is looked up with them

    def project(self, name: str) -> int:
        """The number of a project; of an unknown one a number that no row has."""
        number = self._projects.get(name)
        if number is not None:
            return number
        for (number,) in self.read(lambda reader: list(reader.execute(_Q["project_number"], {"name": name}))):
            self._projects[name] = number
            return int(number)
        return -1

    def project_to_write(self, connection: apsw.Connection, name: str) -> int:
        """The same in a transaction that writes: an unknown project is made."""
        number = self._projects.get(name)
        if number is None:
            # Not remembered here: this transaction may be rolled back yet.
            connection.execute(_Q["add_project"], {"name": name})
            ((number,),) = connection.execute(_Q["project_number"], {"name": name})
        return int(number)

    def place_of(self, project: str, turn_id: str) -> dict[str, Any] | None:
        """By what a turn is looked up; None for an id that cannot be one of ours."""
        key = key_of(turn_id)
        return None if key is None else {"tree": key[0], "id": key[1], "project": self.project(project)}

    # Connections

    def _new_writer(self, search: Search | None) -> Writer:
        connection = self._connect()
        if search is None:
            return Writer(connection)
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


class _Told:
    """While entered, errors of the database are told as the store's own. It holds nothing: one serves every request."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, apsw.Error | OSError):
            raise StoreUnavailable(f"The store could not be {self._what}: {type(error).__name__}.") from error


READ: Final = _Told("read")
WRITTEN: Final = _Told("written")
