"""`catena encrypt` as a person runs it: switching encryption on, and replacing the key."""

from __future__ import annotations

import asyncio
import base64
import os
from pathlib import Path

from typer.testing import CliRunner

from catena.cli import app
from catena.store.postgres import PostgresStore
from catena.store.sqlite import SqliteStore
from tests.postgres import TestDatabase
from tests.store.turns import a_turn


async def catena(*arguments: str, **environment: str) -> tuple[int, bytes, str]:
    """The status of a command, its output, and its errors on one line."""
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=environment)
    return result.exit_code, result.stdout_bytes, " ".join(result.stderr.split())


async def done(*arguments: str, **environment: str) -> bytes:
    status, output, said = await catena(*arguments, **environment)
    assert status == 0, said
    return output


async def test_a_database_is_encrypted_and_then_its_key_replaced(tmp_path: Path) -> None:
    database, keys = tmp_path / "turns.sqlite3", tmp_path / "keys"
    turn = a_turn(text="the heron stands still")
    store = await SqliteStore.open(database)
    await store.finish(turn)
    await store.close()
    assert b"heron" in database.read_bytes()
    setting = {"CATENA_STORE__ENCRYPTION_KEY_FILE": str(keys)}
    told = await done("encrypt", "--database", str(database), **setting)
    assert told.decode().startswith("Encrypted: 1 rows.")
    assert b"heron" not in database.read_bytes()
    first = keys.read_bytes()
    keys.write_bytes(first + base64.urlsafe_b64encode(os.urandom(32)) + b"\n")
    await done("encrypt", "--database", str(database), **setting)
    keys.write_bytes(keys.read_bytes()[len(first) :])
    store = await SqliteStore.open(database, key_file=keys)
    assert await store.load("default", turn.id) == turn
    status, _, said = await catena("encrypt", "--database", str(database), **setting)
    assert (status, "in use by another server" in said) == (1, True)
    await store.close()
    keys.write_bytes(first)
    status, _, said = await catena("encrypt", "--database", str(database), **setting)
    assert (status, "Bring its line back" in said) == (1, True)


async def test_without_a_file_of_keys_it_says_what_is_missing(tmp_path: Path) -> None:
    status, _, said = await catena("encrypt", "--database", str(tmp_path / "turns.sqlite3"))
    assert (status, "store.encryption_key_file" in said) == (1, True)
    assert list(tmp_path.iterdir()) == []


async def test_what_is_encrypted_is_exported_in_clear_and_can_be_read_with_the_keys_only(
    tmp_path: Path,
) -> None:
    database, keys = tmp_path / "turns.sqlite3", tmp_path / "keys"
    store = await SqliteStore.open(database, key_file=keys)
    await store.finish(a_turn(text="the heron stands still"))
    await store.close()
    where = ("--database", str(database))
    exported = await done("export", *where, CATENA_STORE__ENCRYPTION_KEY_FILE=str(keys))
    assert b"heron" in exported
    status, _, said = await catena("export", *where)
    assert (status, "The contents of this database are encrypted" in said) == (1, True)


async def test_postgresql_is_encrypted_while_a_server_has_it(postgres: TestDatabase, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    await postgres.empty()
    store = await PostgresStore.open(postgres.settings, key_file=keys)
    turn = a_turn(text="the heron stands still")
    await store.finish(turn)
    keys.write_bytes(keys.read_bytes() + base64.urlsafe_b64encode(os.urandom(32)) + b"\n")
    await store.close()
    store = await PostgresStore.open(postgres.settings, key_file=keys)
    setting = {"CATENA_STORE__ENCRYPTION_KEY_FILE": str(keys)}
    told = await done("encrypt", "--database", postgres.url, **setting)
    assert told.decode().startswith("Encrypted: 1 rows.")
    assert await store.load("default", turn.id) == turn
    await store.close()
