"""One thread that writes, and commits in groups: everything that waits goes into the next transaction.

A commit costs a flush of the disk, whatever is in it. While one is under way others queue up, and share the next. A job
that fails takes nobody along: its group is rolled back and done again, each job by itself in the one transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

import apsw

from catena.errors import StoreUnavailable

__all__ = ["Writer"]

T = TypeVar("T")

_Outcome: TypeAlias = tuple["asyncio.Future[Any]", Any, Exception | None]

_IDLE: Final = 0.3
"""Seconds without a job after which the write-ahead log is folded into the database."""

_MOST: Final = 512
"""Jobs in one transaction, at most, beside those that came in the same moment."""

_PATIENCE: Final = 5_000
"""Milliseconds to wait while a process from outside writes to the database."""

_WIPE_PATIENCE: Final = 500
"""Milliseconds to wait for readers, when what was removed is to leave the log. Ours are faster."""


class _Job(NamedTuple):
    run: Callable[[apsw.Connection], Any]
    future: asyncio.Future[Any]
    wipes: bool


class Writer:
    """Runs jobs on `connection` in a thread of its own, for the loop that it was made in.

    A job must do the same again if it is run again, and reads its own writes. What was handed over is done, also when
    nobody waits for it any more. All methods raise apsw.Error where the database could not be written, and
    StoreUnavailable where the writer has ended.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self.commits = 0
        self.jobs = 0
        connection.set_busy_timeout(_PATIENCE)
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._gathered: list[_Job] = []
        self._queue: queue.SimpleQueue[list[_Job] | None] = queue.SimpleQueue()
        self._in_hand: list[_Job] = []
        self._dirty = True
        self._ended = False
        self._thread = threading.Thread(target=self._work, name="catena-store-writer", daemon=True)
        self._thread.start()

    async def write(self, job: Callable[[apsw.Connection], T]) -> T:
        """Have a job done; it has reached the disk when this returns. Raises what the job raises; then it changed
        nothing."""
        return await self._submit(job, wipes=False)

    async def wipe(self, job: Callable[[apsw.Connection], T]) -> T:
        """The same for a job that removes something, which is in no file any more when this returns.

        Who reads from outside at that moment can make it stay in the log for longer.
        """
        return await self._submit(job, wipes=True)

    async def close(self) -> None:
        """Do what is waiting, and end the thread."""
        self._hand_over()
        self._queue.put(None)
        await self._loop.run_in_executor(None, self._thread.join)
        self._end()

    def _submit(self, run: Callable[[apsw.Connection], T], *, wipes: bool) -> asyncio.Future[T]:
        if self._ended:
            raise StoreUnavailable("The store is closed.")
        future: asyncio.Future[T] = self._loop.create_future()
        if not self._gathered:
            # Jobs of the same moment wake the thread once.
            self._loop.call_soon(self._hand_over)
        self._gathered.append(_Job(run, future, wipes))
        return future

    def _hand_over(self) -> None:
        if self._gathered:
            self._queue.put(self._gathered)
            self._gathered = []

    def _end(self) -> None:
        """The thread is gone: nobody is left waiting for it."""
        self._ended = True
        self._hand_over()
        jobs = self._in_hand
        while not self._queue.empty():
            jobs = jobs + (self._queue.get() or [])
        _settle([(job.future, None, StoreUnavailable("The store is closed.")) for job in jobs])

    # In the thread

    def _work(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed before us: nobody waits
            try:
                self._serve()
            finally:
                self._connection.close()
                self._loop.call_soon_threadsafe(self._end)

    def _serve(self) -> None:
        while (jobs := self._next()) is not None:
            self._in_hand = jobs
            self._take_more(jobs)
            outcomes = self._do(jobs)
            self._dirty = True
            if any(job.wipes for job in jobs):
                self._fold_log(_WIPE_PATIENCE)
            self._loop.call_soon_threadsafe(_settle, outcomes)

    def _next(self) -> list[_Job] | None:
        while True:
            try:
                return self._queue.get(timeout=_IDLE if self._dirty else None)
            except queue.Empty:
                self._fold_log(patience=0)

    def _take_more(self, jobs: list[_Job]) -> None:
        """Add what came in meanwhile."""
        while len(jobs) < _MOST:
            try:
                more = self._queue.get_nowait()
            except queue.Empty:
                return
            if more is None:
                self._queue.put(None)  # the end comes after these
                return
            jobs += more

    def _do(self, jobs: list[_Job]) -> list[_Outcome]:
        try:
            return self._transaction(jobs, self._run)
        except Exception as error:
            if len(jobs) == 1:
                return [(jobs[0].future, None, error)]
        try:
            return self._transaction(jobs, self._run_apart)
        except Exception as error:
            return [(job.future, None, error) for job in jobs]

    def _transaction(self, jobs: list[_Job], run: Callable[[_Job], _Outcome]) -> list[_Outcome]:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            outcomes = [run(job) for job in jobs]
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self.commits += 1
        self.jobs += len(jobs)
        return outcomes

    def _run(self, job: _Job) -> _Outcome:
        return job.future, job.run(self._connection), None

    def _run_apart(self, job: _Job) -> _Outcome:
        connection = self._connection
        connection.execute("SAVEPOINT job")
        try:
            outcome = self._run(job)
        except Exception as error:
            if not connection.in_transaction:  # an error of the disk ends it for all
                raise
            connection.execute("ROLLBACK TO job")
            outcome = (job.future, None, error)
        connection.execute("RELEASE job")
        return outcome

    def _fold_log(self, patience: int) -> None:
        """Leave no more on the disk than the contents. Who reads for longer than that means: another time."""
        self._connection.set_busy_timeout(patience)
        with contextlib.suppress(apsw.Error):
            busy, *_ = next(iter(self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")))
            self._dirty = bool(busy)
        self._connection.set_busy_timeout(_PATIENCE)


def _settle(outcomes: list[_Outcome]) -> None:
    for future, result, error in outcomes:
        if future.done():  # nobody waits any more
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
