"""The database file and its folder. A server may have it open meanwhile."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import apsw

from catena.config import Config, database_path, is_postgres
from catena.config.rules import encryption_key_path, seal_keys_path
from catena.doctor.encryption import examine_encryption
from catena.doctor.finding import Finding
from catena.errors import StoreUnavailable
from catena.store.sql import load_migrations
from catena.store.sqlite.opening import sole_use

__all__ = ["examine_database"]

_SUBJECT: Final = "database"

_SCARCE: Final = 1_000_000_000
_TOO_LITTLE: Final = 100_000_000
"""Bytes."""

_AHEAD: Final = 60.0
"""Seconds that a turn may lie in the future before the clock is to blame."""


def examine_database(config: Config) -> Iterator[Finding]:
    """What there is to say about the store."""
    if is_postgres(config):
        return
    path = database_path(config)
    folder = path.parent
    yield from _folder(folder)
    if not path.exists():
        yield Finding(_SUBJECT, "ok", f"{path} is not there yet; it is made when the server starts")
        return
    yield from _privacy(path, "conversations")
    for keys in (seal_keys_path(config), encryption_key_path(config)):
        if keys is not None and keys.exists():
            yield from _privacy(keys, "keys")
    yield _in_use(path)
    try:
        with contextlib.closing(apsw.Connection(str(path))) as connection:
            connection.set_busy_timeout(5_000)
            yield from _inside(connection, path, encryption_key_path(config))
    except apsw.Error as error:
        yield Finding(
            _SUBJECT,
            "failure",
            f"{path} cannot be read: {error}",
            "Restore a backup, or set another store.database.",
        )


def _folder(folder: Path) -> Iterator[Finding]:
    there = next(each for each in (folder, *folder.parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=there) as probe:
            probe.write(bytes(65_536))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        yield Finding(
            _SUBJECT,
            "failure",
            f"{there} cannot be written: {error.strerror}",
            f"Give this user the right to write there, or set another store.database than below {folder}.",
        )
    free = shutil.disk_usage(there).free
    text = f"{free / 1e9:.1f} GB are free on the disk of {there}"
    if free < _TOO_LITTLE:
        yield Finding(
            "disk", "failure", text, "Make room: soon nothing can be stored, and requests fail with 503."
        )
    elif free < _SCARCE:
        yield Finding("disk", "warning", text, "Make room, or set store.retention_days lower.")
    else:
        yield Finding("disk", "ok", text)


def _privacy(path: Path, contents: str) -> Iterator[Finding]:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        text = f"{path} can be read by other users of this machine (mode {mode:o}); {contents} are in it"
        yield Finding(_SUBJECT, "warning", text, f"chmod 600 {path}*")
    else:
        yield Finding(_SUBJECT, "ok", f"{path} is readable for its owner only")


def _in_use(path: Path) -> Finding:
    if not Path(f"{path}.lock").exists():
        return Finding(_SUBJECT, "ok", "no server has it open")
    try:
        sole_use(path).close()
    except StoreUnavailable as error:
        # A server that runs is nothing bad; it is only a second one that could not start.
        return Finding(_SUBJECT, "ok", error.message)
    return Finding(_SUBJECT, "ok", "no server has it open")


def _inside(connection: apsw.Connection, path: Path, key_file: Path | None) -> Iterator[Finding]:
    version = int(connection.execute("PRAGMA user_version").get)
    known = len(load_migrations("catena.store.sqlite"))
    if version > known:
        text = f"{path} was written by a newer Catena (schema {version}; this one knows {known})"
        yield Finding(_SUBJECT, "failure", text, "Install that version, or set another store.database.")
    elif version < known:
        text = f"{path} has schema {version}; the server brings it to {known} when it starts"
        yield Finding(_SUBJECT, "ok", text, "Make a copy first if you may want to go back: catena backup")
    wrong = [str(row[0]) for row in connection.execute("PRAGMA quick_check(5)")]
    if wrong != ["ok"]:
        text = f"{path} is damaged: {'; '.join(wrong)}"
        yield Finding(
            _SUBJECT, "failure", text, "Restore a backup. What can be read can be saved: catena export"
        )
        return
    yield Finding(_SUBJECT, "ok", f"{path} is whole, {path.stat().st_size / 1e6:.1f} MB")
    # A transaction that is begun and given up leaves nothing behind.
    connection.execute("BEGIN IMMEDIATE; ROLLBACK")
    yield Finding(_SUBJECT, "ok", "it can be written")
    if version:
        yield from _times(connection)
    if version == known:
        yield from examine_encryption(connection, key_file)


def _times(connection: apsw.Connection) -> Iterator[Finding]:
    """A clock that stands before what was written is wrong now, or was wrong then."""
    newest = connection.execute("SELECT max(created_at) FROM turns").get
    if newest is not None and newest > time.time() + _AHEAD:
        told = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(newest))
        yield Finding(
            "clock",
            "failure",
            f"the newest turn is from the future ({told} UTC)",
            "Set the clock of this machine.",
        )
