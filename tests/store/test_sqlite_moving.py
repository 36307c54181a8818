"""SQLite keeps the promises of `Movable`; and a copy of one moment, beside a server."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from catena.errors import StoreUnavailable
from catena.moving.leaving import House
from catena.store.sqlite import SqliteStore, copy_database
from tests.store.contract_moving import MovingContract, everything, lived_in


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    store = await SqliteStore.open(tmp_path / "catena.sqlite3")
    yield store
    await store.close()


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[House]:
    store = await SqliteStore.open(tmp_path / "other.sqlite3")
    yield store
    await store.close()


class TestSqliteMoving(MovingContract): ...


async def test_a_copy_is_whole_while_the_store_is_open(house: House, tmp_path: Path) -> None:
    await lived_in(house)
    copied = tmp_path / "copy.sqlite3"
    size = copy_database(tmp_path / "catena.sqlite3", copied)
    assert size == copied.stat().st_size
    assert stat.S_IMODE(copied.stat().st_mode) == 0o600
    copy = await SqliteStore.open(copied)
    assert await everything(copy) == await everything(house)
    await copy.close()


async def test_a_copy_replaces_nothing_and_leaves_nothing_half_done(house: House, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("mine")
    with pytest.raises(StoreUnavailable, match="is there already"):
        copy_database(tmp_path / "catena.sqlite3", there)
    assert there.read_text() == "mine"
    with pytest.raises(StoreUnavailable, match="There is no database"):
        copy_database(tmp_path / "nothing", tmp_path / "copy")
    not_one = tmp_path / "not-a-database"
    not_one.write_bytes(b"x" * 5000)
    with pytest.raises(StoreUnavailable, match="cannot be copied"):
        copy_database(not_one, tmp_path / "copy")
    assert sorted(path.name for path in tmp_path.iterdir() if "copy" in path.name) == []
