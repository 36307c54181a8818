"""The promises of `Housekeeping`, and of `expire` for some projects, held against every implementation."""

from __future__ import annotations

import msgspec

from catena.ids import TurnIds, new_tree
from catena.store import Conversation, Store
from catena.store.housekeeping import Due, PersonsTurn, Whose
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

    async def test_what_is_due_is_what_expires(self, store: Store) -> None:
        root = a_turn()
        await store.finish(root)
        await store.finish(a_turn(root, created_at=NOW + 50))
        ids = TurnIds.new(new_tree(), NOW)
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
        ids = TurnIds.new(new_tree(), NOW)
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
