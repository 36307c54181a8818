"""Opening the file: for one server alone, with the settings that the store rests on, and brought up to date."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final, Literal, TypeAlias

import apsw
import msgspec

from catena.errors import StoreUnavailable
from catena.store.cipher import Cipher
from catena.store.sql import load_migrations, load_queries
from catena.store.unlocking import RECORD_ID, RECORD_KIND, record_document, unlock

__all__ = ["Durability", "connect", "create_private", "migrate", "sole_use", "unlocked"]

Durability: TypeAlias = Literal["full", "normal"]

_Q: Final = load_queries("catena.store.sqlite")

_PAGE: Final = 1024
"""Bytes. Turns fill small pages better than large ones: see docs/adr/003-chain-store.md."""

_PATIENCE: Final = 100
"""Milliseconds that a reader waits while a process from outside has the database locked."""


def sole_use(path: Path) -> IO[str]:
    """A lock that ends with this process. Raises StoreUnavailable if another one has it."""
    try:
        lock = Path(f"{path}.lock").open("w")  # noqa: SIM115 - held for the store's life
    except OSError as error:
        raise StoreUnavailable(f"The database {path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise StoreUnavailable(
            f"The database {path} is in use by another server. One server at a time can have a SQLite database: stop "
            "that one first, or use another with --database."
        ) from None
    except OSError as error:
        lock.close()
        raise StoreUnavailable(f"The database {path} cannot be locked: {error.strerror}") from error
    return lock


def create_private(path: Path) -> None:
    """Make the file if it is not there, readable for its owner only: conversations are in it."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def connect(path: Path, durability: Durability) -> apsw.Connection:
    """A connection with the store's settings."""
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(_PATIENCE)
    for pragma in _pragmas(durability):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _pragmas(durability: Durability) -> Sequence[str]:
    return (
        f"page_size = {_PAGE}",
        "journal_mode = WAL",
        f"synchronous = {durability.upper()}",
        "wal_autocheckpoint = 4096",
        "journal_size_limit = 4194304",
        "secure_delete = ON",
        "temp_store = MEMORY",
        "cache_size = -16384",
        "mmap_size = 268435456",
    )


def migrate(connection: apsw.Connection) -> None:
    """Bring the tables up to date, and end all leases: who had them is gone, as this process is alone.

    Raises StoreUnavailable if they are of a newer version than this one knows.
    """
    scripts = load_migrations("catena.store.sqlite")
    version = int(connection.execute("PRAGMA user_version").get)
    if version > len(scripts):
        raise StoreUnavailable(
            f"The database was written by a newer Catena (schema {version}; this one knows {len(scripts)}). "
            "Use that version, or another database."
        )
    with connection:
        for script in scripts[version:]:
            list(connection.execute(script))
        connection.execute(f"PRAGMA user_version = {len(scripts)}")
        connection.execute(_Q["end_all_leases"])


def unlocked(connection: apsw.Connection, key_file: Path | None) -> Cipher:
    """The cipher that the contents are stored with; see `unlock` for what it raises."""
    place = {"kind": RECORD_KIND, "project": "", "id": RECORD_ID}
    known = next((body for _, body in connection.execute(_Q["document"], place)), None)
    cipher, record = unlock(known, key_file)
    if record is not None and record != known:
        document = record_document(record, int(time.time()))
        connection.execute(_Q["put_document"], msgspec.structs.asdict(document))
    return cipher
