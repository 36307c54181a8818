"""SQLite keeps all promises of a store while its contents are encrypted; and what encryption promises beyond."""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from catena.errors import StoreUnavailable
from catena.moving.leaving import House
from catena.seal import key_id
from catena.store import Page, Store
from catena.store.cipher import MARK
from catena.store.lineage import NoSearch, Wanted
from catena.store.sqlite import SqliteStore
from catena.wire.words import terms
from tests.store.contract import Reopen, StoreContract
from tests.store.contract_files import FileContract, content_of, put
from tests.store.contract_housekeeping import HousekeepingContract
from tests.store.contract_lineage import LineageContract
from tests.store.contract_moving import MovingContract
from tests.store.secrets_everywhere import NEEDLES, SECRET, a_secret_turn, assert_whole, filled
from tests.store.turns import a_turn


@pytest.fixture
async def reopen(tmp_path: Path) -> AsyncIterator[Reopen]:
    opened: list[SqliteStore] = []

    async def again() -> Store:
        if opened:
            await opened[-1].close()
        path, key_file = tmp_path / "catena.sqlite3", tmp_path / "contents.keys"
        opened.append(await SqliteStore.open(path, key_file=key_file, searched=True))
        return opened[-1]

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
    """Encrypted as well, with a key of its own."""
    opened = await SqliteStore.open(tmp_path / "other.sqlite3", key_file=tmp_path / "other.keys")
    yield opened
    await opened.close()


class TestEncryptedStore(StoreContract):
    test_a_chain_of_ten_thousand_turns_is_whole_and_can_be_removed = None  # type: ignore[assignment]  # no other way than a few take


class TestEncryptedFiles(FileContract): ...


class TestEncryptedHousekeeping(HousekeepingContract): ...


class TestEncryptedLineage(LineageContract): ...


class TestEncryptedMoving(MovingContract): ...


