"""The promises of `Housekeeping`, and of `expire` for some projects, held against every implementation."""

from __future__ import annotations

import msgspec

from catena.ids import DAY, TurnIds, new_tree
from catena.store import Conversation, Store
from catena.store.housekeeping import Due, Expiry, PersonsTurn, Whose
from tests.store.turns import NOW, a_turn, running

NONE = Due(trees=0, turns=0)


def said(**fields: object) -> bytes:
    return msgspec.json.encode({"completed_at": NOW, **fields})


class HousekeepingContract:
    async def test_projects_have_terms_of_their_own(self, store: Store) -> None:
        for project in ("a", "a/alice", "ab", "b"):
            root = a_turn(None, project=project)
            await store.finish(root)
            await store.finish(a_turn(root))
        housekeeping = store.housekeeping
        assert await housekeeping.due(NOW) == NONE
        assert await housekeeping.due(NOW + 1) == Due(trees=4, turns=8)
        only, but = Whose(only={"a"}), Whose(but={"a", "unknown"})
        assert await housekeeping.due(NOW + 1, whose=only) == Due(trees=2, turns=4)
        assert await housekeeping.due(NOW + 1, whose=but) == Due(trees=2, turns=4)
        assert await store.expire(NOW + 1, whose=only) == 4
        assert await housekeeping.due(NOW + 1, whose=only) == NONE
        assert await store.expire(NOW + 1, whose=Whose(only={"unknown"})) == 0
        assert await store.expire(NOW + 1, whose=but) == 4
        assert await housekeeping.due(NOW + 1) == NONE

    async def test_trees_of_two_projects_under_one_key_expire_each_by_itself(self, store: Store) -> None:
        mine = a_turn(None, project="a")
        ids = TurnIds.new(mine.tree, NOW)
        theirs = a_turn(None, project="b", id=ids.turn("resp_"), tree=mine.tree)
        below = a_turn(theirs)
        for turn in (mine, theirs, below):
            await store.finish(turn)
        only = Whose(only={"a"})
        assert await store.housekeeping.due(NOW + 1, whose=only) == Due(trees=1, turns=1)
        assert await store.sweep([Expiry(older_than=NOW + 30 * DAY, whose=only)], now=NOW) == 1
        assert await store.load("a", mine.id) is None
        assert [turn.id for turn in await store.load_chain("b", below.id)] == [theirs.id, below.id]
        assert await store.expire(NOW + 1) >= 2
        assert (await store.usage()).turns == 0

    async def test_a_conversation_that_goes_leaves_another_under_the_same_key(self, store: Store) -> None:
        tree = new_tree(NOW)
        firsts = []
        for _ in range(2):
            ids = TurnIds.new(tree, NOW)
            first = a_turn(None, id=ids.turn("conv_"), tree=tree, door="conversation", output=b"[]")
            await store.open_conversation(Conversation(id=first.id, created_at=NOW, tip=first.id), first)
            firsts.append(first)
        gone, there = firsts
        await store.drop_conversation("default", gone.id)
        (turn,) = await store.conversation_chain("default", there.id)
        assert turn.input == there.input
        assert not turn.deleted

    async def test_a_sweep_knows_all_terms(self, store: Store) -> None:
        turns = {name: a_turn(None, project=name) for name in ("a", "a/alice", "b", "c", "d/ann")}
        turns["late"] = a_turn(turns["c"], created_at=NOW + 40 * DAY)
        for turn in turns.values():
            await store.finish(turn)
        terms = [
            Expiry(older_than=NOW + 10 * DAY, whose=Whose(but={"a", "b", "d"})),
            Expiry(older_than=NOW, whose=Whose(only={"a"})),
            Expiry(older_than=NOW + 30 * DAY, whose=Whose(only={"d"})),
        ]
        assert await store.sweep(terms, now=NOW) == 1
        assert await store.load("d/ann", turns["d/ann"].id) is None
        terms = [Expiry(older_than=NOW + 41 * DAY, whose=Whose(but={"a"}))]
        assert await store.sweep(terms, now=NOW) == 3
        assert await store.sweep(terms, now=NOW) == 0
        assert await store.sweep([], now=NOW) == 0
        assert await store.load("a/alice", turns["a/alice"].id) is not None

    async def test_what_is_due_is_what_expires(self, store: Store) -> None:
        root = a_turn()
        await store.finish(root)
        await store.finish(a_turn(root, created_at=NOW + 50))
        ids = TurnIds.new(new_tree(NOW), NOW)
        first = a_turn(None, id=ids.turn("conv_"), tree=ids.tree, door="conversation", output=b"[]")
        await store.open_conversation(Conversation(id=first.id, created_at=NOW, tip=first.id), first)
        assert await store.housekeeping.due(NOW + 50) == NONE
        assert await store.housekeeping.due(NOW + 51) == Due(trees=1, turns=2)
        assert await store.expire(NOW + 51) == 2

    async def test_ids_of_deleted_turns_go_when_they_hold_no_place(self, store: Store) -> None:
        root = a_turn()
        middle = a_turn(root)
        leaf, living = a_turn(middle), a_turn(root)
        for turn in (root, middle, leaf, living):
            await store.finish(turn)
        housekeeping = store.housekeeping
        await store.delete("default", middle.id)
        assert await housekeeping.drop_tombstones(NOW + 1) == 0  # it holds the leaf's place
        await store.delete("default", leaf.id)
        assert await housekeeping.count_tombstones(NOW) == 0
        assert await housekeeping.count_tombstones(NOW + 1) == 1
        assert await housekeeping.drop_tombstones(NOW) == 0  # too young
        assert await housekeeping.drop_tombstones(NOW + 1) == 1
        assert await housekeeping.drop_tombstones(NOW + 1) == 1
        assert await housekeeping.drop_tombstones(NOW + 1) == 0
        await store.delete("default", root.id)
        assert await housekeeping.drop_tombstones(NOW + 1) == 0
        assert [turn.id for turn in await store.load_chain("default", living.id)] == [root.id, living.id]

    async def test_the_end_of_a_conversation_keeps_its_place(self, store: Store) -> None:
        ids = TurnIds.new(new_tree(NOW), NOW)
        first = a_turn(None, id=ids.turn("conv_"), tree=ids.tree, door="conversation", output=b"[]")
        await store.open_conversation(Conversation(id=first.id, created_at=NOW, tip=first.id), first)
        await store.delete("default", first.id)
        assert await store.housekeeping.drop_tombstones(NOW + 1) == 0
        assert await store.load_conversation("default", first.id) is not None

    async def test_the_turns_of_a_person_are_found_by_either_name(self, store: Store) -> None:
        by_user = a_turn(None, fields=said(user="ann"))
        by_safety = a_turn(by_user, fields=said(safety_identifier="ann", user="x"))
        conversed = a_turn(None, fields=said(user="ann", conversation={"id": "conv_1"}), status="failed")
        under_way = running(by_user, fields=said(user="ann"))
        others = [
            a_turn(by_user, fields=said(user="anna")),
            a_turn(None, fields=said(metadata={"user": "ann"})),
            a_turn(None, fields=said(user="ann"), project="other"),
        ]
        gone = a_turn(None, fields=said(user="ann"))
        for turn in (by_user, by_safety, conversed, *others, gone):
            await store.finish(turn)
        await store.begin(under_way)
        await store.delete("default", gone.id)
        assert await store.housekeeping.turns_of("default", "ann") == [
            PersonsTurn(by_user.id),
            PersonsTurn(by_safety.id),
            PersonsTurn(conversed.id, "conv_1"),
            PersonsTurn(under_way.id, ended=False),
        ]
        assert await store.housekeeping.turns_of("default", "nobody") == []
        assert len(await store.housekeeping.turns_of("other", None)) == 1
        assert await store.housekeeping.turns_of("unknown", None) == []
