"""Conversations, as the store keeps them: who may move their end, and when."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from catena.errors import ConversationLocked, ConversationNotFound
from catena.ids import TurnIds, new_tree
from catena.store import Conversation, Status, Store, Turn

NOW = 1_760_000_000


def first(tree: str | None = None, *, project: str = "p") -> Turn:
    ids = TurnIds.new(tree or new_tree(NOW), NOW)
    return Turn(
        project=project,
        id=ids.turn("conv_"),
        tree=ids.tree,
        door="conversation",
        status="completed",
        model="",
        created_at=NOW,
    )


async def opened(store: Store, *, project: str = "p") -> Conversation:
    turn = first(project=project)
    conversation = Conversation(id=turn.id, created_at=NOW, metadata=b'{"a":"b"}', tip=turn.id)
    await store.open_conversation(conversation, turn)
    return conversation


async def now(store: Store, conversation: Conversation) -> Conversation:
    found = await store.load_conversation("p", conversation.id)
    assert found is not None
    return found


def below(conversation: Conversation, *, door: str = "responses", status: Status = "in_progress") -> Turn:
    """A turn at the end of the conversation as it was loaded."""
    turn = first(conversation.id[-50:-34])
    run = replace(turn, id=turn.id.replace("conv_", "resp_"), door="responses", model="m", status=status)
    return replace(
        turn if door == "conversation" else run, parent=conversation.tip, conversation=conversation.id
    )


async def test_a_conversation_is_found_as_it_was_stored_by_its_own_project_only(store: Store) -> None:
    conversation = await opened(store)
    assert await store.load_conversation("p", conversation.id) == conversation
    assert await store.load_conversation("q", conversation.id) is None
    assert await store.load_conversation("p", conversation.id.replace("conv_", "resp_")) is None
    assert [turn.id for turn in await store.conversation_chain("p", conversation.id)] == [conversation.id]
    with pytest.raises(ConversationNotFound):
        await store.conversation_chain("q", conversation.id)


@pytest.mark.parametrize("status", ["completed", "incomplete"])
async def test_a_turn_that_answers_is_the_new_end(store: Store, status: Status) -> None:
    conversation = await opened(store)
    turn = below(conversation)
    await store.begin(turn)
    assert (await now(store, conversation)).busy
    assert (await now(store, conversation)).tip == conversation.tip
    await store.finish(replace(turn, status=status))
    assert await now(store, conversation) == replace(conversation, tip=turn.id)
    chain = await store.conversation_chain("p", conversation.id)
    assert [each.id for each in chain] == [conversation.id, turn.id]
    for most in (1, 2, 3):
        newest = await store.conversation_chain("p", conversation.id, most=most)
        assert [each.id for each in newest] == [each.id for each in chain[-most:]]


@pytest.mark.parametrize("status", ["failed", "cancelled"])
async def test_a_turn_that_does_not_answer_lets_go_and_changes_nothing(store: Store, status: Status) -> None:
    conversation = await opened(store)
    turn = below(conversation)
    await store.begin(turn)
    await store.finish(replace(turn, status=status))
    assert await now(store, conversation) == conversation


async def test_a_turn_that_is_deleted_lets_go(store: Store) -> None:
    conversation = await opened(store)
    turn = below(conversation)
    await store.begin(turn)
    await store.delete("p", turn.id)
    await store.finish(replace(turn, status="completed"))
    assert await now(store, conversation) == conversation


@pytest.mark.parametrize("status", ["queued", "in_progress"])
async def test_while_one_turn_runs_nothing_else_gets_in_and_nothing_is_stored_of_it(
    store: Store, status: Status
) -> None:
    conversation = await opened(store)
    await store.begin(below(conversation, status=status))
    before = await store.usage()
    with pytest.raises(ConversationLocked):
        await store.begin(below(conversation))
    with pytest.raises(ConversationLocked):
        await store.extend_conversation(below(conversation, door="conversation"))
    assert (await store.usage()).turns == before.turns


async def test_of_turns_that_begin_at_the_same_moment_one_gets_in(store: Store) -> None:
    conversation = await opened(store)
    outcomes = await asyncio.gather(
        *(store.begin(below(conversation)) for _ in range(10)), return_exceptions=True
    )
    assert sum(outcome is None for outcome in outcomes) == 1
    assert sum(isinstance(outcome, ConversationLocked) for outcome in outcomes) == 9


async def test_a_turn_that_was_planned_on_another_end_does_not_get_in(store: Store) -> None:
    conversation = await opened(store)
    await store.extend_conversation(below(conversation, door="conversation"))
    with pytest.raises(ConversationLocked):
        await store.begin(below(conversation))
    await store.begin(below(await now(store, conversation)))


async def test_what_was_put_in_or_taken_out_is_the_new_end_with_its_fields(store: Store) -> None:
    conversation = await opened(store)
    turn = replace(below(conversation, door="conversation"), fields=b'{"removed":["msg_1"]}')
    await store.extend_conversation(turn)
    assert (await now(store, conversation)).tip == turn.id
    assert (await store.conversation_chain("p", conversation.id))[-1].fields == turn.fields
    child = replace(below(await now(store, conversation)), conversation=None, status="completed")
    await store.finish(child)
    assert [each.fields for each in await store.load_chain("p", child.id)] == [b"{}", turn.fields, b"{}"]


async def test_a_deleted_conversation_is_gone_once_and_its_turns_stay(store: Store) -> None:
    conversation = await opened(store)
    turn = below(conversation)
    await store.begin(turn)
    assert await store.drop_conversation("q", conversation.id) is False
    assert await store.drop_conversation("p", conversation.id) is True
    assert await store.drop_conversation("p", conversation.id) is False
    await opened(store)  # under no number that the running turn knows
    await store.finish(replace(turn, status="completed"))
    assert [each.id for each in await store.load_chain("p", turn.id)] == [conversation.id, turn.id]
    with pytest.raises(ConversationNotFound):
        await store.begin(below(replace(conversation, tip=turn.id)))


async def test_a_running_turn_of_a_deleted_conversation_does_not_hold_the_next_one(store: Store) -> None:
    conversation = await opened(store)
    await store.begin(below(conversation))
    await store.drop_conversation("p", conversation.id)
    other = await opened(store)
    assert await now(store, other) == other


async def test_metadata_is_replaced_in_its_own_project_only(store: Store) -> None:
    conversation = await opened(store)
    assert await store.set_conversation_metadata("q", conversation.id, b"{}") is False
    assert await store.set_conversation_metadata("p", conversation.id, b'{"c":"d"}') is True
    assert await now(store, conversation) == replace(conversation, metadata=b'{"c":"d"}')


async def test_the_tree_of_a_conversation_expires_only_without_it(store: Store) -> None:
    conversation = await opened(store)
    assert await store.expire(NOW + 1) == 0
    await store.drop_conversation("p", conversation.id)
    assert await store.expire(NOW + 1) == 1


async def test_a_conversation_whose_last_turn_was_deleted_still_has_a_chain(store: Store) -> None:
    conversation = await opened(store)
    turn = below(conversation)
    await store.begin(turn)
    await store.finish(replace(turn, status="completed"))
    await store.delete("p", turn.id)
    chain = await store.conversation_chain("p", conversation.id)
    assert [(each.id, each.deleted) for each in chain] == [(conversation.id, False), (turn.id, True)]
    await store.begin(below(await now(store, conversation)))


async def test_items_that_no_response_has_seen_go_with_their_conversation(store: Store) -> None:
    conversation = await opened(store)
    seen = replace(below(conversation, door="conversation"), input=b'[{"id":"msg_seen"}]')
    await store.extend_conversation(replace(seen, foreign_ids=["msg_seen"]))
    turn = below(await now(store, conversation))
    await store.begin(turn)
    await store.finish(replace(turn, status="completed"))
    unseen = replace(below(await now(store, conversation), door="conversation"), input=b'[{"id":"msg_new"}]')
    await store.extend_conversation(replace(unseen, foreign_ids=["msg_new"]))
    assert await store.load_item("p", "msg_new") is not None
    await store.drop_conversation("p", conversation.id)
    assert await store.load_item("p", "msg_new") is None
    assert await store.load_item("p", "msg_seen") is not None
    assert [each.deleted for each in await store.load_chain("p", turn.id)] == [False, False, False]
