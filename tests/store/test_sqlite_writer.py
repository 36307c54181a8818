"""The writer commits in groups, and nobody pays for a neighbour."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import apsw
import pytest

from catena.errors import StoreUnavailable
from catena.store.sqlite import writer as writing
from catena.store.sqlite.writer import Writer

LIMIT = 10.0

Job = Callable[[apsw.Connection], object]


def connect(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE IF NOT EXISTS words (word TEXT UNIQUE)")
    return connection


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "words.sqlite3"


@pytest.fixture
async def writer(path: Path) -> AsyncIterator[Writer]:
    writer = Writer(connect(path))
    yield writer
    await writer.close()


def words(path: Path) -> list[str]:
    connection = apsw.Connection(str(path))
    found = [word for (word,) in connection.execute("SELECT word FROM words ORDER BY rowid")]
    connection.close()
    return found


def log_size(path: Path) -> int:
    return path.with_name(path.name + "-wal").stat().st_size


def add(word: str) -> Callable[[apsw.Connection], str]:
    def job(connection: apsw.Connection) -> str:
        connection.execute("INSERT INTO words VALUES (?)", (word,))
        return word

    return job


class Gate:
    """A job that waits inside of the transaction until it is opened."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.reached = asyncio.Event()
        self._open = threading.Event()

    def __call__(self, connection: apsw.Connection) -> None:
        self._loop.call_soon_threadsafe(self.reached.set)
        assert self._open.wait(LIMIT)

    def open(self) -> None:
        self._open.set()


def begin(writer: Writer, job: Job) -> asyncio.Task[object]:
    async def write() -> object:
        return await writer.write(job)

    return asyncio.create_task(write())


async def held_up(writer: Writer) -> tuple[Gate, asyncio.Task[object]]:
    """A writer that is in the middle of a transaction."""
    gate = Gate()
    task = begin(writer, gate)
    async with asyncio.timeout(LIMIT):
        await gate.reached.wait()
    return gate, task


async def everything(*tasks: asyncio.Task[object]) -> list[object]:
    async with asyncio.timeout(LIMIT):
        return await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_job_returns_its_result_when_it_is_on_the_disk(writer: Writer, path: Path) -> None:
    assert await writer.write(add("one")) == "one"
    assert words(path) == ["one"]


async def test_jobs_of_the_same_moment_share_a_commit(writer: Writer, path: Path) -> None:
    results = await everything(*(begin(writer, add(f"{number}")) for number in range(100)))
    assert results == [f"{number}" for number in range(100)] == words(path)
    assert (writer.commits, writer.jobs) == (1, 100)


async def test_what_comes_while_a_commit_is_under_way_shares_the_next(writer: Writer, path: Path) -> None:
    gate, first = await held_up(writer)
    waiting = []
    for number in range(50):
        waiting.append(begin(writer, add(f"{number}")))
        await asyncio.sleep(0)  # each comes at a moment of its own
        await asyncio.sleep(0)
    gate.open()
    await everything(first, *waiting)
    assert (writer.commits, writer.jobs) == (2, 51)
    assert words(path) == [f"{number}" for number in range(50)]


