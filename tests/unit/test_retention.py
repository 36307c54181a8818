from pathlib import Path

from catena.history import History
from catena.ids import TurnIds, new_tree
from catena.prefix import PrefixCache
from catena.retention import Retention
from catena.store import Turn
from catena.store.sqlite import SqliteStore
from tests.conformance.proves import proves

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

    living, gone = new_tree(), new_tree()
    old_root = await turn(living, 1)
    young = await turn(living, 20, old_root)
    forgotten = await turn(gone, 2)
    history = History(store, PrefixCache(1000))
    retention = Retention(store, history, days=30, clock=lambda: 40.0 * DAY)
    assert await retention.sweep() == 1
    assert await store.load("p", forgotten) is None
    assert [each.id for each in await store.load_chain("p", young)] == [old_root, young]
    keeping = Retention(store, history, days=0, clock=lambda: 4000.0 * DAY)
    await keeping.start()
    await keeping.stop()
    assert await store.load("p", young) is not None
    await store.close()
