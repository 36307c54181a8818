"""What is measured: Catena, the floor below it, and the engine asked directly. Each is a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from catena.store.postgres import DatabaseSettings, migrate
from tests.local_postgres import local_postgres

__all__ = [
    "ON_POSTGRES",
    "Database",
    "Process",
    "catena",
    "catena_on_postgres",
    "engine",
    "floor",
    "free_port",
    "postgres",
    "replica",
    "running",
]

ON_POSTGRES: Final = "catena (PostgreSQL)"
"""The name of Catena where it is not on SQLite, which it is by default."""

_SERVER_CORE, _OTHER_CORE = 0, (os.cpu_count() or 1) - 1


class Process:
    """A system that runs. `port` is where it answers; `started_in` are the seconds that took.

    `behind` is the engine that it asks, `database` the server that keeps its turns, `folder` where it keeps
    them itself.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process, port: int, started_in: float) -> None:
        self.name = name
        self.port = port
        self.started_in = started_in
        self.behind: Process | None = None
        self.database: Database | None = None
        self.folder: Path | None = None
        self._process = process

    def cpu(self) -> float:
        """Seconds of processor time that it has used."""
        return _cpu(self._process.pid)

    def memory(self) -> float:
        """Megabytes that it holds, those of files that are mapped among them."""
        return int(self._status("VmRSS:")) / 1024

    def own_memory(self) -> float:
        """Megabytes that are its own. What is mapped of the database is the system's, which takes it back at will."""
        return int(self._status("RssAnon:")) / 1024

    def threads(self) -> int:
        return int(self._status("Threads:"))

    def handles(self) -> int:
        """Open file descriptors."""
        return len(os.listdir(f"/proc/{self._process.pid}/fd"))  # noqa: PTH208  # names are enough

    def stored(self) -> int:
        """Bytes of its files: database, index and logs."""
        files = self.folder.rglob("*") if self.folder is not None else ()
        total = 0
        for file in files:
            with contextlib.suppress(FileNotFoundError):  # a log goes when its run has ended
                total += file.stat().st_size
        return total

    def _status(self, name: str) -> str:
        return Path(f"/proc/{self._process.pid}/status").read_text().partition(name)[2].split()[0]


class Database:
    """A PostgreSQL server: its `url`, and the processor time of all of its processes."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self._pid = pid

    def pin(self, core: int) -> None:
        """Keep it, and what it starts from now on, on a core."""
        for pid in self._pids():
            os.sched_setaffinity(pid, {core})

    def cpu(self) -> float:
        """Seconds, those of sessions that have ended among them."""
        return sum(_cpu(pid) for pid in self._pids())

    def _pids(self) -> list[int]:
        children = Path(f"/proc/{self._pid}/task/{self._pid}/children").read_text()
        return [self._pid, *map(int, children.split())]


def _cpu(pid: int) -> float:
    """By the clock that Linux has for each process, which is finer than what /proc tells."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0  # it has just ended


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def running(
    name: str,
    port: int,
    command: Sequence[str],
    core: int = _SERVER_CORE,
    *,
    settings: Mapping[str, str] | None = None,
    within: float = 30.0,
) -> AsyncIterator[Process]:
    """A process that was started with a command, from when it accepts connections until the context ends.

    Raises RuntimeError if it does not accept any within so many seconds.
    """
    begun = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, **(settings or {})},
    )
    os.sched_setaffinity(process.pid, {core})
    try:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                if process.returncode is not None or time.perf_counter() - begun > within:
                    raise RuntimeError(f"{name} did not start") from None
                await asyncio.sleep(0.005)
            else:
                writer.close()
                break
        yield Process(name, process, port, time.perf_counter() - begun)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def engine() -> AsyncIterator[Process]:
    """The mock engine, beside the generator, away from the server. It answers at once, until it is told otherwise."""
    port = free_port()
    command = [sys.executable, "-m", "bench.engine", str(port)]
    async with running("direct", port, command, _OTHER_CORE) as process:
        yield process


@contextlib.asynccontextmanager
async def floor(behind: Process) -> AsyncIterator[Process]:
    port = free_port()
    command = [sys.executable, "-m", "bench.floor", str(port), f"http://127.0.0.1:{behind.port}/v1"]
    async with running("floor", port, command, _SERVER_CORE) as process:
        process.behind = behind
        yield process


@contextlib.asynccontextmanager
async def catena(
    behind: Process, *, folder: Path | None = None, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Process]:
    """Catena on a SQLite file, durable as it is by default: in a folder that is there, or one of its own.

    `settings` are variables of its environment.
    """
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(own_folder()))
        async with _serving("catena", behind, f"{folder}/turns.sqlite3", settings=settings) as process:
            process.folder = folder
            yield process


def own_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for a database; the variable BENCH_FOLDER says on which disk."""
    return tempfile.TemporaryDirectory(prefix="catena-bench-", dir=os.environ.get("BENCH_FOLDER"))


@contextlib.asynccontextmanager
async def postgres() -> AsyncIterator[Database]:
    """A PostgreSQL with nothing changed, and with Catena's tables."""
    with contextlib.ExitStack() as stack:
        starting = local_postgres(settings=(), below=os.environ.get("BENCH_FOLDER"))
        server = await asyncio.to_thread(stack.enter_context, starting)
        await migrate(DatabaseSettings(url=server.url))
        yield Database(server.url, server.pid)


@contextlib.asynccontextmanager
async def catena_on_postgres(behind: Process) -> AsyncIterator[Process]:
    """Catena on a PostgreSQL of its own. Both are on one core, as SQLite is on that of its server."""
    async with postgres() as database:
        database.pin(_SERVER_CORE)
        async with _serving(ON_POSTGRES, behind, database.url) as process:
            process.database = database
            yield process


@contextlib.asynccontextmanager
async def replica(behind: Process, database: str, number: int) -> AsyncIterator[Process]:
    """Catena on a PostgreSQL that others use as well; the servers have the cores in turn."""
    async with _serving(f"catena {number}", behind, database, number % (os.cpu_count() or 1)) as process:
        yield process


@contextlib.asynccontextmanager
async def _serving(
    name: str,
    behind: Process,
    database: str,
    core: int = _SERVER_CORE,
    *,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[Process]:
    port = free_port()
    command = [sys.executable, "-m", "catena", "serve", "--port", str(port), "--database", database]
    command += ["--upstream", f"http://127.0.0.1:{behind.port}/v1"]
    async with running(name, port, command, core, settings=settings) as process:
        process.behind = behind
        yield process
