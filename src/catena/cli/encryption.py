"""`catena encrypt`: what is stored already is encrypted with the newest key."""

from __future__ import annotations

import asyncio

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from catena.cli.options import Where, grouped
from catena.cli.terminal import console, errors, stop
from catena.config import Config, ConfigError, encryption_key_path
from catena.errors import CatenaError
from catena.store.resealing import Resealing
from catena.stores import open_store

__all__ = ["encrypt"]


@grouped
def encrypt(where: Where) -> None:
    """Encrypt what is stored already with the newest key of `store.encryption_key_file`; it can be interrupted.

    A SQLite file needs its server stopped, PostgreSQL does not.
    """
    found = where.settings()
    key_file = encryption_key_path(found)
    if key_file is None:
        stop("Nothing to encrypt with. Set store.encryption_key_file, and see docs/encryption.md.")
    try:
        done, left = asyncio.run(_encrypt(found))
    except (CatenaError, ConfigError) as error:
        stop(str(error))
    if left:
        stop(
            f"Encrypted: {done} rows. But {left} more have been written without the newest key meanwhile. Start "
            f"all servers anew with {key_file} as it is now, and run this again; until then keep all of its keys."
        )
    told = f"Encrypted: {done} rows. The last line of {key_file} is the only key that is needed now."
    console.print(told, soft_wrap=True, markup=False)


async def _encrypt(config: Config) -> tuple[int, int]:
    """How many rows were encrypted, and how many were written by others without the newest key."""
    store = await open_store(config)
    try:
        assert store.resealing is not None  # as there is a file of keys
        return await _through(store.resealing)
    finally:
        await store.close()


async def _through(resealing: Resealing) -> tuple[int, int]:
    done = 0
    with _progress() as progress:
        bar = progress.add_task("rows", total=await resealing.pending())
        while step := await resealing.step():
            done += step
            progress.update(bar, completed=done)
        return done, await resealing.settle()


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=errors,
        transient=True,
        disable=not errors.is_terminal,
    )
