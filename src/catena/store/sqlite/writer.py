"""One thread that writes, and commits in groups: everything that waits goes into the next transaction.

A commit costs a flush of the disk, whatever is in it. While one is under way others queue up, and share the next. A job
that fails takes nobody along: its group is rolled back and done again one by one.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, Final, TypeAlias, TypeVar

import apsw

__all__ = ["Writer"]

T = TypeVar("T")

_Job: TypeAlias = tuple[Callable[[apsw.Connection], Any], "asyncio.Future[Any]"]
_Outcome: TypeAlias = tuple["asyncio.Future[Any]", Any, BaseException | None]

_IDLE: Final = 0.3
"""Seconds without a job after which the write-ahead log is folded into the database."""

_MOST: Final = 512
"""Jobs in one transaction, at most."""


class Writer:
    """Runs jobs on `connection` in a thread of its own, for the loop that it was made in.

    A job must do the same again if it is run again, and reads its own writes. `write` returns when it has reached the
    disk.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self.commits = 0
        self.jobs = 0
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._gathered: list[_Job] = []
        self._queue: queue.SimpleQueue[list[_Job] | None] = queue.SimpleQueue()
        self._dirty = True
        self._thread = threading.Thread(target=self._work, name="catena-store-writer", daemon=True)
        self._thread.start()

    def write(self, job: Callable[[apsw.Connection], T]) -> asyncio.Future[T]:
        """Have a job done and committed. Raises what the job raises; then it changed nothing."""
        future: asyncio.Future[T] = self._loop.create_future()
        if not self._gathered:
            # Jobs of the same moment wake the thread once.
            self._loop.call_soon(self._hand_over)
        self._gathered.append((job, future))
        return future

    async def close(self) -> None:
        """Do what is waiting, and end the thread."""
        self._hand_over()
        self._queue.put(None)
        await self._loop.run_in_executor(None, self._thread.join)

    def _hand_over(self) -> None:
        if self._gathered:
            self._queue.put(self._gathered)
            self._gathered = []

    # In the thread

    def _work(self) -> None:
        stopping = False
        while not stopping:
            jobs = self._next()
            if jobs is None:
                break
            stopping = self._take_more(jobs)
            outcomes = self._together(jobs)
            self._loop.call_soon_threadsafe(_settle, outcomes)
        self._connection.close()

    def _next(self) -> list[_Job] | None:
        while True:
            try:
                return self._queue.get(timeout=_IDLE if self._dirty else None)
            except queue.Empty:
                self._fold_log()

    def _take_more(self, jobs: list[_Job]) -> bool:
        """Add what came in meanwhile; True if that was the end."""
        while len(jobs) < _MOST:
            try:
                more = self._queue.get_nowait()
            except queue.Empty:
                return False
            if more is None:
                return True
            jobs += more
        return False

    def _together(self, jobs: list[_Job]) -> list[_Outcome]:
        self._dirty = True
        try:
            return self._transaction(jobs)
        except BaseException as error:
            if len(jobs) == 1:
                return [(jobs[0][1], None, error)]
        return [outcome for job in jobs for outcome in self._together([job])]

    def _transaction(self, jobs: list[_Job]) -> list[_Outcome]:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            outcomes: list[_Outcome] = [(future, job(connection), None) for job, future in jobs]
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self.commits += 1
        self.jobs += len(jobs)
        return outcomes

    def _fold_log(self) -> None:
        """Leave no more on the disk than the contents. A reader in the way means: another time."""
        try:
            busy, *_ = next(iter(self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")))
            self._dirty = bool(busy)
        except apsw.Error:
            self._dirty = False


def _settle(outcomes: list[_Outcome]) -> None:
    for future, result, error in outcomes:
        if future.done():  # nobody waits any more
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
