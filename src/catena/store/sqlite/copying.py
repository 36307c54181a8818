"""A copy of a database as it is at one moment, also while a server has it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import apsw

from catena.errors import StoreUnavailable
from catena.store.sqlite.opening import connect, create_private

__all__ = ["copy_database"]


def copy_database(source: Path, destination: Path) -> int:
    """Write what was committed in `source` into a new file, without the space that is not used. Returns its bytes.

    The file is there whole or not at all, and on disk when this returns. Raises StoreUnavailable if it is there already
    or cannot be written, and if there is no database, or no folder for it.
    """
    if not source.exists():
        raise StoreUnavailable(f"There is no database {source}.")
    if destination.exists():
        raise StoreUnavailable(f"{destination} is there already.")
    if not destination.parent.is_dir():
        raise StoreUnavailable(
            f"There is no folder {destination.parent}: make it first, or name another one."
        )
    growing = destination.with_name(f".{destination.name}.{os.getpid()}")
    try:
        create_private(growing)
        with contextlib.closing(connect(source, "full")) as connection:
            connection.execute("VACUUM INTO ?", (str(growing),))
        _to_disk(growing)
        growing.rename(destination)
        _to_disk(destination.parent)
        return destination.stat().st_size
    except (apsw.Error, OSError) as error:
        growing.unlink(missing_ok=True)
        raise StoreUnavailable(f"The database {source} cannot be copied: {error}") from error


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
