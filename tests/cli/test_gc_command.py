"""`catena gc` as a person runs it, beside a server and without one."""

from __future__ import annotations

import json
from pathlib import Path

from catena.store.sqlite import SqliteStore
from tests.cli.test_moving_commands import catena, done
from tests.store.turns import NOW, a_turn


async def test_what_is_due_is_counted_and_then_removed(tmp_path: Path) -> None:
    database = tmp_path / "turns.sqlite3"
    store = await SqliteStore.open(database)
    old, deleted = a_turn(created_at=NOW), a_turn(created_at=NOW)
    for turn in (old, a_turn(old, created_at=NOW), deleted):
        await store.finish(turn)
    await store.delete("default", deleted.id)
    where = ("--database", str(database))
    counted, _ = await done("gc", "--dry-run", "--json", *where)  # beside who has it open
    assert json.loads(counted) == {"turns": 3, "files": 0, "abandoned_uploads": 0, "deleted_ids": 1}
    told, _ = await done("gc", "--dry-run", *where)
    assert told.decode().startswith("3 turns have had their time")
    status, _, said = await catena("gc", *where)
    assert (status, "in use by another server" in said) == (1, True)
    await store.close()
    kept, _ = await done("gc", "--json", *where, CATENA_RETENTION_DAYS="0")
    assert json.loads(kept) == {"turns": 0, "files": 0, "abandoned_uploads": 0, "deleted_ids": 1}
    told, _ = await done("gc", *where)
    assert told.decode().startswith("Removed: 2 turns, 0 ids")
