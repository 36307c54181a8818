"""The work of the commands that are in a database themselves: it and files are store, progress is shown."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from catena.access import DEFAULT_PROJECT, Registry
from catena.cli.official_api import official_api
from catena.cli.terminal import errors, stop
from catena.config import Config, database_path, encryption_key_path, is_postgres
from catena.errors import CatenaError
from catena.moving import Arrived, BadLine, Left, arrive, last_place, leave
from catena.moving.leaving import House
from catena.moving.official import NotTaken, take
from catena.retention import Retention
from catena.store.moving import Which
from catena.store.sqlite import SqliteStore, copy_database
from catena.stores import open_store
from catena.upstream.http import HttpError

__all__ = [
    "back_up",
    "existing_path",
    "export_to",
    "import_from",
    "import_official",
    "opened",
    "retention_of",
    "run",
    "snapshot",
]


async def export_to(output: Path | None, config: Config, which: Which, *, resume: bool) -> None:
    async with snapshot(config) as store:
        await _check_project(store, which.project)
        with _target(output, resume=resume) as file, _progress() as progress:
            left = last_place(file) if resume and file.seek(0, os.SEEK_END) else Left()
            if left is None:
                errors.print(f"{output} is whole already.")
                return
            bar = progress.add_task("trees", total=(await store.usage()).trees)
            done = await leave(
                store,
                file,
                which,
                now=int(time.time()),
                left=left,
                told=lambda left: progress.update(bar, completed=left.trees),
            )
    if which.tree is not None and not done.trees:
        _not_there(output if not resume else None)
    errors.print(f"{done.trees} trees with {done.turns} turns")


async def _check_project(store: House, name: str | None) -> None:
    """End the command for a project that has nothing and was never made: it was mistyped."""
    if name is None or name in (stored := await store.projects()):
        return
    made = [DEFAULT_PROJECT, *(project.name for project in await Registry(store.documents).projects())]
    if name not in made:
        known = sorted({each.partition("/")[0] for each in (*stored, *made)})
        stop(f"There is no project '{name}'. There are: {', '.join(known)}.")


def _not_there(output: Path | None) -> NoReturn:
    if output is not None:
        output.unlink()  # there is nothing in it, and the next try would be refused for it
    stop("The tree is not in this database.")


async def import_from(source: Path | None, config: Config, project: str | None) -> None:
    async with opened(config) as store:
        with _source(source) as (file, size), _progress() as progress:
            bar = progress.add_task("bytes", total=size)
            done = await arrive(
                store,
                file,
                project=project,
                told=lambda arrived: progress.update(bar, completed=arrived.bytes_read),
            )
        _tell(done, (await retention_of(store, config).due()).turns)


def retention_of(store: House, config: Config) -> Retention:
    """What removes what has had its time, by the terms of `config`."""
    from catena.history import History
    from catena.prefix import PrefixCache
    from catena.server import retention_term  # imports the world: only when it is needed

    history = History(store, PrefixCache(0))
    return Retention(store, history, term=retention_term(config), clock=time.time)


def _tell(done: Arrived, due: int) -> None:
    """Say what has come, and if some of it would soon go: a server's next sweep may be within a minute."""
    known = done.turns - done.new_turns
    errors.print(
        f"{done.trees} trees with {done.turns} turns"
        + (f", of which {known} were there already" if known else "")
    )
    if due:
        errors.print(
            f"[bold yellow]catena:[/] {due} turns in this database are older than store.retention_days lets them be, "
            "and go with a server's next sweep. To keep them, raise it before that."
        )


async def back_up(destination: Path, config: Config) -> None:
    """Copy the SQLite database to a new file."""
    size = await asyncio.to_thread(copy_database, database_path(config), destination)
    errors.print(f"{destination}: {size / 1e6:.1f} MB, the state of one moment")


async def import_official(config: Config, ids: list[str], project: str, base_url: str, key: str) -> None:
    done = Arrived()
    async with opened(config) as store, official_api(base_url, key) as fetch:
        with _progress() as progress:
            bar = progress.add_task("responses", total=None)
            for copy in await take(fetch, ids, project, told=lambda _: progress.advance(bar)):
                done.new_turns += await store.put_tree(copy)
                done.trees += 1
                done.turns += len(copy.turns)
        _tell(done, (await retention_of(store, config).due()).turns)


@contextlib.asynccontextmanager
async def opened(config: Config) -> AsyncIterator[House]:
    """The store, for this command alone if it is a SQLite file."""
    store = await open_store(config)
    try:
        yield store
    finally:
        await store.close()


@contextlib.asynccontextmanager
async def snapshot(config: Config) -> AsyncIterator[House]:
    """The store to read from. A SQLite file is copied first: so it is of one moment, and a server may have it."""
    if is_postgres(config):
        async with opened(config) as store:
            yield store
        return
    path = existing_path(config)
    with tempfile.TemporaryDirectory(prefix=".catena-export-", dir=path.parent) as folder:
        copy = Path(folder) / "copy.sqlite3"
        await asyncio.to_thread(copy_database, path, copy)
        store = await SqliteStore.open(copy, durability="normal", key_file=encryption_key_path(config))
        try:
            yield store
        finally:
            await store.close()


def existing_path(config: Config) -> Path:
    """The SQLite file of `config`; if there is none, the command ends instead of making one."""
    path = database_path(config)
    if not path.exists():
        stop(f"There is no database {path}.")
    return path


@contextlib.contextmanager
def _target(output: Path | None, *, resume: bool) -> Iterator[IO[bytes]]:
    """The file to write, which only its owner may read, as secrets and conversations are in it."""
    if output is None:
        yield sys.stdout.buffer
        return
    flags = os.O_RDWR | os.O_CREAT | (0 if resume else os.O_EXCL)
    try:
        descriptor = os.open(output, flags, 0o600)
    except FileExistsError:
        stop(f"{output} is there already. Remove it, or go on with it: --resume")
    with os.fdopen(descriptor, "r+b") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _source(source: Path | None) -> Iterator[tuple[IO[bytes], int | None]]:
    """The file to read, and its size if it has one."""
    if source is None or str(source) == "-":
        yield sys.stdin.buffer, None
        return
    with source.open("rb") as file:
        yield file, source.stat().st_size


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=errors,
        transient=True,
        disable=not errors.is_terminal,
    )


def run(work: Coroutine[Any, Any, None]) -> None:
    with _failing():
        asyncio.run(work)


@contextlib.contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise  # who reads has enough; the command line ends without a word
    except (CatenaError, BadLine, NotTaken, HttpError, ValueError) as error:
        stop(str(error))
    except OSError as error:
        stop(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error))
