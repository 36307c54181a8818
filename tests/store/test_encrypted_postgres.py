"""PostgreSQL keeps all promises of a store while its contents are encrypted, also while they are encrypted anew."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from catena.errors import StoreUnavailable
from catena.moving.leaving import House
from catena.store import Page, Store
from catena.store.lineage import NoSearch, Wanted
from catena.store.postgres import PostgresStore
from catena.store.sqlite import SqliteStore
from catena.wire.words import terms
from tests.postgres import TestDatabase
from tests.store.contract import Reopen, StoreContract
from tests.store.contract_files import FileContract
from tests.store.contract_housekeeping import HousekeepingContract
from tests.store.contract_lineage import LineageContract
from tests.store.contract_moving import MovingContract
from tests.store.secrets_everywhere import NEEDLES, SECRET, a_secret_turn, assert_whole, filled
from tests.store.turns import a_turn, ids_of


@pytest.fixture
async def reopen(postgres: TestDatabase, tmp_path: Path) -> AsyncIterator[Reopen]:
    opened: list[PostgresStore] = []
    await postgres.empty()

    async def again(key_file: Path | None = tmp_path / "contents.keys") -> Store:
        if opened:
            await opened[-1].close()
        store = await PostgresStore.open(postgres.settings, searched=True, key_file=key_file)
        opened.append(store)
        return store

    yield again
    await opened[-1].close()


@pytest.fixture
async def store(reopen: Reopen) -> Store:
    return await reopen()


@pytest.fixture
def house(store: Store) -> Store:
    return store


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[House]:
    """In clear, and of another kind."""
    opened = await SqliteStore.open(tmp_path / "other.sqlite3")
    yield opened
    await opened.close()


class TestEncryptedStore(StoreContract):
    test_a_chain_of_ten_thousand_turns_is_whole_and_can_be_removed = None  # type: ignore[assignment]  # no other way than a few take


class TestEncryptedFiles(FileContract): ...


class TestEncryptedHousekeeping(HousekeepingContract): ...


class TestEncryptedLineage(LineageContract): ...


class TestEncryptedMoving(MovingContract): ...


async def found_in(postgres: TestDatabase) -> set[str]:
    """The tables that have anything of a secret in clear."""
    tables = await postgres.run("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    found = set()
    for (table,) in tables:
        for (row,) in await postgres.run(f"SELECT textsend({table}::text) FROM {table}"):
            # Bytes are shown as hexadecimal digits in there.
            if any(needle in row or needle.hex().encode() in row for needle in [*NEEDLES, b"heron"]):
                found.add(table)
    return found


async def encrypt(store: PostgresStore) -> int:
    assert store.resealing is not None
    done = 0
    while step := await store.resealing.step():
        done += step
    assert await store.resealing.settle() == 0
    return done


async def test_no_table_has_anything_in_clear(store: PostgresStore, postgres: TestDatabase) -> None:
    turns = await filled(store)
    await store.set_fields("default", turns[0].id, turns[0].fields)
    await assert_whole(store, turns)
    assert await found_in(postgres) == set()


async def test_a_database_has_both_kinds_until_it_is_encrypted_beside_who_is_at_work(
    reopen: Reopen, postgres: TestDatabase, tmp_path: Path
) -> None:
    store = await reopen(None)  # type: ignore[call-arg]  # the one above
    turns = await filled(store)
    await store.lineage.list_turns("default", Page(), Wanted(words=terms("heron")))
    assert await found_in(postgres) >= {
        *("turns", "logs", "conversations", "endpoints", "files", "file_pieces", "request_keys", "words"),
    }
    store = await reopen()
    await assert_whole(store, turns)
    assert "words" not in await found_in(postgres)
    with pytest.raises(NoSearch) as refused:
        await store.lineage.list_turns("default", Page(), Wanted(words=terms("heron")))
    assert refused.value.encrypted
    sealer = await PostgresStore.open(postgres.settings, key_file=tmp_path / "contents.keys")
    assert sealer.resealing is not None
    assert await sealer.resealing.pending() > 0
    assert await encrypt(sealer) > 0
    await sealer.close()
    assert await found_in(postgres) == set()
    await assert_whole(store, turns)
    again = a_secret_turn(turns[0])
    await store.finish(again)
    assert [turn.input for turn in await store.load_chain("default", again.id)] == [again.input] * 2
    await store.delete("default", again.id)
    for turn in turns[:3]:
        await store.delete("default", turn.id)
    await store.drop_conversation("default", turns[3].id)
    assert await postgres.run("SELECT * FROM payloads") == []


async def test_a_key_is_replaced_and_the_older_one_is_not_needed_any_more(
    reopen: Reopen, tmp_path: Path
) -> None:
    store = await reopen()
    turns = await filled(store)
    keys = tmp_path / "contents.keys"
    first = keys.read_bytes()
    keys.write_bytes(first + base64.urlsafe_b64encode(os.urandom(32)) + b"\n")
    store = await reopen()
    await assert_whole(store, turns)
    assert await encrypt(store) > 0  # type: ignore[arg-type]  # of this kind
    keys.write_bytes(keys.read_bytes()[len(first) :])
    await assert_whole(await reopen(), turns)


async def test_a_server_without_the_key_does_not_start_and_one_at_work_says_what_it_misses(
    store: PostgresStore, postgres: TestDatabase, tmp_path: Path
) -> None:
    with pytest.raises(StoreUnavailable, match=r"store\.encryption_key_file"):
        await PostgresStore.open(postgres.settings)
    keys = tmp_path / "contents.keys"
    other = tmp_path / "more.keys"
    other.write_bytes(keys.read_bytes() + base64.urlsafe_b64encode(os.urandom(32)) + b"\n")
    newer = await PostgresStore.open(postgres.settings, key_file=other)
    turn = a_turn(text=SECRET)
    await newer.finish(turn)
    await newer.close()
    with pytest.raises(StoreUnavailable, match="is not in the file"):
        await store.load("default", turn.id)
    with pytest.raises(StoreUnavailable, match="Bring its line back"):
        await PostgresStore.open(postgres.settings, key_file=keys)


async def test_what_stands_elsewhere_is_an_error_and_never_an_empty_history(
    store: PostgresStore, postgres: TestDatabase
) -> None:
    root = a_turn(text="root")
    below = a_turn(root, "below")
    await store.finish(root)
    await store.finish(below)
    sketches, _ = await store.lineage.list_turns("default", Page(), Wanted())
    assert [sketch.id for sketch in sketches] == ids_of([root, below])
    await postgres.run("UPDATE turns t SET output = (SELECT o.output FROM turns o WHERE o.parent IS NULL)")
    with pytest.raises(StoreUnavailable, match="does not belong where it stands"):
        await store.load_chain("default", below.id)
    with pytest.raises(StoreUnavailable, match="does not belong where it stands"):
        await store.lineage.list_turns("default", Page(), Wanted())
