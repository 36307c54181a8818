"""The promises of `Lineage`, held against every implementation.

A test module has a class that inherits from `LineageContract`, and a fixture `store`, which is empty.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec
import pytest

from catena.errors import NotFound
from catena.ids import TurnIds, new_tree
from catena.store import Conversation, Page, Store, Turn
from catena.store.lineage import EDGE, PARTS, Part, Shape, Sketch, Wanted
from tests.store.turns import NOW, a_turn, ids_of, items, replace, running

__all__ = ["LineageContract"]

ALL = Page(limit=1000)
FIRST = Page()
NEWEST = Page(ascending=False)
TOOLS = [{"type": "function", "name": f"tool_{number}", "description": "x" * 60} for number in range(50)]


async def stored(store: Store, *turns: Turn) -> None:
    for turn in turns:
        await store.finish(turn)


async def part_of(store: Store, turn: Turn, part: Part, page: Page = ALL) -> Sequence[Sketch]:
    found = await store.lineage.part(turn.project, turn.id, part, page)
    assert found is not None
    return found[1]


def names(sketches: Sequence[Sketch]) -> list[str]:
    return [sketch.id for sketch in sketches]


async def listed(store: Store, page: Page = NEWEST, **wanted: object) -> list[str]:
    return names((await store.lineage.list_turns("default", page, Wanted(**wanted)))[0])  # type: ignore[arg-type]  # one by one


async def trees(store: Store, page: Page = FIRST, **wanted: object) -> list[str]:
    found, _ = await store.lineage.list_trees("default", page, Wanted(**wanted))  # type: ignore[arg-type]  # one by one
    return [tree.root.id for tree in found]


def with_fields(**fields: object) -> bytes:
    return msgspec.json.encode(fields)


class Parts:
    async def test_a_sketch_tells_a_turn_and_where_it_stands(self, store: Store) -> None:
        root = a_turn(text="first")
        below = a_turn(root, "second", status="incomplete", model="other", created_at=NOW + 9)
        await stored(store, root, below, a_turn(root))
        found = await store.lineage.part("default", below.id, "tree", ALL)
        assert found is not None
        shape, sketches, has_more = found
        assert shape == Shape(root=root.id, turns=3, branches=2, depth=2)
        assert not has_more
        first, second, _ = sketches
        assert (first.id, first.parent, first.depth, first.children) == (root.id, None, 1, 2)
        assert (second.id, second.parent, second.depth, second.children) == (below.id, root.id, 2, 0)
        assert (second.status, second.model, second.created_at) == ("incomplete", "other", NOW + 9)
        assert (second.door, second.deleted) == ("responses", False)
        assert msgspec.json.decode(second.fields) == msgspec.json.decode(below.fields)
        assert (second.input.head, second.input.tail) == (below.input, b"")
        assert (second.output.head, second.output.tail) == (below.output, b"")

    async def test_the_parts_of_grown_trees_are_what_their_names_say(self, store: Store) -> None:
        grown = random.Random(11)
        turns = [a_turn()]
        for _ in range(40):
            turns.append(a_turn(grown.choice(turns[-7:])))
        await stored(store, *turns, a_turn())
        parents = {turn.id: turn.parent for turn in turns}

        def above(turn_id: str) -> list[str]:
            parent = parents[turn_id]
            return [] if parent is None else [*above(parent), parent]

        for turn in turns:
            here = turn.id
            expected = {
                "tree": ids_of(turns),
                "path": [*above(here), here],
                "ancestors": above(here),
                "children": [each for each in parents if parents[each] == here],
                "siblings": [each for each in parents if parents[each] == parents[here] and each != here],
                "descendants": [each for each in parents if here in above(each)],
            }
            for part in PARTS:
                sketches = await part_of(store, turn, part)
                assert names(sketches) == expected[part], part
                assert [sketch.depth for sketch in sketches] == [
                    len(above(each)) + 1 for each in names(sketches)
                ]

    async def test_pages_of_a_part_make_up_the_whole(self, store: Store) -> None:
        turns = [a_turn()]
        for _ in range(9):
            turns.append(a_turn(turns[-1]))
        await stored(store, *turns)
        gathered: list[str] = []
        after = None
        while True:
            found = await store.lineage.part("default", turns[4].id, "tree", Page(limit=4, after=after))
            assert found is not None
            shape, sketches, has_more = found
            assert shape.turns == 10
            gathered += names(sketches)
            after = gathered[-1]
            if not has_more:
                break
        assert gathered == ids_of(turns)
        with pytest.raises(NotFound):
            await part_of(store, turns[4], "ancestors", Page(after=turns[4].id))

    async def test_a_tombstone_keeps_its_place_and_nothing_else(self, store: Store) -> None:
        root = a_turn()
        middle = a_turn(root, "secret")
        last = a_turn(middle)
        await stored(store, root, middle, last)
        await store.delete("default", middle.id)
        sketches = await part_of(store, middle, "tree")
        assert names(sketches) == ids_of([root, middle, last])
        assert [sketch.deleted for sketch in sketches] == [False, True, False]
        assert (sketches[1].fields, sketches[1].input.head, sketches[1].output.head) == (b"{}", b"[]", b"[]")
        assert sketches[2].parent == middle.id

    async def test_of_a_large_content_a_sketch_has_only_the_ends(self, store: Store) -> None:
        words = " ".join(str(number) for number in range(5000))
        turn = a_turn(text=words, fields=with_fields(tools=TOOLS, metadata={"team": "red"}))
        exact = a_turn(turn, output=items({"id": "msg_1", "text": "x" * (EDGE - 26)}))
        assert len(exact.output) == EDGE
        await stored(store, turn, exact)
        first, second = await part_of(store, turn, "tree")
        for ends, whole in ((first.input, turn.input), (first.output, turn.output)):
            assert (ends.head, ends.tail) == (whole[:EDGE], whole[-EDGE:])
        assert (second.output.head, second.output.tail) == (exact.output, b"")
        assert msgspec.json.decode(first.fields)["metadata"] == {"team": "red"}

    async def test_what_is_elsewhere_is_unknown(self, store: Store) -> None:
        turn = a_turn(project="theirs")
        await stored(store, turn)
        for unknown in (turn.id, "resp_" + "0" * 50, "resp_x", ""):
            assert await store.lineage.part("default", unknown, "tree", ALL) is None


class Lists:
    async def test_requests_are_listed_in_the_order_in_which_they_were_stored(self, store: Store) -> None:
        turns = [a_turn(created_at=NOW - number) for number in range(5)]
        await stored(store, *turns, a_turn(project="theirs"))
        assert await listed(store) == ids_of(turns)[::-1]
        assert await listed(store, Page(ascending=True)) == ids_of(turns)
        assert await listed(store, Page(ascending=True, after=turns[1].id, limit=2)) == ids_of(turns[2:4])
        assert await listed(store, Page(ascending=False, after=turns[3].id, limit=2)) == [
            turns[2].id,
            turns[1].id,
        ]
        for limit, more in ((4, True), (5, False)):
            _, has_more = await store.lineage.list_turns("default", Page(limit=limit), Wanted())
            assert has_more is more
        with pytest.raises(NotFound):
            await listed(store, Page(after="resp_" + "0" * 50))

    async def test_a_list_has_only_what_is_wanted(self, store: Store) -> None:
        red = a_turn(fields=with_fields(metadata={"team": "red", "user": "ada"}), model="large")
        blue = a_turn(red, fields=with_fields(metadata={"team": "blue"}), created_at=NOW + 5)
        late = a_turn(status="failed", created_at=NOW + 10)
        await stored(store, red, blue, late)
        assert await listed(store, model="large") == [red.id]
        assert await listed(store, status="failed") == [late.id]
        assert await listed(store, metadata={"team": "red"}) == [red.id]
        assert await listed(store, metadata={"team": "red", "user": "bob"}) == []
        assert await listed(store, created_after=NOW) == [late.id, blue.id]
        assert await listed(store, created_after=NOW, created_before=NOW + 10) == [blue.id]
        assert await listed(store, model="large", metadata={"team": "blue"}) == []

    async def test_tombstones_are_not_listed_and_what_runs_is(self, store: Store) -> None:
        gone, waits = a_turn(), running()
        await stored(store, gone)
        await store.begin(waits, owner="me", lease=60)
        await store.delete("default", gone.id)
        assert await listed(store) == [waits.id]
        assert await listed(store, status="in_progress") == [waits.id]

    async def test_the_responses_of_a_conversation_are_listed_without_what_was_put_in(
        self, store: Store
    ) -> None:
        ids = TurnIds.new(new_tree(NOW), NOW)
        first = replace(a_turn(), id=ids.turn("conv_"), tree=ids.tree, door="conversation", model="")
        conversation = Conversation(id=first.id, created_at=NOW, tip=first.id)
        await store.open_conversation(conversation, first)
        fields = with_fields(conversation={"id": first.id})
        inside = a_turn(first, fields=fields)
        beside = a_turn(first)
        begun = replace(running(first, fields=fields), id=inside.id, conversation=first.id)
        await store.begin(begun, owner="me", lease=60)
        await stored(store, replace(inside, conversation=first.id), beside, a_turn())
        assert await listed(store, conversation=first.id) == [inside.id]
        assert await listed(store, conversation="conv_x") == []
        assert first.id not in await listed(store)

    async def test_trees_are_listed_by_their_newest_turn(self, store: Store) -> None:
        roots = [a_turn(text=f"tree {number}") for number in range(3)]
        grown = a_turn(roots[0], "again")
        await stored(store, *roots, grown)
        assert await trees(store) == [roots[0].id, roots[2].id, roots[1].id]
        found, has_more = await store.lineage.list_trees("default", Page(limit=2), Wanted())
        assert has_more
        assert found[0].shape == Shape(root=roots[0].id, turns=2, branches=1, depth=2)
        assert (found[0].newest.id, found[0].newest.input.head) == (grown.id, grown.input)
        assert found[1].newest == found[1].root
        assert await trees(store, Page(limit=2, after=roots[2].id)) == [roots[1].id]
        assert await trees(store, Page(after=roots[1].id)) == []
        with pytest.raises(NotFound):
            await trees(store, Page(after=grown.id.replace(grown.tree, "0" * 16)))

    async def test_a_tree_is_listed_if_one_of_its_turns_is_wanted(self, store: Store) -> None:
        root = a_turn()
        large = a_turn(root, model="large")
        await stored(store, root, large, a_turn(large), a_turn())
        assert await trees(store, model="large") == [root.id]
        (found,), _ = await store.lineage.list_trees("default", Page(), Wanted(model="large"))
        assert found.newest.id == large.id

    async def test_a_tree_whose_root_was_deleted_is_still_there(self, store: Store) -> None:
        root = a_turn()
        below = a_turn(root)
        await stored(store, root, below)
        await store.delete("default", root.id)
        (found,), _ = await store.lineage.list_trees("default", Page(), Wanted())
        assert (found.root.id, found.root.deleted, found.newest.id) == (root.id, True, below.id)


class LineageContract(Parts, Lists): ...
