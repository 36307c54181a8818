"""Conversations: their items, the turns that use them, and who may change them when (spec §1.2, §6)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from openai import BadRequestError, InternalServerError, NotFoundError
from openai.types.conversations import ConversationItemList
from pydantic import TypeAdapter

from catena.chunks import Finish, TextDelta, ToolCallDelta
from catena.errors import StoreUnavailable
from catena.ids import TurnIds
from catena.store import Turn
from catena.upstream.scripted import ScriptedUpstream, echo_script
from tests.api.test_background import Gate, ended
from tests.conformance.proves import proves
from tests.running import LIMIT, RunningServer, StartServer, until

UNKNOWN = "conv_" + "0" * 50


def said(text: str, **more: Any) -> Any:
    return {"type": "message", "role": "user", "content": text, **more}


def call(call_id: str, **more: Any) -> Any:
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}", **more}


def output(call_id: str, **more: Any) -> Any:
    return {"type": "function_call_output", "call_id": call_id, "output": "42", **more}


def text_of(item: Any) -> str:
    return str(item.content[0].text)


async def texts(server: RunningServer, conversation_id: str) -> list[str]:
    """What a conversation says, oldest first."""
    listed = server.client.conversations.items.list(conversation_id, order="asc")
    return [text_of(item) async for item in listed]


def heard(server: RunningServer) -> list[Any]:
    """The texts that the engine saw last."""
    return [message.get("content") for message in server.seen()]


# The conversation itself


@proves("1.2.table", "6.1", "6.7")
async def test_a_conversation_is_created_read_changed_and_deleted(server: RunningServer) -> None:
    conversations = server.client.conversations
    created = await conversations.create(metadata={"topic": "trees"})
    assert (created.object, created.metadata) == ("conversation", {"topic": "trees"})
    assert created.id.startswith("conv_")
    assert await conversations.retrieve(created.id) == created
    changed = await conversations.update(created.id, metadata={"topic": "seas"})
    assert changed == await conversations.retrieve(created.id)
    assert changed.metadata == {"topic": "seas"}
    deleted = await conversations.delete(created.id)
    assert deleted.to_dict() == {"id": created.id, "object": "conversation.deleted", "deleted": True}
    with pytest.raises(NotFoundError) as refusal:
        await conversations.delete(created.id)
    assert refusal.value.body == {
        "message": f"Conversation with id '{created.id}' not found.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }


@proves("6.1", "6.4")
async def test_a_conversation_without_anything_has_no_items_and_empty_metadata(server: RunningServer) -> None:
    created = await server.client.conversations.create()
    assert created.metadata == {}
    reply = await server.http.get(f"/conversations/{created.id}/items")
    assert reply.json() == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


@proves("6.5")
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("POST", "", {"metadata": {}}),
        ("DELETE", "", None),
        ("POST", "/items", {"items": [said("x")]}),
        ("GET", "/items", None),
        ("GET", "/items/msg_1", None),
        ("DELETE", "/items/msg_1", None),
    ],
)
@pytest.mark.parametrize("unknown", [UNKNOWN, "conv_1", "thread"])
async def test_an_unknown_conversation_is_not_found(
    server: RunningServer, method: str, path: str, body: Any, unknown: str
) -> None:
    reply = await server.http.request(method, f"/conversations/{unknown}{path}", json=body)
    assert reply.status_code == 404
    assert reply.json()["error"]["message"] == f"Conversation with id '{unknown}' not found."


@proves("2.4.items", "6.2")
@pytest.mark.parametrize(
    ("path", "body", "param", "code"),
    [
        ("", {"items": [said("x")] * 21}, "items", "array_above_max_length"),
        ("", {"items": "x"}, "items", "invalid_type"),
        ("", {"bogus": 1}, "bogus", "unknown_parameter"),
        ("", {"metadata": {"k": 1}}, "metadata.k", "invalid_type"),
        ("", {"items": [said("x", id="rs_1")]}, "items[0].id", "invalid_id_prefix"),
        ("/{}", {}, "metadata", "missing_required_parameter"),
        ("/{}/items", {"items": [said("x")] * 21}, "items", "array_above_max_length"),
        ("/{}/items", {"items": []}, "items", "empty_array"),
        ("/{}/items", {}, "items", "missing_required_parameter"),
        ("/{}/items?include[]=all", {"items": [said("x")]}, "include[0]", "invalid_value"),
    ],
)
async def test_what_is_wrong_is_refused_in_the_official_words(
    server: RunningServer, path: str, body: Any, param: str, code: str
) -> None:
    conversation = await server.client.conversations.create()
    reply = await server.post(f"/conversations{path.format(conversation.id)}", body)
    assert reply.status_code == 400
    assert (reply.json()["error"]["param"], reply.json()["error"]["code"]) == (param, code)


async def test_items_that_do_not_fit_what_is_there_are_named_as_items(server: RunningServer) -> None:
    conversation = await server.client.conversations.create(items=[said("x", id="msg_1")])
    for path in ("", f"/{conversation.id}/items"):
        for items, status in (
            ([output("call_1")], 400),
            ([said("y", id="msg_1"), said("z", id="msg_1")], 400),
            ([{"type": "item_reference", "id": "msg_nowhere"}], 404),
        ):
            reply = await server.post(f"/conversations{path}", {"items": items})
            assert (reply.status_code, reply.json()["error"]["param"]) == (status, "items")


@proves("6.6")
async def test_a_body_that_is_no_json_is_called_that(server: RunningServer) -> None:
    reply = await server.post("/conversations", b"{")
    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == "invalid_json"


@proves("6.15")
async def test_a_conversation_and_a_parent_exclude_one_another(server: RunningServer) -> None:
    conversation = await server.client.conversations.create()
    body = {"model": "m", "input": "hi", "conversation": conversation.id, "previous_response_id": "resp_1"}
    reply = await server.post("/responses", body)
    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == "mutually_exclusive_parameters"


# Items


@proves("1.2.table", "6.2", "6.3", "6.5")
async def test_items_are_added_in_order_and_listed_newest_first(server: RunningServer) -> None:
    conversation = await server.client.conversations.create(items=[said("one")])
    added: Any = await server.client.conversations.items.create(
        conversation.id, items=[said("two"), said("three")]
    )
    assert [text_of(item) for item in added.data] == ["two", "three"]
    assert {item.status for item in added.data} == {"completed"}
    assert not added.has_more
    listed = await server.client.conversations.items.list(conversation.id)
    assert [text_of(item) for item in listed.data] == ["three", "two", "one"]
    raw = await server.http.get(f"/conversations/{conversation.id}/items")
    TypeAdapter(ConversationItemList).validate_json(raw.content, strict=True)
    one = await server.client.conversations.items.retrieve(added.data[0].id, conversation_id=conversation.id)
    assert one == added.data[0]
    with pytest.raises(NotFoundError, match="Item with id 'msg_x' not found in conversation"):
        await server.client.conversations.items.retrieve("msg_x", conversation_id=conversation.id)


@proves("6.3")
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_items_are_paged_both_ways(server: RunningServer, order: Any) -> None:
    conversation = await server.client.conversations.create(items=[said(f"{n}") for n in range(7)])
    page = await server.client.conversations.items.list(conversation.id, order=order, limit=3)
    assert page.has_more
    assert page.last_id == page.data[-1].id
    everything = [text_of(item) async for item in page]
    assert everything == sorted((str(n) for n in range(7)), reverse=order == "desc")


@proves("6.3")
async def test_a_limit_out_of_bounds_is_refused(server: RunningServer) -> None:
    conversation = await server.client.conversations.create()
    with pytest.raises(BadRequestError) as refusal:
        await server.client.conversations.items.list(conversation.id, limit=1000)
    assert refusal.value.body == {
        "message": "Invalid 'limit': integer above maximum value. Expected a value <= 100, but got 1000 instead.",
        "type": "invalid_request_error",
        "param": "limit",
        "code": "integer_above_max_value",
    }


async def test_everything_that_belongs_to_a_conversation_shares_its_key(server: RunningServer) -> None:
    conversation = await server.client.conversations.create(items=[said("a")])
    response = await server.client.responses.create(model="m", input="b", conversation=conversation.id)
    listed = await server.client.conversations.items.list(conversation.id)
    keys = {str(each.id)[-50:-34] for each in (conversation, response, *listed.data)}
    assert len(keys) == 1


# Turns


@proves("6.10", "6.11", "6.12")
@pytest.mark.parametrize("given", ["string", "object"])
async def test_a_turn_sees_the_conversation_and_is_appended_to_it(server: RunningServer, given: str) -> None:
    conversation = await server.client.conversations.create(items=[said("one")])
    ref: Any = conversation.id if given == "string" else {"id": conversation.id}
    response = await server.client.responses.create(
        model="m", input="two", conversation=ref, instructions="be brief"
    )
    assert response.conversation is not None
    assert response.conversation.id == conversation.id
    assert response.previous_response_id is None
    assert await server.client.responses.retrieve(response.id) == response
    assert await texts(server, conversation.id) == ["one", "two", response.output_text]
    await server.client.responses.create(model="m", input="three", conversation=ref)
    assert heard(server) == ["one", "two", response.output_text, "three"]
    newest = await server.client.conversations.items.list(conversation.id, limit=1)
    assert newest.data[0].type == "message"


@proves("6.11")
async def test_a_long_conversation_arrives_whole(server: RunningServer) -> None:
    conversation = await server.client.conversations.create()
    for start in range(0, 180, 20):
        items = [said(f"{number}") for number in range(start, start + 20)]
        await server.client.conversations.items.create(conversation.id, items=items)
    await server.client.responses.create(model="m", input="last", conversation=conversation.id)
    assert heard(server) == [*(str(number) for number in range(180)), "last"]


@proves("6.5")
async def test_nobody_makes_a_conversation_by_naming_it(server: RunningServer) -> None:
    with pytest.raises(NotFoundError) as refusal:
        await server.client.responses.create(model="m", input="hi", conversation=UNKNOWN)
    assert refusal.value.body == {
        "message": f"Conversation with id '{UNKNOWN}' not found.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
    assert server.engine.prompts == []


async def test_an_empty_input_goes_on_with_what_is_there(server: RunningServer) -> None:
    conversation = await server.client.conversations.create(items=[said("one")])
    await server.client.responses.create(model="m", input=[], conversation=conversation.id)
    assert heard(server) == ["one"]


@proves("6.11.ends")
async def test_an_incomplete_turn_is_appended_and_a_failed_one_is_not(start_server: StartServer) -> None:
    def cut(_: Any) -> Any:
        yield TextDelta("half")
        yield Finish("length")

    def broken(_: Any) -> Any:
        yield TextDelta("half")
        raise RuntimeError

    engine = ScriptedUpstream(cut)
    async with start_server(engine=engine) as server:
        conversation = await server.client.conversations.create()
        response = await server.client.responses.create(model="m", input="a", conversation=conversation.id)
        assert response.status == "incomplete"
        assert await texts(server, conversation.id) == ["a", "half"]
        engine.script = broken
        reply = await server.post("/responses", {"model": "m", "input": "b", "conversation": conversation.id})
        assert reply.status_code == 500
        assert await texts(server, conversation.id) == ["a", "half"]
        engine.script = echo_script
        await server.client.responses.create(model="m", input="c", conversation=conversation.id)
        assert heard(server) == ["a", "half", "c"]


@proves("6.11.ends")
async def test_a_cancelled_turn_appends_nothing(start_server: StartServer) -> None:
    gate = Gate()
    async with start_server(engine=gate.engine) as server:
        conversation = await server.client.conversations.create()
        running = await server.client.responses.create(
            model="m", input="a", conversation=conversation.id, background=True
        )
        await until(lambda: gate.engine.prompts)
        await server.client.responses.cancel(running.id)
        assert await texts(server, conversation.id) == []
        gate.engine.script = echo_script
        await server.client.responses.create(model="m", input="b", conversation=conversation.id)
        assert heard(server) == ["b"]


@proves("6.14")
async def test_an_unstored_turn_reads_the_conversation_and_writes_nothing(server: RunningServer) -> None:
    conversation = await server.client.conversations.create(items=[said("one")])
    response = await server.client.responses.create(
        model="m", input="two", conversation=conversation.id, store=False
    )
    assert heard(server) == ["one", "two"]
    assert response.conversation is not None
    assert await texts(server, conversation.id) == ["one"]


@proves("3.2.43")
async def test_a_response_of_a_conversation_can_be_continued_beside_it(server: RunningServer) -> None:
    conversation = await server.client.conversations.create(items=[said("one")])
    response = await server.client.responses.create(model="m", input="two", conversation=conversation.id)
    child = await server.client.responses.create(model="m", input="x", previous_response_id=response.id)
    assert heard(server) == ["one", "two", response.output_text, "x"]
    assert child.conversation is None
    assert child.previous_response_id == response.id
    assert await texts(server, conversation.id) == ["one", "two", response.output_text]


async def test_input_items_of_a_turn_are_what_it_saw(server: RunningServer) -> None:
    conversation = await server.client.conversations.create(items=[said("one")])
    response = await server.client.responses.create(model="m", input="two", conversation=conversation.id)
    await server.client.conversations.items.create(conversation.id, items=[said("later")])
    listed = await server.client.responses.input_items.list(response.id, order="asc")
    assert [text_of(item) for item in listed.data] == ["one", "two"]


@proves("6.7")
async def test_the_items_of_a_deleted_conversation_stay_with_their_responses(server: RunningServer) -> None:
    conversation = await server.client.conversations.create(items=[said("one")])
    response = await server.client.responses.create(model="m", input="two", conversation=conversation.id)
    await server.client.conversations.delete(conversation.id)
    listed = await server.client.responses.input_items.list(response.id, order="asc")
    assert [text_of(item) for item in listed.data] == ["one", "two"]
    with pytest.raises(NotFoundError):
        await server.client.responses.create(model="m", input="x", conversation=conversation.id)
    await server.client.responses.create(model="m", input="x", previous_response_id=response.id)
    assert heard(server) == ["one", "two", response.output_text, "x"]


async def test_a_conversation_survives_a_restart(start_server: StartServer) -> None:
    async with start_server() as server:
        conversation = await server.client.conversations.create(items=[said("one")], metadata={"a": "b"})
        response = await server.client.responses.create(model="m", input="two", conversation=conversation.id)
    async with start_server() as server:
        assert await server.client.conversations.retrieve(conversation.id) == conversation
        await server.client.responses.create(model="m", input="three", conversation=conversation.id)
        assert heard(server) == ["one", "two", response.output_text, "three"]


@proves("6.18")
async def test_conversations_do_not_expire(server: RunningServer) -> None:
    conversation = await server.client.conversations.create(items=[said("one")])
    response = await server.client.responses.create(model="m", input="two", conversation=conversation.id)
    other = await server.client.responses.create(model="m", input="alone")
    assert await server.store.expire(int(response.created_at) + 1000) == 1
    with pytest.raises(NotFoundError):
        await server.client.responses.retrieve(other.id)
    assert await texts(server, conversation.id) == ["one", "two", response.output_text]
    await server.client.conversations.delete(conversation.id)
    assert await server.store.expire(int(response.created_at) + 1000) == 2


@proves("6.18")
async def test_a_deleted_response_is_gone_from_its_conversation_too(server: RunningServer) -> None:
    conversation = await server.client.conversations.create(items=[said("one")])
    responses = [
        await server.client.responses.create(model="m", input=text, conversation=conversation.id)
        for text in ("two", "three")
    ]
    for response, left in zip(reversed(responses), (["one", "two", "2: two"], ["one"]), strict=True):
        await server.client.responses.delete(response.id)
        assert await texts(server, conversation.id) == left
        await server.client.responses.create(model="m", input="x", conversation=conversation.id, store=False)
        assert heard(server) == [*left, "x"]


async def test_an_end_that_could_not_be_stored_is_a_failure_and_frees_the_conversation(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = await server.client.conversations.create(items=[said("one")])
    finish = server.store.finish

    async def full(turn: Turn, **more: Any) -> None:
        if turn.status == "completed":
            raise StoreUnavailable
        await finish(turn, **more)

    monkeypatch.setattr(server.store, "finish", full)
    with pytest.raises(InternalServerError):
        await server.client.responses.create(model="m", input="two", conversation=conversation.id)
    monkeypatch.undo()
    await server.client.responses.create(model="m", input="three", conversation=conversation.id)
    assert heard(server) == ["one", "three"]


async def test_a_crash_ends_the_hold_on_a_conversation(start_server: StartServer) -> None:
    async with start_server() as server:
        conversation = await server.client.conversations.create(items=[said("one")])
        tree = conversation.id[-50:-34]
        begun = Turn(
            project="default",
            id=TurnIds.new(tree, 1_700_000_000).turn("resp_"),
            tree=tree,
            parent=conversation.id,
            status="in_progress",
            model="m",
            created_at=1_700_000_000,
            conversation=conversation.id,
        )
        await server.store.begin(begun, owner="a server that dies", lease=1e9)
        await refused(server, conversation.id)
    async with start_server() as server:
        await server.client.responses.create(model="m", input="two", conversation=conversation.id)
        assert heard(server) == ["one", "two"]


# What does not fit


@proves("6.16")
async def test_a_pending_call_blocks_until_it_is_answered_or_deleted(start_server: StartServer) -> None:
    def calling(_: Any) -> Any:
        yield ToolCallDelta(0, "call_1", "f", "{}")
        yield Finish("tool_calls")

    engine = ScriptedUpstream(calling)
    async with start_server(engine=engine) as server:
        conversation = await server.client.conversations.create()
        create = server.client.responses.create
        response = await create(
            model="m",
            input="a",
            conversation=conversation.id,
            tools=[{"type": "function", "name": "f", "parameters": None, "strict": False}],
        )
        (pending,) = response.output
        assert pending.type == "function_call"
        engine.script = echo_script
        with pytest.raises(BadRequestError, match="No tool output found for function call"):
            await create(model="m", input="b", conversation=conversation.id)
        assert pending.id is not None
        await server.client.conversations.items.delete(pending.id, conversation_id=conversation.id)
        await create(model="m", input="b", conversation=conversation.id)
        assert heard(server) == ["a", "b"]


async def test_an_output_without_its_call_is_refused(server: RunningServer) -> None:
    conversation = await server.client.conversations.create()
    with pytest.raises(BadRequestError, match="No tool call found for function call output"):
        await server.client.conversations.items.create(conversation.id, items=[output("call_1")])
    with pytest.raises(BadRequestError, match="No tool call found for function call output"):
        await server.client.responses.create(
            model="m", input=[output("call_1")], conversation=conversation.id
        )


async def test_a_call_and_its_output_may_be_added_one_after_the_other(server: RunningServer) -> None:
    conversation = await server.client.conversations.create(items=[said("a")])
    await server.client.conversations.items.create(conversation.id, items=[call("call_1")])
    await server.client.conversations.items.create(conversation.id, items=[output("call_1")])
    await server.client.responses.create(model="m", input="b", conversation=conversation.id)
    assert [message["role"] for message in server.seen()] == ["user", "assistant", "tool", "user"]


async def test_an_id_that_is_there_already_is_refused(server: RunningServer) -> None:
    conversation = await server.client.conversations.create(items=[said("a"), said("b", id="msg_own")])
    listed = await server.client.conversations.items.list(conversation.id)
    for item in listed.data:
        again = said("c", id=item.id)
        with pytest.raises(BadRequestError, match=f"Duplicate item found with id {item.id}"):
            await server.client.responses.create(model="m", input=[again], conversation=conversation.id)
        with pytest.raises(BadRequestError, match=f"Duplicate item found with id {item.id}"):
            await server.client.conversations.items.create(conversation.id, items=[again])


async def test_items_of_a_response_made_elsewhere_are_added_under_their_ids(server: RunningServer) -> None:
    """As agent frameworks do that keep a session in a conversation, and answer without it."""
    response = await server.client.responses.create(model="m", input="hi")
    conversation = await server.client.conversations.create()
    items: Any = [said("hi"), *(item.to_dict() for item in response.output)]
    added = await server.client.conversations.items.create(conversation.id, items=items)
    assert added.data[1].id == response.output[0].id
    assert await texts(server, conversation.id) == ["hi", response.output_text]
    last = added.data[1]
    await server.client.conversations.items.delete(str(last.id), conversation_id=conversation.id)
    await server.client.conversations.items.create(conversation.id, items=items[1:])
    assert await texts(server, conversation.id) == ["hi", response.output_text]


# Taking items out


@proves("6.8", "6.9")
async def test_an_item_that_was_taken_out_is_not_seen_any_more(server: RunningServer) -> None:
    conversation = await server.client.conversations.create(items=[said("one"), said("two")])
    response = await server.client.responses.create(model="m", input="three", conversation=conversation.id)
    listed = await server.client.conversations.items.list(conversation.id, order="asc")
    gone = str(listed.data[0].id)
    deleted = await server.client.conversations.items.delete(gone, conversation_id=conversation.id)
    assert deleted == conversation
    assert await texts(server, conversation.id) == ["two", "three", response.output_text]
    with pytest.raises(NotFoundError, match=f"Item with id '{gone}' not found in conversation"):
        await server.client.conversations.items.delete(gone, conversation_id=conversation.id)
    for number in range(2):
        await server.client.responses.create(model="m", input=f"{number}", conversation=conversation.id)
        assert "one" not in heard(server)
        assert heard(server)[0] == "two"
    # What was made before goes on from what it saw.
    await server.client.responses.create(model="m", input="x", previous_response_id=response.id)
    assert heard(server) == ["one", "two", "three", response.output_text, "x"]


async def test_an_item_can_come_back_after_it_was_taken_out(server: RunningServer) -> None:
    conversation = await server.client.conversations.create(items=[said("one"), said("two")])
    listed = await server.client.conversations.items.list(conversation.id, order="asc")
    first = str(listed.data[0].id)
    await server.client.conversations.items.delete(first, conversation_id=conversation.id)
    await server.client.conversations.items.create(conversation.id, items=[said("one", id=first)])
    assert await texts(server, conversation.id) == ["two", "one"]
    with pytest.raises(BadRequestError, match="Duplicate item"):
        await server.client.conversations.items.create(conversation.id, items=[said("one", id=first)])
    await server.client.responses.create(model="m", input="x", conversation=conversation.id)
    assert heard(server) == ["two", "one", "x"]


async def test_an_output_goes_with_its_call_and_a_call_waits_for_another_output(
    server: RunningServer,
) -> None:
    pair = [said("a"), call("call_1", id="fc_1"), output("call_1", id="fco_1")]
    create = server.client.responses.create
    conversation = await server.client.conversations.create(items=pair)
    await server.client.conversations.items.delete("fc_1", conversation_id=conversation.id)
    await create(model="m", input="b", conversation=conversation.id)
    assert heard(server) == ["a", "b"]
    other = await server.client.conversations.create(items=pair)
    await server.client.conversations.items.delete("fco_1", conversation_id=other.id)
    with pytest.raises(BadRequestError, match="No tool output found for function call call_1"):
        await create(model="m", input="b", conversation=other.id)
    await create(model="m", input=[output("call_1"), said("b")], conversation=other.id)
    assert [message["role"] for message in server.seen()] == ["user", "assistant", "tool", "user"]


# One at a time


async def refused(server: RunningServer, conversation_id: str, **more: Any) -> None:
    create: Any = server.client.responses.create
    with pytest.raises(BadRequestError) as refusal:
        await create(model="m", input="me too", conversation=conversation_id, **more)
    assert refusal.value.body == {
        "message": "Another process is currently operating on this conversation. Please retry in a few seconds.",
        "type": "invalid_request_error",
        "param": "conversation",
        "code": "conversation_locked",
    }


@proves("6.13", "10.2.conversation_locked")
@pytest.mark.parametrize("mode", [{}, {"stream": True}, {"background": True}])
async def test_while_one_response_is_made_no_other_is(start_server: StartServer, mode: Any) -> None:
    gate = Gate()
    async with start_server(engine=gate.engine) as server:
        conversation = await server.client.conversations.create(items=[said("one")])

        async def first() -> Any:
            made: Any = await server.client.responses.create(
                model="m", input="two", conversation=conversation.id, **mode
            )
            if mode.get("stream"):
                return [event async for event in made][-1].response
            return await ended(server, made.id) if mode.get("background") else made

        running = asyncio.create_task(first())
        await until(lambda: gate.engine.prompts)
        await held(server, conversation.id)
        for other in ({}, {"stream": True}, {"background": True}, {"store": False}):
            await refused(server, conversation.id, **other)
        with pytest.raises(BadRequestError, match="Another process"):
            await server.client.conversations.items.create(conversation.id, items=[said("x")])
        listed = await server.client.conversations.items.list(conversation.id)
        with pytest.raises(BadRequestError, match="Another process"):
            await server.client.conversations.items.delete(
                str(listed.data[0].id), conversation_id=conversation.id
            )
        assert len(gate.engine.prompts) == 1
        gate.open.set()
        async with asyncio.timeout(LIMIT):
            assert (await running).status == "completed"
        assert await texts(server, conversation.id) == ["one", "two", "half done"]
        gate.engine.script = echo_script
        await server.client.responses.create(model="m", input="three", conversation=conversation.id)
        assert heard(server) == ["one", "two", "half done", "three"]


async def held(server: RunningServer, conversation_id: str) -> None:
    async with asyncio.timeout(LIMIT):
        while True:
            found = await server.store.load_conversation("default", conversation_id)
            assert found is not None
            if found.busy:
                return


@proves("6.13")
@pytest.mark.parametrize("mode", [{}, {"stream": True}, {"background": True}])
async def test_of_many_at_the_same_moment_one_is_let_in(
    start_server: StartServer, mode: dict[str, bool]
) -> None:
    gate = Gate()
    async with start_server(engine=gate.engine) as server:
        conversation = await server.client.conversations.create()
        body = {"model": "m", "input": "hi", "conversation": conversation.id, **mode}
        runs = [asyncio.create_task(server.post("/responses", body)) for _ in range(8)]
        await until(lambda: sum(run.done() for run in runs) >= 7)
        gate.open.set()
        replies = [await run for run in runs]
        assert sorted(reply.status_code for reply in replies) == [200] + [400] * 7
        assert {reply.json()["error"]["code"] for reply in replies if reply.status_code == 400} == {
            "conversation_locked"
        }
        async with asyncio.timeout(LIMIT):
            while await texts(server, conversation.id) != ["hi", "half done"]:
                pass


@pytest.mark.parametrize("mode", [{}, {"stream": True}])
async def test_of_two_that_were_planned_on_the_same_end_the_second_is_refused(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch, mode: dict[str, bool]
) -> None:
    """Both find the conversation free; which one gets it is decided where the turn is stored."""
    gate = Gate()
    async with start_server(engine=gate.engine) as server:
        conversation = await server.client.conversations.create()
        free = await server.store.load_conversation("default", conversation.id)

        async def as_it_was(*_: Any) -> Any:
            return free

        monkeypatch.setattr(server.store, "load_conversation", as_it_was)
        body = {"model": "m", "input": "hi", "conversation": conversation.id}
        first = asyncio.create_task(server.post("/responses", body))
        await until(lambda: gate.engine.prompts)
        monkeypatch.undo()
        await held(server, conversation.id)
        monkeypatch.setattr(server.store, "load_conversation", as_it_was)
        reply = await server.post("/responses", {**body, **mode})
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "conversation_locked")
        gate.open.set()
        assert (await first).status_code == 200
        monkeypatch.undo()
        assert await texts(server, conversation.id) == ["hi", "half done"]


async def test_items_that_are_added_at_the_same_moment_are_all_there(server: RunningServer) -> None:
    conversation = await server.client.conversations.create()
    create = server.client.conversations.items.create
    await asyncio.gather(*(create(conversation.id, items=[said(f"{number}")]) for number in range(8)))
    assert sorted(await texts(server, conversation.id)) == [str(number) for number in range(8)]


async def test_a_conversation_that_is_deleted_meanwhile_lets_its_response_end(
    start_server: StartServer,
) -> None:
    gate = Gate()
    async with start_server(engine=gate.engine) as server:
        conversation = await server.client.conversations.create(items=[said("one")])
        running = await server.client.responses.create(
            model="m", input="two", conversation=conversation.id, background=True
        )
        await until(lambda: gate.engine.prompts)
        await server.client.conversations.delete(conversation.id)
        gate.open.set()
        done = await ended(server, running.id)
        assert (done.status, done.output_text) == ("completed", "half done")


async def test_the_cost_of_a_turn_is_one_small_read_once_the_conversation_is_known(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = await server.client.conversations.create()
    await server.client.responses.create(model="m", input="0", conversation=conversation.id)

    async def never(*_: Any) -> Any:
        raise AssertionError("the whole conversation was read")

    monkeypatch.setattr(server.store, "conversation_chain", never)
    monkeypatch.setattr(server.store, "load_chain", never)
    for number in range(3):
        await server.client.responses.create(model="m", input=f"{number}", conversation=conversation.id)
        await server.client.conversations.items.create(conversation.id, items=[said("noted")])
    assert len(heard(server)) == 9


# Our own: finding them again


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_conversations_are_listed_by_their_metadata_in_pages(server: RunningServer, order: str) -> None:
    made = [
        (await server.client.conversations.create(metadata={"user": user, "n": f"{number}"})).id
        for number, user in enumerate(["ada", "bob", "ada", "ada"])
    ]
    wanted = [made[0], made[2], made[3]] if order == "asc" else [made[3], made[2], made[0]]
    found: list[str] = []
    query: dict[str, Any] = {"metadata[user]": "ada", "limit": 2, "order": order}
    while True:
        page = (await server.http.get("/conversations", params=query)).json()
        found += [each["id"] for each in page["data"]]
        assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])
        if not page["has_more"]:
            break
        query["after"] = page["last_id"]
    assert found == wanted
    everything = (await server.http.get("/conversations")).json()
    assert [each["id"] for each in everything["data"]] == made[::-1]
    assert everything["data"][0] == (await server.client.conversations.retrieve(made[-1])).to_dict()


async def test_a_list_after_an_unknown_conversation_is_refused(server: RunningServer) -> None:
    reply = await server.http.get("/conversations", params={"after": UNKNOWN})
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "after"
