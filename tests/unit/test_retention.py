import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from catena import retention as retention_module
from catena.history import History
from catena.ids import TurnIds, new_tree
from catena.prefix import PrefixCache
from catena.retention import Removed, Retention, Term
from catena.store import StoredFile, Turn
from catena.store.files import new_blob
from catena.store.sqlite import SqliteStore
from tests.conformance.proves import proves
from tests.running import LIMIT

DAY = 86_400


@proves("3.2.44")
async def test_a_tree_goes_as_a_whole_when_its_newest_turn_is_too_old(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "catena.sqlite3")

    async def turn(tree: str, day: int, parent: str | None = None) -> str:
        turn_id = TurnIds.new(tree, day * DAY).turn("resp_")
        await store.finish(
            Turn(
                project="p",
                id=turn_id,
                tree=tree,
                parent=parent,
                status="completed",
                model="m",
                created_at=day * DAY,
            )
        )
        return turn_id

    living, gone = new_tree(DAY), new_tree(2 * DAY)
    old_root = await turn(living, 1)
    young = await turn(living, 20, old_root)
    forgotten = await turn(gone, 2)
    history = History(store, PrefixCache(1000))
    retention = Retention(store, history, term=Term(days=30), clock=lambda: 40.0 * DAY)
    assert (await retention.sweep()).turns == 1
    assert await store.load("p", forgotten) is None
    assert [each.id for each in await store.load_chain("p", young)] == [old_root, young]
    keeping = Retention(store, history, term=Term(days=0), clock=lambda: 4000.0 * DAY)
    await keeping.start()
    await keeping.stop()
    assert await store.load("p", young) is not None
    await store.close()


async def test_files_that_have_expired_and_pieces_of_no_file_go_whatever_is_kept(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "catena.sqlite3")
    lost, held = new_blob(38 * DAY), new_blob(40 * DAY)
    for blob in (lost, held):
        await store.files.add_piece(blob, 0, b"x")
    file = StoredFile(
        project="p",
        id="file-1",
        filename="a",
        purpose="user_data",
        created_at=39 * DAY,
        expires_at=40 * DAY,
        size=1,
        digest=b"",
        blob=new_blob(39 * DAY),
    )
    await store.files.add_piece(file.blob, 0, b"y")
    await store.files.add(file)
    retention = Retention(
        store, History(store, PrefixCache(1000)), term=Term(days=0), clock=lambda: 40.0 * DAY
    )
    assert await retention.sweep() == Removed(files=1, abandoned_uploads=1)
    assert await store.files.load_piece(file, 0) is None
    assert await store.files.load_piece(replace(file, blob=lost), 0) is None
    assert await store.files.load_piece(replace(file, blob=held), 0) == b"x"
    await store.close()


async def test_who_keeps_turns_longer_than_there_has_been_time_keeps_all(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "catena.sqlite3")
    term = Term(days=100_000, by_project={"p": 1_000_000})
    retention = Retention(store, History(store, PrefixCache(1000)), term=term, clock=lambda: 40.0 * DAY)
    assert await retention.sweep() == await retention.due() == Removed()
    await store.close()


async def test_a_sweep_that_fails_by_a_fault_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = await SqliteStore.open(tmp_path / "catena.sqlite3")
    swept = asyncio.Event()
    faults = [ValueError()]

    async def sweep(*_: object, **__: object) -> int:
        if faults:
            raise faults.pop()
        swept.set()
        return 0

    monkeypatch.setattr(retention_module, "_EVERY", 0.0)
    monkeypatch.setattr(store, "sweep", sweep)
    retention = Retention(
        store, History(store, PrefixCache(1000)), term=Term(days=1), clock=lambda: 40.0 * DAY
    )
    await retention.start()
    async with asyncio.timeout(LIMIT):
        await swept.wait()
    await retention.stop()
    assert "by a fault of this server" in caplog.text
    await store.close()
