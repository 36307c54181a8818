"""The promises of `Store`, held against every implementation.

A test module has a class that inherits from `StoreContract`, and two fixtures: `store`, which is empty, and `reopen`,
which closes that store and opens it again. Nothing here knows how a store keeps what it is given.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catena.errors import NotFound, PreviousResponseNotFound, StoreUnavailable
from catena.store import LeaseLost, Page, Store, Turn
from tests.store.turns import NOW, a_turn, ids_of, in_chain, item_ids, items, message, replace, running

__all__ = ["Reopen", "StoreContract"]

Reopen: TypeAlias = Callable[[], Awaitable[Store]]

LIMIT = 30.0
"""Seconds after which a test that waits for something gives up."""

IMAGE = "data:image/png;base64," + "iVBORw0KGgo" * 400
TOOLS = [
    {"type": "function", "name": f"tool_{number}", "parameters": {"type": "object"}} for number in range(20)
]
INSTRUCTIONS = 'Answer in "verse",\nas always. ' * 60
UNKNOWN_IDS = [
    "resp_" + "0123456789abcdef" + "00" + "69000000" + "0" * 24,
    "resp_of-somebody-else",
    "msg_" + "0" * 50,
    "resp_" + "F" * 50,
    "",
    "x" * 1000,
    "resp_\u0000",
]


async def stored_chain(store: Store, length: int, **changes: Any) -> list[Turn]:
    """A chain that is stored, from the root on."""
    turns: list[Turn] = []
    for number in range(length):
        turns.append(a_turn(turns[-1] if turns else None, f"turn {number}", **changes))
        await store.finish(turns[-1])
    return turns


class Chains:
    async def test_a_chain_is_whole_and_oldest_first(self, store: Store) -> None:
        turns = await stored_chain(store, 300)
        chain = await store.load_chain("default", turns[-1].id)
        assert [in_chain(turn) for turn in chain] == [in_chain(turn) for turn in turns]

    async def test_a_chain_of_ten_thousand_turns_is_whole_and_can_be_removed(self, store: Store) -> None:
        async with asyncio.timeout(10 * LIMIT):
            turns = await stored_chain(store, 10_000)
            assert ids_of(await store.load_chain("default", turns[-1].id)) == ids_of(turns)
            assert len(await store.tree("default", turns[0].id)) == 10_000
            assert await store.delete("default", turns[1].id, cascade=True) == ids_of(turns[1:])
            assert await store.expire(NOW + 1) == 10_000

    async def test_a_chain_ends_in_the_turn_that_was_asked_for(self, store: Store) -> None:
        turns = await stored_chain(store, 5)
        for end in range(5):
            chain = await store.load_chain("default", turns[end].id)
            assert ids_of(chain) == ids_of(turns[: end + 1])

    async def test_of_a_chain_only_its_end_can_be_read(self, store: Store) -> None:
        turns = await stored_chain(store, 5)
        for most in (1, 3, 5, 9):
            chain = await store.load_chain("default", turns[-1].id, most=most)
            assert ids_of(chain) == ids_of(turns[-most:])
            assert [turn.output for turn in chain] == [turn.output for turn in turns[-most:]]

    async def test_branches_never_mix(self, store: Store) -> None:
        grown = random.Random(7)
        paths = [[a_turn(text="root")]]
        for number in range(60):
            path = grown.choice(paths)
            paths.append([*path, a_turn(path[-1], f"turn {number}")])
        for path in paths:
            await store.finish(path[-1])
        for path in paths:
            chain = await store.load_chain("default", path[-1].id)
            assert [in_chain(turn) for turn in chain] == [in_chain(turn) for turn in path]

    async def test_a_turn_is_loaded_as_it_was_stored(self, store: Store) -> None:
        root = a_turn(listed=True)
        child = a_turn(root, 'Grüße, 世界 \u0000 \\ " \u2028', status="incomplete", model="a/strange:model é")
        chat = replace(a_turn(child, door="chat"), listed=True)
        chat = replace(chat, id=chat.id.replace("resp_", "chatcmpl-"))
        empty = a_turn(chat, input=b"[]", output=b"[]", fields=b"{}", cuts=b"", status="failed")
        for turn in (root, child, chat, empty):
            await store.finish(turn)
            assert await store.load("default", turn.id) == turn
        assert ids_of(await store.load_chain("default", empty.id)) == ids_of([root, child, chat, empty])

    async def test_an_id_is_that_of_its_door_and_of_no_other(self, store: Store) -> None:
        turn = a_turn()
        await store.finish(turn)
        assert await store.load("default", turn.id.replace("resp_", "chatcmpl-")) is None
        assert await store.load("default", turn.id.replace("resp_", "msg_")) is None

    async def test_a_large_turn_is_loaded_as_it_was_stored(self, store: Store) -> None:
        image = "data:image/png;base64," + random.Random(3).randbytes(1_000_000).hex()
        words = " ".join(str(number) for number in range(200_000))
        content = [{"type": "input_image", "image_url": image}, {"type": "input_text", "text": words}]
        turn = a_turn(input=items({"id": "msg_large", "content": content}))
        await store.finish(turn)
        assert await store.load("default", turn.id) == turn
        (only,) = await store.load_chain("default", turn.id)
        assert only.input == turn.input

    @pytest.mark.parametrize("unknown", UNKNOWN_IDS)
    async def test_an_unknown_turn_is_not_found(self, store: Store, unknown: str) -> None:
        await store.finish(a_turn())
        assert await store.load("default", unknown) is None
        assert await store.load_item("default", unknown) is None
        assert await store.load_log("default", unknown) == []
        assert await store.tree("default", unknown) == []
        assert await store.delete("default", unknown, cascade=True) == []
        assert not await store.set_fields("default", unknown, b"{}")
        with pytest.raises(PreviousResponseNotFound):
            await store.load_chain("default", unknown)

    async def test_a_turn_that_is_running_can_be_read(self, store: Store) -> None:
        root = a_turn()
        await store.finish(root)
        turn = running(root)
        await store.begin(turn)
        assert await store.load("default", turn.id) == turn
        assert ids_of(await store.load_chain("default", turn.id)) == [root.id, turn.id]

    async def test_what_was_finished_is_seen_at_once(self, store: Store) -> None:
        async def converse() -> None:
            turns: list[Turn] = []
            for _ in range(10):
                turns.append(a_turn(turns[-1] if turns else None))
                await store.finish(turns[-1])
                assert await store.load("default", turns[-1].id) == turns[-1]
                assert ids_of(await store.load_chain("default", turns[-1].id)) == ids_of(turns)

        async with asyncio.timeout(LIMIT):
            await asyncio.gather(*(converse() for _ in range(50)))

    async def test_a_tree_has_every_turn_with_parents_first_and_without_contents(self, store: Store) -> None:
        root = a_turn()
        left, right = a_turn(root), a_turn(root, fields=msgspec.json.encode({"tools": TOOLS}))
        last = a_turn(left)
        for turn in (root, left, right, last, a_turn()):
            await store.finish(turn)
        for turn in (root, right, last):
            assert await store.tree("default", turn.id) == [
                replace(each, input=b"[]", output=b"[]", cuts=b"") for each in (root, left, right, last)
            ]

    async def test_what_was_stored_is_there_after_a_restart(self, store: Store, reopen: Reopen) -> None:
        turns = await stored_chain(store, 5, fields=msgspec.json.encode({"tools": TOOLS}))
        again = await reopen()
        for turn in turns:
            assert await again.load("default", turn.id) == turn
        await again.finish(a_turn(turns[-1]))


class Writes:
    @pytest.mark.parametrize("verb", ["begin", "finish"])
    async def test_a_parent_must_be_there(self, store: Store, verb: str) -> None:
        turn = replace(a_turn(), parent=a_turn().id)
        with pytest.raises(PreviousResponseNotFound) as error:
            await getattr(store, verb)(turn)
        assert error.value.message == f"Previous response with id '{turn.parent}' not found."
        assert await store.load("default", turn.id) is None

    async def test_a_parent_is_in_the_same_tree(self, store: Store) -> None:
        root = a_turn()
        await store.finish(root)
        with pytest.raises(PreviousResponseNotFound):
            await store.finish(replace(a_turn(), parent=root.id))
        with pytest.raises(PreviousResponseNotFound):
            await store.finish(replace(a_turn(), parent="of-somebody-else"))

    async def test_finish_is_over_what_was_begun(self, store: Store) -> None:
        turn = a_turn()
        await store.begin(replace(turn, status="in_progress", output=b"[]", fields=b"{}", cuts=b""))
        await store.finish(turn)
        assert await store.load("default", turn.id) == turn

    async def test_finish_replaces_everything_that_was_begun(self, store: Store) -> None:
        begun = running(
            input=items({"id": "msg_1", "image_url": IMAGE}), fields=msgspec.json.encode({"tools": TOOLS})
        )
        ended = replace(begun, status="completed", input=items({"id": "msg_1"}), fields=b"{}", listed=True)
        await store.begin(begun)
        await store.finish(ended)
        assert await store.load("default", begun.id) == ended

    async def test_what_has_ended_stays_as_it_ended(self, store: Store) -> None:
        turn = a_turn()
        await store.finish(turn)
        await store.finish(replace(turn, status="cancelled", output=b"[]"))
        assert await store.load("default", turn.id) == turn

    @pytest.mark.parametrize("verb", ["begin", "finish"])
    async def test_what_is_there_is_not_begun_again(self, store: Store, verb: str) -> None:
        """Ids are minted once: to begin one again is a fault of the caller."""
        turn = running() if verb == "begin" else a_turn()
        await getattr(store, verb)(turn)
        with pytest.raises(ValueError, match=turn.id):
            await store.begin(replace(turn, status="in_progress", output=items({"id": "another"})))
        assert await store.load("default", turn.id) == turn

    async def test_a_thousand_children_finish_at_once(self, store: Store) -> None:
        root = a_turn()
        await store.finish(root)
        children = [a_turn(root, f"child {number}") for number in range(1000)]
        async with asyncio.timeout(LIMIT):
            await asyncio.gather(*map(store.finish, children))
        assert {turn.id for turn in await store.tree("default", root.id)} == {root.id, *ids_of(children)}
        for child in children[::50]:
            chain = await store.load_chain("default", child.id)
            assert [in_chain(turn) for turn in chain] == [in_chain(root), in_chain(child)]

    async def test_one_that_fails_takes_nobody_along(self, store: Store) -> None:
        turns = [a_turn(text=f"{number}") for number in range(40)]
        for number in (0, 7, 39):
            turns[number] = replace(turns[number], parent=a_turn().id)
        async with asyncio.timeout(LIMIT):
            results = await asyncio.gather(*map(store.finish, turns), return_exceptions=True)
        assert [number for number, result in enumerate(results) if result is not None] == [0, 7, 39]
        assert all(isinstance(results[number], PreviousResponseNotFound) for number in (0, 7, 39))
        for number, turn in enumerate(turns):
            assert await store.load("default", turn.id) == (None if number in (0, 7, 39) else turn)

    async def test_a_caller_that_goes_away_harms_nobody(self, store: Store) -> None:
        turns = [a_turn() for _ in range(20)]
        tasks = [asyncio.create_task(store.finish(turn)) for turn in turns]
        await asyncio.sleep(0)
        tasks[3].cancel()
        async with asyncio.timeout(LIMIT):
            await asyncio.wait(tasks)
        for turn in turns[:3] + turns[4:]:
            assert await store.load("default", turn.id) == turn

    async def test_a_closed_store_is_unavailable(self, store: Store) -> None:
        turn = a_turn()
        await store.finish(turn)
        await store.close()
        async with asyncio.timeout(LIMIT):
            for call in (
                store.finish(a_turn()),
                store.load("default", turn.id),
                store.load_chain("default", turn.id),
                store.waiting(),
            ):
                with pytest.raises(StoreUnavailable):
                    await call

    async def test_usage_counts_what_is_stored(self, store: Store) -> None:
        assert ((await store.usage()).turns, (await store.usage()).trees) == (0, 0)
        root, *_ = await stored_chain(store, 3)
        await store.finish(a_turn(root))
        await store.finish(a_turn(project="other"))
        usage = await store.usage()
        assert (usage.turns, usage.trees) == (5, 2)
        assert usage.bytes > 0


class Fields:
    async def test_fields_are_replaced(self, store: Store) -> None:
        turn = a_turn(listed=True)
        await store.finish(turn)
        for content in ({"metadata": {"a": "b"}, "instructions": INSTRUCTIONS}, {"tools": TOOLS}, {}):
            fields = msgspec.json.encode(content)
            assert await store.set_fields("default", turn.id, fields)
            assert await store.load("default", turn.id) == replace(turn, fields=fields)

    async def test_large_fields_can_be_changed_and_dropped(self, store: Store) -> None:
        before: dict[str, object] = {"tools": TOOLS, "instructions": INSTRUCTIONS, "metadata": {}}
        turn = a_turn(
            fields=msgspec.json.encode(before), input=items({"id": "msg_1", "image_url": IMAGE * 2})
        )
        await store.finish(turn)
        contents: list[dict[str, object]] = [
            {"tools": TOOLS[1:], "instructions": INSTRUCTIONS},
            {"tools": [], "instructions": None},
            before,
            {"metadata": {"a": "b"}, "instructions": INSTRUCTIONS[1:], "tools": TOOLS},
            {},
        ]
        for after in contents:
            fields = msgspec.json.encode(after)
            assert await store.set_fields("default", turn.id, fields)
            changed = replace(turn, fields=fields)
            assert await store.load("default", turn.id) == changed
            assert await store.tree("default", turn.id) == [
                replace(changed, input=b"[]", output=b"[]", cuts=b"")
            ]

    async def test_other_turns_keep_their_fields(self, store: Store) -> None:
        root = a_turn(fields=msgspec.json.encode({"tools": TOOLS}))
        child = a_turn(root, fields=root.fields)
        await store.finish(root)
        await store.finish(child)
        assert await store.set_fields("default", root.id, b'{"metadata":{}}')
        assert await store.load("default", child.id) == child

    async def test_only_a_turn_that_has_ended_gets_other_fields(self, store: Store) -> None:
        going_on, deleted = running(), a_turn()
        await store.begin(going_on)
        await store.finish(deleted)
        await store.delete("default", deleted.id)
        for turn_id in (going_on.id, deleted.id):
            assert not await store.set_fields("default", turn_id, b'{"metadata":{}}')
        assert await store.load("default", going_on.id) == going_on


class Projects:
    async def test_what_is_anothers_is_unknown_in_every_verb(self, store: Store) -> None:
        root = a_turn(project="theirs", listed=True)
        waiting = replace(running(root), status="queued", foreign_ids=["msg_of_a_client"])
        await store.finish(root)
        await store.begin(waiting, request=b"{}")
        await store.append_log(waiting, 0, b"chunks")
        await store.finish(a_turn(project="mine"))
        for turn in (root, waiting):
            assert await store.load("mine", turn.id) is None
            assert await store.load_log("mine", turn.id) == []
            assert await store.load_item("mine", item_ids(turn)[0]) is None
            assert await store.load_item("mine", "msg_of_a_client") is None
            assert await store.tree("mine", turn.id) == []
            assert await store.delete("mine", turn.id, cascade=True) == []
            assert not await store.set_fields("mine", turn.id, b"{}")
            with pytest.raises(PreviousResponseNotFound):
                await store.load_chain("mine", turn.id)
            for verb in (store.begin, store.finish):
                with pytest.raises(PreviousResponseNotFound):
                    await verb(replace(a_turn(turn), project="mine"))
            with pytest.raises(NotFound):
                await store.list_listed("mine", Page(after=turn.id))
        with pytest.raises(LeaseLost):
            await store.append_log(replace(waiting, project="mine"), 1, b"more")
        assert await store.list_listed("mine", Page()) == ([], False)
        assert await store.load("theirs", root.id) == root
        assert await store.load_log("theirs", waiting.id) == [b"chunks"]

    async def test_a_run_of_another_project_is_not_given_back(self, store: Store) -> None:
        await store.begin(replace(running(project="theirs"), status="queued"))
        (claim,) = await store.claim("me", 100, limit=1)
        await store.release(replace(claim.turn, project="mine"))
        assert await store.waiting() == 0

    async def test_a_turn_under_the_id_of_anothers_changes_nothing(self, store: Store) -> None:
        """Ids are minted: this does not happen, and is a fault where it does."""
        theirs = a_turn(project="theirs")
        mine = replace(a_turn(text="mine"), id=theirs.id, tree=theirs.tree, project="mine")
        await store.finish(theirs)
        with pytest.raises(ValueError, match=theirs.id):
            await store.finish(mine)
        assert await store.delete("mine", mine.id) == []
        assert await store.load("theirs", theirs.id) == theirs
        assert await store.load("mine", mine.id) is None

    async def test_a_project_that_was_never_seen_has_nothing(self, store: Store) -> None:
        turn = a_turn()
        assert await store.load("new", turn.id) is None
        assert await store.load_item("new", item_ids(turn)[0]) is None
        assert await store.delete("new", turn.id) == []
        assert await store.list_listed("new", Page()) == ([], False)


class Deletion:
    async def test_descendants_of_a_deleted_turn_keep_their_place(self, store: Store) -> None:
        turns = await stored_chain(store, 5)
        assert await store.delete("default", turns[2].id) == [turns[2].id]
        chain = await store.load_chain("default", turns[4].id)
        assert ids_of(chain) == ids_of(turns)
        assert [turn.deleted for turn in chain] == [False, False, True, False, False]
        tombstone = chain[2]
        assert (tombstone.input, tombstone.output, tombstone.parent) == (b"[]", b"[]", turns[1].id)
        assert (tombstone.tree, tombstone.created_at, tombstone.status) == (turns[2].tree, NOW, "completed")
        for turn in turns[:2] + turns[3:]:
            assert await store.load("default", turn.id) == turn

    async def test_a_deleted_turn_is_not_there(self, store: Store) -> None:
        given = items(message("msg_of_a_client", "hi"))
        turn = a_turn(listed=True, foreign_ids=["msg_of_a_client"], input=given)
        answer = item_ids(turn)[1]
        await store.finish(turn)
        assert await store.load_item("default", answer) is not None
        assert await store.delete("default", turn.id) == [turn.id]
        assert await store.load("default", turn.id) is None
        assert await store.list_listed("default", Page()) == ([], False)
        for item_id in ("msg_of_a_client", answer):
            assert await store.load_item("default", item_id) is None
        with pytest.raises(PreviousResponseNotFound):
            await store.load_chain("default", turn.id)

    async def test_to_delete_again_removes_nothing(self, store: Store) -> None:
        root, child = await stored_chain(store, 2)
        assert await store.delete("default", root.id) == [root.id]
        assert await store.delete("default", root.id) == []
        assert await store.load("default", child.id) == child

    async def test_a_cascade_takes_the_subtree_and_nothing_else(self, store: Store) -> None:
        root = a_turn()
        left, right = a_turn(root), a_turn(root)
        below = [a_turn(left), a_turn(left)]
        deepest = a_turn(below[1])
        for turn in (root, left, right, *below, deepest):
            await store.finish(turn)
        assert await store.delete("default", below[1].id) == [below[1].id]
        removed = await store.delete("default", left.id, cascade=True)
        assert sorted(removed) == sorted(ids_of([left, below[0], deepest]))
        alive = [turn.id for turn in await store.tree("default", root.id) if not turn.deleted]
        assert alive == ids_of([root, right])
        for turn in (root, right):
            assert await store.load("default", turn.id) == turn

    async def test_a_cascade_goes_through_a_turn_that_was_deleted_before(self, store: Store) -> None:
        turns = await stored_chain(store, 3)
        await store.delete("default", turns[0].id)
        assert await store.delete("default", turns[0].id, cascade=True) == ids_of(turns[1:])

    async def test_a_turn_that_was_deleted_while_it_ran_stays_deleted(self, store: Store) -> None:
        turn = a_turn(fields=msgspec.json.encode({"tools": TOOLS}), listed=True)
        await store.begin(replace(turn, status="in_progress"))
        assert await store.delete("default", turn.id) == [turn.id]
        await store.finish(turn)
        assert await store.load("default", turn.id) is None
        assert await store.list_listed("default", Page()) == ([], False)
        (tombstone,) = await store.tree("default", turn.id)
        assert (tombstone.deleted, tombstone.fields) == (True, b"{}")

    async def test_a_child_may_finish_below_a_turn_that_was_deleted_meanwhile(self, store: Store) -> None:
        root = a_turn()
        await store.finish(root)
        await store.delete("default", root.id)
        child = a_turn(root)
        await store.finish(child)
        assert [turn.deleted for turn in await store.load_chain("default", child.id)] == [True, False]

    async def test_a_tombstone_shows_in_the_tree_without_what_it_said(self, store: Store) -> None:
        turn = a_turn(listed=True)
        await store.finish(turn)
        await store.delete("default", turn.id)
        (tombstone,) = await store.tree("default", turn.id)
        assert tombstone == replace(
            turn, deleted=True, listed=False, input=b"[]", output=b"[]", fields=b"{}", cuts=b""
        )


class Items:
    async def test_an_item_is_found_by_its_id(self, store: Store) -> None:
        turn, chat = a_turn(text="one"), a_turn(text="two", door="chat")
        chat = replace(chat, id=chat.id.replace("resp_", "chatcmpl-"))
        for each in (turn, chat):
            await store.finish(each)
            given, answer = item_ids(each)
            assert await store.load_item("default", given) == each.input[1:-1]
            assert await store.load_item("default", answer) == each.output[1:-1]

    async def test_an_id_that_no_item_has_is_not_found(self, store: Store) -> None:
        turn = a_turn(text='"id":"msg_in_a_text"')
        await store.finish(turn)
        minted = turn.id.replace("resp_", "msg_")[:-4] + "00ff"
        for item_id in (minted, turn.id, "msg_in_a_text", "hello"):
            assert await store.load_item("default", item_id) is None

    async def test_an_item_with_an_id_of_the_client_is_found(self, store: Store) -> None:
        chosen = message("my-own-id", "hi")
        turn = a_turn(input=items(message("another", "hi"), chosen), foreign_ids=["another", "my-own-id"])
        await store.finish(turn)
        assert await store.load_item("default", "my-own-id") == msgspec.json.encode(chosen)

    async def test_the_newest_turn_with_an_id_of_the_client_counts(self, store: Store) -> None:
        turns = [
            a_turn(input=items(message("again", f"{number}")), foreign_ids=["again"]) for number in range(3)
        ]
        for turn in turns:
            await store.finish(turn)
        for turn in reversed(turns):
            assert await store.load_item("default", "again") == turn.input[1:-1]
            await store.delete("default", turn.id)
        assert await store.load_item("default", "again") is None

    async def test_an_item_that_was_brought_along_outlives_its_own_turn(self, store: Store) -> None:
        home = a_turn()
        item_id = item_ids(home)[1]
        guest = a_turn(input=home.output, foreign_ids=[item_id])
        await store.finish(home)
        await store.finish(guest)
        await store.delete("default", home.id)
        assert await store.load_item("default", item_id) == home.output[1:-1]
        await store.delete("default", guest.id)
        assert await store.load_item("default", item_id) is None

    async def test_an_item_of_a_turn_that_is_running_is_found(self, store: Store) -> None:
        turn = running(input=items(message("mine", "hi")), foreign_ids=["mine"])
        await store.begin(turn)
        assert await store.load_item("default", "mine") == turn.input[1:-1]

    async def test_an_item_has_its_large_payload(self, store: Store) -> None:
        image = {"id": "img", "type": "message", "content": [{"type": "input_image", "image_url": IMAGE}]}
        turn = a_turn(input=items(image), foreign_ids=["img"])
        await store.finish(turn)
        assert await store.load_item("default", "img") == msgspec.json.encode(image)


class Lists:
    async def listed(self, store: Store, count: int, **changes: Any) -> list[Turn]:
        turns = [a_turn(listed=True, created_at=NOW + number // 2, **changes) for number in range(count)]
        for turn in turns:
            await store.finish(turn)
        return turns

    async def test_the_listed_are_in_the_order_of_creation(self, store: Store) -> None:
        late = a_turn(listed=True, created_at=NOW + 100)
        await store.finish(late)
        turns = [*(await self.listed(store, 6)), late]
        await store.finish(a_turn())
        await store.finish(a_turn(listed=True, project="other"))
        assert await store.list_listed("default", Page()) == (turns, False)
        assert await store.list_listed("default", Page(ascending=False)) == (turns[::-1], False)

    @pytest.mark.parametrize("ascending", [True, False])
    async def test_pages_join_without_gap_or_overlap(self, store: Store, ascending: bool) -> None:
        turns = await self.listed(store, 11)
        found: list[Turn] = []
        more = True
        while more:
            after = found[-1].id if found else None
            page, more = await store.list_listed("default", Page(limit=3, after=after, ascending=ascending))
            found += page
        assert ids_of(found) == ids_of(turns if ascending else turns[::-1])

    async def test_a_full_last_page_has_nothing_after_it(self, store: Store) -> None:
        turns = await self.listed(store, 4)
        assert await store.list_listed("default", Page(limit=4)) == (turns, False)
        assert await store.list_listed("default", Page(limit=3)) == (turns[:3], True)
        assert await store.list_listed("default", Page(limit=3, after=turns[3].id)) == ([], False)

    async def test_what_was_listed_and_deleted_still_is_a_place_to_go_on_from(self, store: Store) -> None:
        """Our choice: who lists and deletes page by page goes on after an id that is no more."""
        turns = await self.listed(store, 4)
        await store.delete("default", turns[1].id)
        assert await store.list_listed("default", Page(after=turns[1].id)) == (turns[2:], False)

    @pytest.mark.parametrize("unknown", UNKNOWN_IDS)
    async def test_a_page_after_something_unknown_is_an_error(self, store: Store, unknown: str) -> None:
        await self.listed(store, 2)
        with pytest.raises(NotFound):
            await store.list_listed("default", Page(after=unknown))

    async def test_the_model_must_match(self, store: Store) -> None:
        await self.listed(store, 3)
        others = await self.listed(store, 3, model="another")
        assert await store.list_listed("default", Page(limit=2), model="another") == (others[:2], True)
        assert await store.list_listed("default", Page(), model="unknown") == ([], False)

    async def test_every_pair_of_metadata_must_match(self, store: Store) -> None:
        async def with_metadata(metadata: object) -> Turn:
            content = {"metadata": metadata, "tools": TOOLS, "instructions": INSTRUCTIONS}
            turn = a_turn(listed=True, fields=msgspec.json.encode(content))
            await store.finish(turn)
            return turn

        both = await with_metadata({"topic": "a", "it's": '"quoted"', "more": "x"})
        one = await with_metadata({"topic": "a"})
        await with_metadata({"topic": "b", "it's": '"quoted"'})
        await with_metadata({})
        await with_metadata(None)
        await store.finish(a_turn(listed=True))
        assert await store.list_listed("default", Page(), metadata={"topic": "a"}) == ([both, one], False)
        assert await store.list_listed("default", Page(limit=1), metadata={"topic": "a"}) == ([both], True)
        wanted = {"it's": '"quoted"', "topic": "a"}
        assert await store.list_listed("default", Page(), metadata=wanted) == ([both], False)

    async def test_metadata_that_was_changed_is_looked_for_as_it_is_now(self, store: Store) -> None:
        turn = a_turn(listed=True, fields=b'{"metadata":{"topic":"a"}}')
        await store.finish(turn)
        await store.set_fields("default", turn.id, b'{"metadata":{"topic":"b"}}')
        assert await store.list_listed("default", Page(), metadata={"topic": "a"}) == ([], False)
        found, _ = await store.list_listed("default", Page(), metadata={"topic": "b"})
        assert ids_of(found) == [turn.id]

    async def test_a_run_is_listed_when_it_has_ended(self, store: Store) -> None:
        turn = running()
        await store.begin(turn)
        assert await store.list_listed("default", Page()) == ([], False)
        ended = replace(turn, status="completed", listed=True)
        await store.finish(ended)
        assert await store.list_listed("default", Page()) == ([ended], False)


LARGE = st.text(min_size=1, max_size=6).map(lambda text: text * 900)
PAYLOAD_KEYS = st.sampled_from(["image_url", "file_data", "data", "result", "tools", "instructions", "id"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PAYLOAD_KEYS | st.text(), inner, max_size=3),
    max_leaves=8,
)
SOME_ITEMS = st.lists(
    st.dictionaries(PAYLOAD_KEYS | st.just("content"), LARGE | JSON, max_size=3).map(
        lambda item: {**item, "id": "msg_1"}
    ),
    max_size=4,
)
SOME_FIELDS = st.dictionaries(PAYLOAD_KEYS | st.just("metadata"), LARGE | JSON | st.just(TOOLS), max_size=4)


class Payloads:
    def with_image(self, parent: Turn | None = None, image: str = IMAGE, **changes: Any) -> Turn:
        part = {"type": "input_image", "image_url": image, "detail": None}
        file = {"type": "input_file", "file_data": image[::-1], "filename": "null"}
        forged = {"type": "input_text", "text": '"image_url":""', "image_url": "", "data": None}
        given = {"id": "msg_image", "type": "message", "content": [part, forged, file, part]}
        fields = {"tools": TOOLS, "metadata": {"tools": ""}, "instructions": INSTRUCTIONS}
        return a_turn(parent, input=items(given), fields=msgspec.json.encode(fields), **changes)

    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(given_items=SOME_ITEMS, answer=SOME_ITEMS, fields=SOME_FIELDS)
    async def test_any_json_comes_back_byte_for_byte(
        self, store: Store, given_items: list[Any], answer: list[Any], fields: dict[str, Any]
    ) -> None:
        turn = a_turn(
            input=items(*given_items), output=items(*answer), fields=msgspec.json.encode(fields), listed=True
        )
        await store.finish(turn)
        assert await store.load("default", turn.id) == turn
        (only,) = await store.load_chain("default", turn.id)
        assert (only.input, only.output) == (turn.input, turn.output)
        assert (await store.tree("default", turn.id))[0].fields == turn.fields
        assert await store.list_listed("default", Page(limit=1, ascending=False), metadata={"a": "b"}) == (
            [],
            False,
        )
        assert await store.delete("default", turn.id) == [turn.id]

    async def test_large_payloads_are_with_their_turns_in_every_verb(self, store: Store) -> None:
        root = self.with_image()
        child = self.with_image(root)
        await store.finish(root)
        await store.begin(replace(child, status="in_progress"))
        await store.finish(child)
        for turn in (root, child):
            assert await store.load("default", turn.id) == turn
        chain = await store.load_chain("default", child.id)
        assert [turn.input for turn in chain] == [root.input, child.input]
        assert [turn.fields for turn in await store.tree("default", child.id)] == [root.fields, child.fields]

    async def test_what_another_turn_needs_stays_until_the_last_has_gone(self, store: Store) -> None:
        root = self.with_image()
        children = [self.with_image(root), self.with_image(root)]
        for turn in (root, *children):
            await store.finish(turn)
        await store.delete("default", root.id)
        await store.delete("default", children[0].id)
        assert await store.load("default", children[1].id) == children[1]

    async def test_a_payload_that_was_deleted_can_be_stored_again(self, store: Store) -> None:
        root = self.with_image()
        await store.finish(root)
        await store.delete("default", root.id)
        child = self.with_image(root)
        await store.finish(child)
        assert await store.load("default", child.id) == child

    async def test_trees_do_not_share_what_they_have_in_common(self, store: Store) -> None:
        mine, theirs = self.with_image(), self.with_image(project="theirs")
        await store.finish(mine)
        await store.finish(theirs)
        await store.delete("theirs", theirs.id)
        assert await store.load("default", mine.id) == mine


class Retention:
    async def test_a_tree_is_as_old_as_its_newest_turn(self, store: Store) -> None:
        old, living = a_turn(created_at=NOW - 100), a_turn(created_at=NOW - 100)
        last = a_turn(living, created_at=NOW)
        older_child = a_turn(old, created_at=NOW - 50)
        for turn in (old, living, last, older_child):
            await store.finish(turn)
        assert await store.expire(NOW - 50) == 0
        assert await store.expire(NOW - 49) == 2
        assert await store.load("default", old.id) is None
        assert await store.tree("default", older_child.id) == []
        assert ids_of(await store.load_chain("default", last.id)) == [living.id, last.id]

    async def test_a_tree_goes_with_all_that_belongs_to_it(self, store: Store) -> None:
        image = {"id": "img", "type": "message", "content": [{"type": "input_image", "image_url": IMAGE}]}
        turn = a_turn(input=items(image), foreign_ids=["img"], listed=True)
        await store.finish(turn)
        child = running(turn)
        await store.begin(child, owner="me", lease=100)
        await store.append_log(child, 0, b"chunks")
        await store.delete("default", turn.id)
        assert await store.expire(NOW + 1) == 2
        assert await store.tree("default", turn.id) == []
        assert await store.load_item("default", "img") is None
        assert await store.load_log("default", child.id) == []
        assert await store.renew("me", 100, [child.id]) == []
        usage = await store.usage()
        assert (usage.turns, usage.trees) == (0, 0)

    async def test_no_more_trees_go_than_was_asked_for(self, store: Store) -> None:
        for _ in range(50):
            await stored_chain(store, 2)
        assert await store.expire(NOW + 1, limit=30) == 60
        assert await store.expire(NOW + 1, limit=30) == 40
        assert await store.expire(NOW + 1) == 0


class Leases:
    async def queued(self, store: Store, **changes: Any) -> Turn:
        turn = replace(running(**changes), status="queued")
        await store.begin(turn, request=b"what to do")
        return turn

    async def test_a_queued_run_waits_until_it_is_claimed(self, store: Store) -> None:
        turn = await self.queued(store)
        assert await store.waiting() == 1
        (claim,) = await store.claim("me", 100, limit=5)
        assert (claim.request, claim.tries) == (b"what to do", 1)
        assert claim.turn == replace(turn, status="in_progress", fence=claim.turn.fence)
        assert claim.turn.fence > turn.fence
        assert await store.waiting() == 0
        assert await store.claim("another", 100, limit=5) == []
        loaded = await store.load("default", turn.id)
        assert loaded is not None
        assert loaded.status == "in_progress"

    async def test_the_oldest_are_claimed_first(self, store: Store) -> None:
        turns = [await self.queued(store) for _ in range(5)]
        first = await store.claim("me", 100, limit=2)
        second = await store.claim("me", 100, limit=9)
        assert ids_of([claim.turn for claim in (*first, *second)]) == ids_of(turns)

    async def test_a_claim_is_of_any_project_and_whole(self, store: Store) -> None:
        root = a_turn(project="other")
        await store.finish(root)
        turn = replace(
            running(root, fields=msgspec.json.encode({"tools": TOOLS, "instructions": INSTRUCTIONS})),
            status="queued",
        )
        await store.begin(turn, request=b"what to do")
        (claim,) = await store.claim("me", 100, limit=5)
        assert claim.turn == replace(turn, status="in_progress", fence=claim.turn.fence)

    async def test_each_run_is_claimed_once(self, store: Store) -> None:
        turns = [await self.queued(store) for _ in range(40)]
        async with asyncio.timeout(LIMIT):
            claims = await asyncio.gather(*(store.claim(f"{number}", 100, limit=3) for number in range(20)))
        assert sorted(claim.turn.id for some in claims for claim in some) == sorted(ids_of(turns))

    async def test_a_run_under_a_lease_is_not_for_others_until_it_is_over(self, store: Store) -> None:
        mine, abandoned = running(), running()
        await store.begin(mine, owner="me", lease=100)
        await store.begin(abandoned, owner="me", lease=-1)
        (claim,) = await store.claim("another", 100, limit=5)
        assert (claim.turn.id, claim.request, claim.tries) == (abandoned.id, b"", 1)

    async def test_a_lease_is_renewed_for_what_its_owner_still_has(self, store: Store) -> None:
        kept, lost, theirs, ended = running(), running(), running(), running()
        await store.begin(lost, owner="me", lease=-1)
        (claim,) = await store.claim("another", 100, limit=5)
        assert claim.turn.id == lost.id
        await store.begin(kept, owner="me", lease=-1)
        await store.begin(theirs, owner="another", lease=100)
        await store.begin(ended, owner="me", lease=100)
        await store.finish(replace(ended, status="completed"))
        assert await store.renew("me", 100, ids_of([kept, lost, theirs, ended])) == [kept.id]
        assert await store.claim("another", 100, limit=5) == []

    async def test_a_lease_that_nobody_renews_by_its_run_is_over_though_its_owner_lives(
        self, store: Store
    ) -> None:
        known, unknown = running(), running()
        for turn in (known, unknown):
            await store.begin(turn, owner="me", lease=-1)
        assert await store.renew("me", 100, [known.id, "of-somebody-else"]) == [known.id]
        (claim,) = await store.claim("me", 100, limit=5)
        assert claim.turn.id == unknown.id

    async def test_who_lost_the_lease_can_write_nothing(self, store: Store) -> None:
        turn = running()
        await store.begin(turn, owner="me", lease=-1)
        (claim,) = await store.claim("another", 100, limit=5)
        with pytest.raises(LeaseLost):
            await store.finish(replace(turn, status="completed"))
        with pytest.raises(LeaseLost):
            await store.append_log(turn, 0, b"chunks")
        await store.release(turn)
        assert await store.waiting() == 0
        ended = replace(claim.turn, status="completed", output=b'[{"id":"x"}]')
        await store.finish(ended)
        with pytest.raises(LeaseLost):
            await store.finish(replace(turn, status="failed"))
        assert await store.load("default", turn.id) == replace(ended, fence=0)

    async def test_a_run_that_is_given_back_waits_as_if_it_was_not_tried(self, store: Store) -> None:
        turn = await self.queued(store)
        (claim,) = await store.claim("me", 100, limit=5)
        await store.release(claim.turn)
        assert await store.waiting() == 1
        assert await store.renew("me", 100, [turn.id]) == []
        (again,) = await store.claim("another", 100, limit=5)
        assert (again.turn.id, again.tries, again.request) == (turn.id, 1, b"what to do")
        assert again.turn.fence > claim.turn.fence

    async def test_every_claim_is_counted(self, store: Store) -> None:
        await self.queued(store)
        tries = [(await store.claim("me", -1, limit=1))[0].tries for _ in range(3)]
        assert tries == [1, 2, 3]

    async def test_what_waits_is_there_after_a_restart(self, store: Store, reopen: Reopen) -> None:
        turns = [await self.queued(store) for _ in range(3)]
        again = await reopen()
        assert await again.waiting() == 3
        claims = await again.claim("me", 100, limit=5)
        assert ids_of([claim.turn for claim in claims]) == ids_of(turns)
        assert {claim.request for claim in claims} == {b"what to do"}

    @pytest.mark.parametrize("end", ["finish", "delete"])
    async def test_what_has_ended_waits_for_nobody(self, store: Store, end: str) -> None:
        turn = await self.queued(store)
        if end == "finish":
            await store.finish(replace(turn, status="cancelled"))
        else:
            await store.delete("default", turn.id)
        assert await store.waiting() == 0
        assert await store.claim("me", 100, limit=5) == []


class Logs:
    async def test_a_log_is_in_the_order_of_its_batches_and_goes_at_the_end(self, store: Store) -> None:
        turn = running()
        await store.begin(turn, owner="me", lease=100)
        for batch in range(12):
            await store.append_log(turn, batch, b"chunks %d" % batch)
        assert await store.load_log("default", turn.id) == [b"chunks %d" % batch for batch in range(12)]
        await store.finish(replace(turn, status="completed"))
        assert await store.load_log("default", turn.id) == []
        with pytest.raises(LeaseLost):
            await store.append_log(turn, 12, b"too late")

    async def test_a_log_is_there_for_who_claims_the_run_after_a_restart(
        self, store: Store, reopen: Reopen
    ) -> None:
        turn = running()
        await store.begin(turn, owner="me", lease=-1)
        await store.append_log(turn, 0, b"chunks")
        again = await reopen()
        (claim,) = await again.claim("another", 100, limit=1)
        assert claim.turn.id == turn.id
        assert await again.load_log("default", turn.id) == [b"chunks"]

    async def test_a_new_try_begins_its_log_anew(self, store: Store) -> None:
        turn = running()
        await store.begin(turn, owner="me", lease=-1)
        await store.append_log(turn, 0, b"first try")
        await store.append_log(turn, 1, b"more of it")
        (claim,) = await store.claim("another", 100, limit=1)
        await store.append_log(claim.turn, 0, b"second try")
        assert await store.load_log("default", turn.id) == [b"second try"]

    async def test_a_batch_that_is_written_again_is_there_once(self, store: Store) -> None:
        turn = running()
        await store.begin(turn, owner="me", lease=100)
        for batch, chunks in ((0, b"a"), (1, b"b"), (1, b"b and more")):
            await store.append_log(turn, batch, chunks)
        assert await store.load_log("default", turn.id) == [b"a", b"b and more"]

    async def test_a_log_goes_with_its_turn(self, store: Store) -> None:
        turn = running()
        await store.begin(turn, owner="me", lease=100)
        await store.append_log(turn, 0, b"chunks")
        await store.delete("default", turn.id)
        assert await store.load_log("default", turn.id) == []


class StoreContract(
    Chains, Writes, Fields, Projects, Deletion, Items, Lists, Payloads, Retention, Leases, Logs
):
    """Everything that a store promises about turns and runs."""
