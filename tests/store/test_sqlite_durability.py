"""What was said to be stored survives a kill; what was deleted is nowhere; a file that does not fit is refused."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import msgspec
import pytest

from catena.errors import StoreUnavailable
from catena.ids import TurnIds, new_tree
from catena.store import Turn
from catena.store.sql import load_migrations
from catena.store.sqlite import SqliteStore, opening
from tests.store.turns import NOW, a_turn, items, replace, running

LIMIT = 60.0
SCHEMA = Path(opening.__file__).with_name("schema.sql")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catena.sqlite3"


# A server that is killed


def recognisable(ids: TurnIds, parent: str | None) -> Turn:
    """A turn whose contents follow from its id: some small, some large, some with a payload."""
    turn_id = ids.turn("resp_")
    digest = hashlib.shake_256(turn_id.encode())
    text = digest.hexdigest(int(digest.hexdigest(2), 16) // 20)
    return Turn(
        project="default",
        id=turn_id,
        tree=ids.tree,
        parent=parent,
        status="completed",
        model="small-model",
        created_at=NOW,
        input=items({"id": ids.item("msg_"), "content": text}),
        output=items({"id": ids.item("msg_"), "content": text[::-1], "data": text * 2}),
        fields=msgspec.json.encode({"metadata": {"digest": text[:20]}, "instructions": text[::-1]}),
    )


async def commit_for_ever(path: Path) -> None:
    """Stores chains side by side, and prints each id when it was told that its turn is stored."""
    store = await SqliteStore.open(path)

    async def converse() -> None:
        tree, parent = new_tree(NOW), None
        while True:
            turn = recognisable(TurnIds.new(tree, NOW), parent)
            if random.random() < 0.3:
                await store.begin(replace(turn, status="in_progress", output=b"[]"))
            await store.finish(turn)
            parent = turn.id
            print(parent, flush=True)

    await asyncio.gather(*(converse() for _ in range(8)))


@contextlib.asynccontextmanager
async def committing(path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of its own that stores, killed at the end."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__, str(path)),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGKILL)
        await child.communicate()


async def told_before_a_kill(path: Path, lines: int) -> list[str]:
    """What a process that stores has printed when it is killed, some time after so many lines."""
    async with committing(path) as child:
        assert child.stdout is not None
        printed = [await child.stdout.readline() for _ in range(lines)]
        child.send_signal(signal.SIGKILL)
        printed += (await child.stdout.read()).splitlines(keepends=True)
    return [line.decode().strip() for line in printed if line.endswith(b"\n")]


@pytest.mark.parametrize("attempt", range(4))
async def test_what_was_told_to_be_stored_survives_a_kill(path: Path, attempt: int) -> None:
    lines = random.randrange(1, 1500)  # any moment is as good as another
    async with asyncio.timeout(LIMIT):
        told = await told_before_a_kill(path, lines)
    assert len(told) >= lines
    store = await SqliteStore.open(path)
    for turn_id in told:
        turn = await store.load("default", turn_id)
        assert turn is not None
        assert turn == recognisable(TurnIds.of(turn_id), turn.parent)
        chain = await store.load_chain("default", turn_id)
        assert [each.parent for each in chain] == [None, *(each.id for each in chain[:-1])]
    await store.close()
    assert whole(path)


def whole(path: Path) -> bool:
    connection = apsw.Connection(str(path))
    found = connection.execute("PRAGMA integrity_check").fetchall()
    connection.close()
    return found == [("ok",)]


async def test_two_servers_cannot_have_one_file_until_one_is_gone(path: Path) -> None:
    async with asyncio.timeout(LIMIT), committing(path) as child:
        assert child.stdout is not None
        await child.stdout.readline()
        with pytest.raises(StoreUnavailable, match="in use by another server"):
            await SqliteStore.open(path)
    store = await SqliteStore.open(path)
    await store.close()


# What was deleted


def files_with(folder: Path, marker: str) -> list[str]:
    return [
        file.name for file in folder.rglob("*") if file.is_file() and marker.encode() in file.read_bytes()
    ]


def secretive(marker: str, parent: Turn | None = None) -> Turn:
    """A turn that says `marker` wherever something can be said, in a payload that its parent has as well."""
    image = "data:image/png;base64," + marker * 400
    item = {"id": f"{marker}-id", "content": [{"type": "input_image", "image_url": image}, {"text": marker}]}
    return a_turn(
        parent,
        input=items(item),
        output=items({"id": "msg_2", "content": marker}),
        fields=msgspec.json.encode({"instructions": marker * 200, "metadata": {"a": marker}}),
        cuts=marker.encode(),
        foreign_ids=[f"{marker}-id"],
    )


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
async def test_what_was_deleted_is_in_no_file_any_more(path: Path, busy: bool) -> None:
    store = await SqliteStore.open(path)

    async def converse() -> None:
        while True:
            await store.finish(a_turn())

    others = [asyncio.create_task(converse()) for _ in range(4 if busy else 0)]
    root = secretive("SecretOfBoth")
    child = secretive("SecretOfBoth", root)
    await store.finish(root)
    await store.begin(replace(child, status="in_progress"), owner="me", lease=60, request=b"SecretOfBoth")
    await store.append_log(child, 0, b"SecretOfBoth")
    await store.finish(child)
    assert files_with(path.parent, "SecretOfBoth")
    await store.delete("default", root.id)
    assert await store.load("default", child.id) == replace(child, foreign_ids=())
    await store.delete("default", child.id)
    assert files_with(path.parent, "SecretOfBoth") == []
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await store.close()
    assert files_with(path.parent, "SecretOfBoth") == []


async def test_what_has_expired_is_in_no_file_any_more(path: Path) -> None:
    store = await SqliteStore.open(path)
    await store.finish(secretive("OldSecret"))
    assert await store.expire(NOW + 1) == 1
    assert files_with(path.parent, "OldSecret") == []
    await store.close()


async def test_fields_that_were_replaced_are_in_no_file_after_a_restart(path: Path) -> None:
    store = await SqliteStore.open(path)
    turn = secretive("OldSecret")
    await store.finish(replace(turn, input=b"[]", output=b"[]", cuts=b"", foreign_ids=()))
    await store.set_fields("default", turn.id, b"{}")
    await store.close()
    assert files_with(path.parent, "OldSecret") == []


async def test_a_run_that_is_deleted_leaves_nothing(path: Path) -> None:
    store = await SqliteStore.open(path)
    turn = secretive("SecretOfARun")
    await store.begin(replace(turn, status="in_progress"), owner="me", lease=60, request=b"SecretOfARun")
    await store.append_log(turn, 0, b"SecretOfARun" * 500)
    await store.delete("default", turn.id)
    await store.finish(turn)
    assert files_with(path.parent, "SecretOfARun") == []
    await store.close()
    assert files_with(path.parent, "SecretOfARun") == []


# Opening


async def test_the_files_are_for_their_owner_only(path: Path) -> None:
    store = await SqliteStore.open(path)
    await store.finish(a_turn())
    for suffix in ("", "-wal", "-shm"):
        assert path.with_name(path.name + suffix).stat().st_mode & 0o077 == 0
    await store.close()


async def test_a_store_in_use_is_refused_in_the_same_process_as_well(path: Path) -> None:
    store = await SqliteStore.open(path)
    with pytest.raises(StoreUnavailable, match="in use by another server"):
        await SqliteStore.open(path)
    await store.close()
    await (await SqliteStore.open(path)).close()


async def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(path: Path) -> None:
    await (await SqliteStore.open(path)).close()
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA user_version = 1000")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreUnavailable, match=r"newer Catena \(schema 1000; this one knows \d+\)"):
        await SqliteStore.open(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", ["garbage", "folder", "nowhere"])
async def test_what_cannot_be_opened_is_an_error_that_names_it(path: Path, kind: str) -> None:
    if kind == "garbage":
        path.write_bytes(b"this is no database. " * 200)
    elif kind == "folder":
        path.mkdir()
    else:
        path = path / "nowhere" / "catena.sqlite3"
    for _ in range(2):  # the first try leaves nothing locked
        with pytest.raises(StoreUnavailable, match=r"catena\.sqlite3 cannot be opened"):
            await SqliteStore.open(path)


# Migrations


def schema_of(connection: apsw.Connection) -> dict[str, object]:
    """The columns of every table and the statement of every index, by their names."""
    tables = connection.execute(
        "SELECT name, wr FROM pragma_table_list WHERE name NOT LIKE 'sqlite_%'"
    ).fetchall()
    indexes = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql NOT NULL")
    found: dict[str, object] = {name: " ".join(str(sql).split()) for name, sql in indexes}
    for table, without_rowid in tables:
        columns = connection.execute("SELECT * FROM pragma_table_xinfo(?)", (table,)).fetchall()
        found[str(table)] = (without_rowid, columns)
    return found


def written_down() -> dict[str, object]:
    connection = apsw.Connection(":memory:")
    connection.execute(SCHEMA.read_text()).fetchall()
    return schema_of(connection)


def test_all_migrations_in_order_make_the_schema_that_is_written_down() -> None:
    """What `schema.sql` shows is what a database has; it changes with every migration."""
    migrated = apsw.Connection(":memory:")
    opening.migrate(migrated)
    assert schema_of(migrated) == written_down()


@pytest.mark.parametrize("version", range(len(load_migrations("catena.store.sqlite"))))
async def test_an_older_database_is_brought_up_to_date(path: Path, version: int) -> None:
    scripts = load_migrations("catena.store.sqlite")
    old = apsw.Connection(str(path))
    for script in scripts[:version]:
        old.execute(script).fetchall()
    old.execute(f"PRAGMA user_version = {version}")
    old.close()
    store = await SqliteStore.open(path)
    turn = running()
    await store.begin(turn)
    await store.close()
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        assert connection.execute("PRAGMA user_version").get == len(scripts)
        assert schema_of(connection) == written_down()


async def test_a_migration_that_fails_leaves_the_database_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await SqliteStore.open(path)
    turn = a_turn()
    await store.finish(turn)
    await store.close()
    scripts = load_migrations("catena.store.sqlite")
    with monkeypatch.context() as patched:
        broken = "ALTER TABLE turns ADD COLUMN new; INSERT INTO nothing VALUES (1)"
        patched.setattr(opening, "load_migrations", lambda package: (*scripts, broken))
        with pytest.raises(StoreUnavailable, match="cannot be opened"):
            await SqliteStore.open(path)
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        assert schema_of(connection) == written_down()
    store = await SqliteStore.open(path)
    assert await store.load("default", turn.id) == turn
    await store.close()


if __name__ == "__main__":
    asyncio.run(commit_for_ever(Path(sys.argv[1])))