def found_in(folder: Path) -> list[str]:
    """The files in which anything of a secret stands in clear."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "contents.keys"]
    return [path.name for path in files if any(needle in path.read_bytes() for needle in NEEDLES)]


Open: TypeAlias = Callable[..., Awaitable[SqliteStore]]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Open]:
    """Opens the store, with its file of keys; what a test leaves open is closed."""
    stores: list[SqliteStore] = []

    async def again(**options: Any) -> SqliteStore:
        options = {"key_file": tmp_path / "contents.keys", **options}
        stores.append(await SqliteStore.open(tmp_path / "catena.sqlite3", **options))
        return stores[-1]

    yield again
    for store in stores:
        if not store._database.closed:
            await store.close()


async def test_no_file_has_anything_in_clear(opened: Open, tmp_path: Path) -> None:
    store = await opened()
    turns = await filled(store)
    await store.set_fields("default", turns[0].id, turns[0].fields)
    await assert_whole(store, turns)
    assert found_in(tmp_path) == []
    await store.close()
    assert found_in(tmp_path) == []


async def test_what_is_looked_for_in_files_is_found_there_without_encryption(
    opened: Open, tmp_path: Path
) -> None:
    store = await opened(key_file=None)
    await filled(store)
    assert set(found_in(tmp_path)) >= {"catena.sqlite3-wal", "pages"}
    await store.close()


async def encrypt(store: SqliteStore) -> int:
    """Seal everything anew. Returns how many rows that were."""
    assert store.resealing is not None
    done = 0
    while step := await store.resealing.step():
        done += step
    assert await store.resealing.settle() == 0
    return done


async def test_a_database_has_both_kinds_until_it_is_encrypted_and_nothing_in_clear_afterwards(
    opened: Open,
    tmp_path: Path,
) -> None:
    store = await opened(key_file=None)
    turns = await filled(store)
    await store.close()
    store = await opened()
    await assert_whole(store, turns)
    again = a_secret_turn(turns[0])
    await store.finish(again)
    assert [turn.input for turn in await store.load_chain("default", again.id)] == [again.input] * 2
    await store.delete("default", again.id)
    assert found_in(tmp_path) != []
    assert store.resealing is not None
    assert await store.resealing.pending() > 0
    assert await encrypt(store) > 0
    assert await store.resealing.pending() == 0
    assert found_in(tmp_path) == []
    await assert_whole(store, turns)
    assert await encrypt(store) == 0
    await store.close()
    assert found_in(tmp_path) == []


def add_key(path: Path) -> None:
    path.write_bytes(path.read_bytes() + base64.urlsafe_b64encode(os.urandom(32)) + b"\n")


async def test_a_key_is_replaced_and_the_older_one_is_not_needed_any_more(
    opened: Open, tmp_path: Path
) -> None:
    store = await opened()
    turns = await filled(store)
    await store.close()
    keys = tmp_path / "contents.keys"
    add_key(keys)
    store = await opened()
    await assert_whole(store, turns)
    assert await encrypt(store) > 0
    await store.close()
    keys.write_bytes(keys.read_bytes().splitlines(keepends=True)[-1])
    store = await opened()
    await assert_whole(store, turns)
    again = a_secret_turn(turns[0])
    await store.finish(again)
    stored = await store._database.scan(lambda reader: reader.execute("SELECT count(*) FROM payloads").get)
    await store.delete("default", again.id)
    assert stored == await store._database.scan(
        lambda reader: reader.execute("SELECT count(*) FROM payloads").get
    )
    await store.close()


async def test_encrypting_that_was_interrupted_goes_on_where_it_was(opened: Open, tmp_path: Path) -> None:
    store = await opened(key_file=None)
    turns = [a_turn(text=SECRET) for _ in range(150)]
    for turn in turns:
        await store.finish(turn)
    await store.close()
    store = await opened()
    assert store.resealing is not None
    first = await store.resealing.step()
    assert 0 < first < 150
    assert await store.resealing.settle() == 150 - first
    await store.close()
    store = await opened()
    assert await encrypt(store) == 150 - first
    assert [await store.load("default", turn.id) for turn in turns] == turns
    await store.close()


async def test_a_store_without_its_key_does_not_open_and_says_which_is_missing(
    opened: Open, tmp_path: Path
) -> None:
    keys = tmp_path / "contents.keys"
    await (await opened()).close()
    kept = keys.read_bytes()
    missing = key_id(base64.urlsafe_b64decode(kept.strip())).hex()
    with pytest.raises(StoreUnavailable, match=f"store.encryption_key_file.*{missing}"):
        await opened(key_file=None)
    keys.unlink()
    with pytest.raises(StoreUnavailable, match=f"is not there.*{missing}"):
        await opened()
    assert not keys.exists()
    keys.write_bytes(base64.urlsafe_b64encode(os.urandom(32)) + b"\n")
    with pytest.raises(StoreUnavailable, match=missing):
        await opened()
    keys.write_bytes(kept)
    await (await opened()).close()


async def test_a_key_that_was_used_must_stay_until_everything_is_sealed_anew(
    opened: Open, tmp_path: Path
) -> None:
    keys = tmp_path / "contents.keys"
    await (await opened()).close()
    add_key(keys)
    await (await opened()).close()
    keys.write_bytes(keys.read_bytes().splitlines(keepends=True)[-1])
    with pytest.raises(StoreUnavailable, match="Bring its line back"):
        await opened()


async def test_the_file_of_keys_is_for_its_owner_alone(opened: Open, tmp_path: Path) -> None:
    await (await opened()).close()
    assert stat.S_IMODE((tmp_path / "contents.keys").stat().st_mode) == 0o600


async def change(store: SqliteStore, statement: str) -> None:
    """What somebody does who can write to the file."""
    await store._database.writer.write(lambda connection: connection.execute(statement).fetchall())


SWAPS = [
    "(SELECT o.output FROM turns o WHERE o.number = 1)",
    "input",
    "CAST(substr(output, 1, 30) || x'00' || substr(output, 32) AS BLOB)",
    "substr(output, 1, 30)",
    "CAST(substr(output, 1, 4) || x'0000000000000000' || substr(output, 13) AS BLOB)",
]


@pytest.mark.parametrize("swap", SWAPS)
async def test_what_was_changed_or_stands_elsewhere_is_an_error_and_never_an_empty_history(
    opened: Open, tmp_path: Path, swap: str
) -> None:
    store = await opened()
    root = a_turn(text="root")
    turn = a_turn(root, "below")
    await store.finish(root)
    await store.finish(turn)
    await change(store, f"UPDATE turns SET output = {swap} WHERE number = 2")
    for read in (store.load, store.load_chain):
        with pytest.raises(StoreUnavailable, match=r"cannot be opened|is not in the file"):
            await read("default", turn.id)
    with pytest.raises(StoreUnavailable):
        await store.lineage.list_turns("default", Page(), Wanted())
    await store.close()


async def test_fields_that_were_changed_hide_no_turn_from_a_list(opened: Open, tmp_path: Path) -> None:
    store = await opened()
    await store.finish(a_secret_turn(listed=True))
    await change(store, "UPDATE turns SET fields = substr(fields, 1, 30)")
    with pytest.raises(StoreUnavailable):
        await store.list_listed("default", Page(), metadata={"bird": SECRET})
    with pytest.raises(StoreUnavailable):
        await store.lineage.list_turns("default", Page(), Wanted(metadata={"bird": SECRET}))
    with pytest.raises(StoreUnavailable):
        await store.housekeeping.turns_of("default", SECRET)
    await store.close()


async def test_equal_payloads_of_two_trees_cannot_be_told_to_be_equal(opened: Open, tmp_path: Path) -> None:
    store = await opened()
    for _ in range(2):
        await store.finish(a_secret_turn())
    hashes = await store._database.scan(
        lambda reader: list(reader.execute("SELECT DISTINCT hash FROM payloads"))
    )
    assert len(hashes) == 4
    await store.close()


async def test_words_are_not_looked_for_and_the_index_goes(opened: Open, tmp_path: Path) -> None:
    store = await opened(key_file=None, searched=True)
    await store.finish(a_turn(text=SECRET))
    await store.lineage.list_turns("default", Page(), Wanted(words=terms("heron")))
    await store.close()
    assert (tmp_path / "catena.sqlite3.search").exists()
    store = await opened(searched=True)
    assert not (tmp_path / "catena.sqlite3.search").exists()
    with pytest.raises(NoSearch) as refused:
        await store.lineage.list_turns("default", Page(), Wanted(words=terms("heron")))
    assert refused.value.encrypted
    await store.close()


async def test_a_file_that_looks_sealed_is_kept_as_it_is(opened: Open, tmp_path: Path) -> None:
    for key_file in (None, tmp_path / "contents.keys"):
        store = await opened(key_file=key_file)
        file = await put(store, MARK + b"\x00" * 60, 1 if key_file is None else 2)
        assert await content_of(store, file) == MARK + b"\x00" * 60
        await store.close()