async def test_a_job_that_fails_changes_nothing_and_takes_nobody_along(writer: Writer, path: Path) -> None:
    def half(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO words VALUES ('half')")
        raise LookupError("half way")

    jobs = [add("one"), half, add("two"), add("one"), half, add("three")]
    results = await everything(*(begin(writer, job) for job in jobs))
    assert [type(result) for result in results] == [
        str,
        LookupError,
        str,
        apsw.ConstraintError,
        LookupError,
        str,
    ]
    assert words(path) == ["one", "two", "three"]
    assert writer.commits == 1


async def test_a_job_reads_what_the_jobs_before_it_wrote(writer: Writer) -> None:
    def count(connection: apsw.Connection) -> object:
        return connection.execute("SELECT count(*) FROM words").get

    jobs = [count, add("one"), count, add("two"), count]
    assert await everything(*(begin(writer, job) for job in jobs)) == [0, "one", 1, "two", 2]


async def test_a_commit_that_fails_is_heard_by_all_and_the_next_may_succeed(tmp_path: Path) -> None:
    refuses = True
    connection = connect(tmp_path / "words.sqlite3")
    connection.set_commit_hook(lambda: refuses)
    writer = Writer(connection)
    results = await everything(*(begin(writer, add(f"{number}")) for number in range(5)))
    assert {type(result) for result in results} == {apsw.ConstraintError}
    refuses = False
    assert await writer.write(add("later")) == "later"
    await writer.close()
    assert words(tmp_path / "words.sqlite3") == ["later"]


async def test_a_database_that_is_locked_from_outside_is_an_error_for_all(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_PATIENCE", 0)
    writer = Writer(connect(path))
    outside = connect(path)
    outside.execute("BEGIN IMMEDIATE")
    results = await everything(*(begin(writer, add(f"{number}")) for number in range(5)))
    assert {type(result) for result in results} == {apsw.BusyError}
    outside.execute("ROLLBACK")
    outside.close()
    assert await writer.write(add("later")) == "later"
    await writer.close()


async def test_a_job_is_done_although_its_caller_has_gone(writer: Writer, path: Path) -> None:
    gate, first = await held_up(writer)
    tasks = [begin(writer, add(f"{number}")) for number in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    gate.open()
    results = await everything(first, *tasks)
    assert [type(result) for result in results[1:]] == [str, asyncio.CancelledError, str]
    assert words(path) == ["0", "1", "2"]


async def test_close_waits_for_what_is_queued(writer: Writer, path: Path) -> None:
    gate, first = await held_up(writer)
    tasks = [begin(writer, add(f"{number}")) for number in range(20)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(writer.close())
    await asyncio.sleep(0)
    assert not closing.done()
    gate.open()
    await everything(first, *tasks, closing)
    assert words(path) == [f"{number}" for number in range(20)]


async def test_who_writes_after_the_end_is_told(writer: Writer) -> None:
    await writer.close()
    with pytest.raises(StoreUnavailable):
        await writer.write(add("too late"))


async def test_who_comes_while_the_writer_ends_is_told(writer: Writer) -> None:
    gate, first = await held_up(writer)
    closing = asyncio.create_task(writer.close())
    await asyncio.sleep(0)
    late = begin(writer, add("too late"))
    await asyncio.sleep(0)
    gate.open()
    _, result, _ = await everything(first, late, closing)
    assert isinstance(result, StoreUnavailable)


async def test_nobody_waits_for_a_thread_that_has_died(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", reported.append)

    def die(connection: apsw.Connection) -> None:
        raise SystemExit

    gate, first = await held_up(writer)
    deadly = begin(writer, die)
    await asyncio.sleep(0)
    gate.open()
    results = await everything(first, deadly, begin(writer, add("with it")))
    assert results[0] is None
    assert {type(result) for result in results[1:]} == {StoreUnavailable}
    with pytest.raises(StoreUnavailable):
        await writer.write(add("after it"))
    await writer.close()
    assert [each.exc_type for each in reported] == [SystemExit]


def test_the_thread_ends_with_a_loop_that_was_closed_too_early(path: Path) -> None:
    leave = threading.Event()

    def wait(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO words VALUES ('last')")
        assert leave.wait(LIMIT)

    async def abandon() -> Writer:
        writer = Writer(connect(path))
        task = begin(writer, wait)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        return writer

    writer = asyncio.run(abandon())
    leave.set()
    writer._thread.join(LIMIT)
    assert not writer._thread.is_alive()
    assert words(path) == ["last"]


async def test_what_is_wiped_is_not_in_the_log_any_more(writer: Writer, path: Path) -> None:
    await writer.write(add("secret"))
    assert b"secret" in path.with_name(path.name + "-wal").read_bytes()
    await writer.wipe(lambda connection: connection.execute("DELETE FROM words").fetchall())
    assert log_size(path) == 0


class Folds:
    """Hears of each attempt to fold the log."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._loop = asyncio.get_running_loop()
        self._seen: asyncio.Queue[None] = asyncio.Queue()
        fold = Writer._fold_log

        def heard(writer: Writer, patience: int) -> None:
            fold(writer, patience)
            self._loop.call_soon_threadsafe(self._seen.put_nowait, None)

        monkeypatch.setattr(Writer, "_fold_log", heard)
        monkeypatch.setattr(writing, "_IDLE", 0.01)

    async def next(self) -> None:
        async with asyncio.timeout(LIMIT):
            await self._seen.get()


async def test_the_log_is_folded_in_when_nobody_writes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folds = Folds(monkeypatch)
    writer = Writer(connect(path))
    await folds.next()
    await writer.write(add("one"))
    await folds.next()
    assert log_size(path) == 0
    await writer.close()


async def test_a_reader_puts_the_folding_off_and_holds_nobody_up(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folds = Folds(monkeypatch)
    writer = Writer(connect(path))
    await writer.write(add("one"))
    reader = connect(path)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM words").fetchall()
    await writer.write(add("two"))
    await folds.next()
    await folds.next()  # this one began when the second word was there
    assert log_size(path) > 0
    assert await writer.write(add("three")) == "three"
    reader.execute("COMMIT")
    reader.close()
    while log_size(path):
        await folds.next()
    await writer.close()
