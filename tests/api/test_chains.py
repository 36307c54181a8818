"""`previous_response_id`: what is carried, what is not, branches, deletions (spec §3)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError

from catena.chunks import Finish, TextDelta, ToolCallDelta
from catena.config import ChainSettings, Config
from catena.history import History
from catena.prefix import PrefixCache
from catena.store import Turn
from catena.upstream.scripted import ScriptedUpstream
from tests.api.test_background import Gate, ended
from tests.conformance.proves import proves
from tests.running import RunningServer, StartServer

WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def told(messages: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    return [(message["role"], message["content"]) for message in messages]


@proves("3.1.33", "11.4.b")
async def test_the_model_sees_the_whole_chain(server: RunningServer) -> None:
    first = await server.client.responses.create(model="gpt-4o", input="My name is Ada.")
    second = await server.client.responses.create(
        model="gpt-4o", input="What is my name?", previous_response_id=first.id
    )
    assert second.previous_response_id == first.id
    assert told(server.seen()) == [
        ("user", "My name is Ada."),
        ("assistant", first.output_text),
        ("user", "What is my name?"),
    ]


@proves("P.chain_300")
async def test_a_chain_of_300_turns_arrives_whole(server: RunningServer) -> None:
    parent = None
    for number in range(300):
        turn = await server.client.responses.create(
            model="m", input=f"turn {number}", previous_response_id=parent
        )
        parent = turn.id
    questions = [content for role, content in told(server.seen()) if role == "user"]
    assert questions == [f"turn {number}" for number in range(300)]
    assert len(server.seen()) == 599


@proves("P.restart")
async def test_a_chain_of_300_turns_arrives_whole_after_a_restart(start_server: StartServer) -> None:
    parent = None
    async with start_server() as server:
        for number in range(300):
            turn = await server.client.responses.create(
                model="m", input=f"turn {number}", previous_response_id=parent
            )
            parent = turn.id
    async with start_server() as server:
        await server.client.responses.create(model="m", input="again", previous_response_id=parent)
        assert len(server.seen()) == 601
        assert server.seen()[0] == {"role": "user", "content": "turn 0"}


@proves("P.items_160")
async def test_an_input_of_160_items_arrives_whole(server: RunningServer) -> None:
    items: Any = [{"role": "user", "content": f"item {number}"} for number in range(160)]
    first = await server.client.responses.create(model="m", input=items)
    await server.client.responses.create(model="m", input="and now", previous_response_id=first.id)
    contents = [content for role, content in told(server.seen()) if role == "user"]
    assert contents == [*(f"item {number}" for number in range(160)), "and now"]


@proves("3.1.34", "3.1.35", "3.1.36", "OR.tools_inherited")
async def test_instructions_and_tools_are_not_carried_but_system_messages_are(
    server: RunningServer,
) -> None:
    first = await server.client.responses.create(
        model="m",
        instructions="Speak French.",
        input=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        tools=[WEATHER],
        temperature=0.1,
    )
    assert server.seen()[0] == {"role": "system", "content": "Speak French."}
    second = await server.client.responses.create(
        model="m", instructions="Speak German.", input="again", previous_response_id=first.id
    )
    assert told(server.seen())[:2] == [("system", "Speak German."), ("system", "Be brief.")]
    assert "Speak French." not in str(server.seen())
    assert second.tools == []
    assert second.temperature == 1.0
    assert "tools" not in server.engine.prompts[-1].options


@proves("3.2.39", "P.forks")
async def test_branches_never_see_each_other(server: RunningServer) -> None:
    root = await server.client.responses.create(model="m", input="root")

    async def branch(number: int) -> None:
        parent = root.id
        for step in range(5):
            turn = await server.client.responses.create(
                model="m", input=f"b{number}s{step}", previous_response_id=parent
            )
            assert turn.output_text == f"{3 + 2 * step}: b{number}s{step}"
            parent = turn.id

    await asyncio.gather(*(branch(number) for number in range(20)))
    for prompt in range(len(server.engine.prompts)):
        said = [content for role, content in told(server.seen(prompt)) if role == "user"]
        assert len({content[: content.index("s")] for content in said if content != "root"}) <= 1


@proves("3.2.41", "2.1.model")
async def test_the_model_may_change_along_the_chain(server: RunningServer) -> None:
    first = await server.client.responses.create(model="gpt-4o", input="hi")
    second = await server.client.responses.create(
        model="gpt-4o-mini", input="again", previous_response_id=first.id
    )
    assert (first.model, second.model) == ("gpt-4o", "gpt-4o-mini")
    assert [prompt.model for prompt in server.engine.prompts] == ["gpt-4o", "gpt-4o-mini"]


async def test_a_setting_keeps_a_chain_on_its_model(start_server: StartServer) -> None:
    config = Config(chains=ChainSettings(require_same_model=True))
    async with start_server(config=config) as server:
        first = await server.client.responses.create(model="gpt-4o", input="hi")
        with pytest.raises(BadRequestError) as refusal:
            await server.client.responses.create(
                model="gpt-4o-mini", input="again", previous_response_id=first.id
            )
        assert refusal.value.param == "model"
        assert refusal.value.code == "model_mismatch"
        assert "'gpt-4o'" in refusal.value.message
        await server.client.responses.create(model="gpt-4o", input="again", previous_response_id=first.id)


@proves("P.dialects")
async def test_a_chain_may_move_between_engines_of_different_dialects(
    start_server: StartServer,
) -> None:
    other = ScriptedUpstream(name="other", dialect="responses")
    async with start_server(routes={"other": other}) as server:
        first = await server.client.responses.create(model="m", input="one")
        second = await server.client.responses.create(
            model="other", input="two", previous_response_id=first.id
        )
        await server.client.responses.create(model="m", input="three", previous_response_id=second.id)
        assert [item["type"] for item in server.seen(-1) if "type" in item] == []
        assert len(server.seen()) == 5
        assert other.prompts[0].options["store"] is False


@proves("3.2.store_false", "3.2.42")
async def test_store_false_is_not_there_afterwards_but_reads_its_chain(server: RunningServer) -> None:
    first = await server.client.responses.create(model="m", input="kept")
    second = await server.client.responses.create(
        model="m", input="not kept", previous_response_id=first.id, store=False
    )
    assert len(server.seen()) == 3
    with pytest.raises(BadRequestError) as refusal:
        await server.client.responses.create(model="m", input="and?", previous_response_id=second.id)
    assert refusal.value.code == "previous_response_not_found"
    with pytest.raises(NotFoundError):
        await server.client.responses.retrieve(second.id)


@proves("3.3.unknown", "P.unknown_parent")
@pytest.mark.parametrize("unknown", ["resp_" + "0" * 50, "resp_short", "resp_" + "g" * 50])
async def test_an_unknown_parent_is_refused_before_any_model_is_asked(
    server: RunningServer, unknown: str
) -> None:
    with pytest.raises(BadRequestError) as refusal:
        await server.client.responses.create(model="m", input="hi", previous_response_id=unknown)
    assert refusal.value.body == {
        "message": f"Previous response with id '{unknown}' not found.",
        "type": "invalid_request_error",
        "param": "previous_response_id",
        "code": "previous_response_not_found",
    }
    assert server.engine.prompts == []


@proves("P.follow_up")
async def test_a_follow_up_in_the_same_moment_finds_its_parent(server: RunningServer) -> None:
    """1,000 times, many at once: the end is told when the turn can be continued, and not before."""

    async def pair(number: int) -> str:
        stream = await server.client.responses.create(model="m", input=f"n{number}", stream=True)
        async for event in stream:
            if event.type == "response.completed":
                follow_up = await server.client.responses.create(
                    model="m", input="go on", previous_response_id=event.response.id
                )
        return follow_up.output_text

    for batch in range(20):
        texts = await asyncio.gather(*(pair(batch * 50 + number) for number in range(50)))
        assert texts == ["3: go on"] * 50


@proves("3.2.40", "3.2.deleted", "P.deleted_parent")
async def test_a_deleted_turn_is_absent_and_everything_else_is_whole(server: RunningServer) -> None:
    ids: list[str] = []
    for number in range(4):
        turn = await server.client.responses.create(
            model="m",
            input=f"turn {number}",
            previous_response_id=ids[-1] if ids else None,
        )
        ids.append(turn.id)
    await server.client.responses.delete(ids[1])
    await server.client.responses.create(model="m", input="now", previous_response_id=ids[3])
    said = [content for role, content in told(server.seen()) if role == "user"]
    assert said == ["turn 0", "turn 2", "turn 3", "now"]
    assert (await server.client.responses.retrieve(ids[3])).id == ids[3]
    with pytest.raises(NotFoundError):
        await server.client.responses.retrieve(ids[1])
    with pytest.raises(BadRequestError):
        await server.client.responses.create(model="m", input="now", previous_response_id=ids[1])


@proves("1.1.3")
async def test_cascade_deletes_the_subtree(server: RunningServer) -> None:
    root = await server.client.responses.create(model="m", input="root")
    left = await server.client.responses.create(model="m", input="left", previous_response_id=root.id)
    leaf = await server.client.responses.create(model="m", input="leaf", previous_response_id=left.id)
    right = await server.client.responses.create(model="m", input="right", previous_response_id=root.id)
    reply = await server.http.delete(f"/responses/{left.id}?cascade=true")
    assert reply.json()["deleted"] is True
    assert set(reply.json()["deleted_ids"]) == {left.id, leaf.id}
    for gone in (left.id, leaf.id):
        with pytest.raises(NotFoundError):
            await server.client.responses.retrieve(gone)
    await server.client.responses.retrieve(right.id)


async def test_a_subtree_in_which_a_turn_is_made_is_not_deleted(start_server: StartServer) -> None:
    gate = Gate()
    gate.open.set()
    async with start_server(engine=gate.engine) as server:
        root = await server.client.responses.create(model="m", input="root")
        middle = await server.client.responses.create(model="m", input="middle", previous_response_id=root.id)
        gate.open.clear()
        leaf = await server.client.responses.create(
            model="m", input="leaf", previous_response_id=middle.id, background=True
        )
        refused = await server.http.delete(f"/responses/{root.id}?cascade=true")
        assert refused.status_code == 400
        assert "in-flight" in refused.json()["error"]["message"]
        gate.open.set()
        assert (await ended(server, leaf.id)).status == "completed"
        deleted = (await server.http.delete(f"/responses/{root.id}?cascade=true")).json()["deleted_ids"]
        assert set(deleted) == {root.id, middle.id, leaf.id}


async def test_what_is_deleted_while_it_is_continued_does_not_come_back(start_server: StartServer) -> None:
    gate = Gate()
    gate.open.set()
    async with start_server(engine=gate.engine) as server:
        root = await server.client.responses.create(model="m", input="secret")
        gate.open.clear()
        child = await server.client.responses.create(
            model="m", input="child", previous_response_id=root.id, background=True
        )
        await server.client.responses.delete(root.id)
        gate.open.set()
        await ended(server, child.id)
        await server.client.responses.create(model="m", input="now", previous_response_id=child.id)
        said = [content for role, content in told(server.seen()) if role == "user"]
        assert said == ["child", "now"]
        with pytest.raises(BadRequestError) as gone:
            await server.client.responses.create(model="m", input="now", previous_response_id=root.id)
        assert gone.value.code == "previous_response_not_found"


async def test_what_is_deleted_while_it_is_read_is_not_remembered(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = await server.client.responses.create(model="m", input="secret")
    child = await server.client.responses.create(model="m", input="child", previous_response_id=root.id)
    cache = PrefixCache(100_000)
    history = History(server.store, cache)
    load_chain = server.store.load_chain

    async def overtaken(project: str, turn_id: str) -> Sequence[Turn]:
        turns = await load_chain(project, turn_id)
        await server.store.delete(project, root.id)
        history.forget(project, root.id)
        return turns

    monkeypatch.setattr(server.store, "load_chain", overtaken)
    link = await history.resolve("default", child.id, "chat")
    assert link is not None
    assert cache.bytes == 0


def calls_then_answers(*names: str) -> ScriptedUpstream:
    def script(prompt: Any) -> Any:
        if any(b'"role":"tool"' in fragment for fragment in prompt.fragments):
            return [TextDelta("sunny"), Finish("stop")]
        calls = [
            ToolCallDelta(index, f"call_{index}", name, '{"city":"Oslo"}') for index, name in enumerate(names)
        ]
        return [*calls, Finish("tool_calls")]

    return ScriptedUpstream(script)


@proves("3.4.46", "P.tools")
async def test_tool_calls_are_chained_with_their_outputs(start_server: StartServer) -> None:
    async with start_server(engine=calls_then_answers("weather", "weather")) as server:
        first = await server.client.responses.create(model="m", input="Weather?", tools=[WEATHER])
        assert [item.type for item in first.output] == ["function_call", "function_call"]
        with pytest.raises(BadRequestError) as refusal:
            await server.client.responses.create(
                model="m",
                previous_response_id=first.id,
                input=[{"type": "function_call_output", "call_id": "call_0", "output": "1"}],
            )
        assert refusal.value.message.endswith("No tool output found for function call call_1.")
        outputs: Any = [
            {"type": "function_call_output", "call_id": f"call_{index}", "output": "sunny"}
            for index in (1, 0)
        ]
        second = await server.client.responses.create(
            model="m", previous_response_id=first.id, input=outputs, tools=[WEATHER]
        )
        assert second.output_text == "sunny"
        roles = [message["role"] for message in server.seen()]
        assert roles == ["user", "assistant", "tool", "tool"]
        assert [call["id"] for call in server.seen()[1]["tool_calls"]] == ["call_0", "call_1"]


@proves("3.4.48", "3.4.item")
async def test_an_item_reference_stands_for_the_stored_item(server: RunningServer) -> None:
    first = await server.client.responses.create(model="m", input="remember this")
    page = await server.client.responses.input_items.list(first.id)
    reference: Any = {"type": "item_reference", "id": page.data[0].id}
    answer: Any = {"id": first.output[0].id}
    await server.client.responses.create(
        model="m", input=[reference, answer, {"role": "user", "content": "so?"}]
    )
    assert told(server.seen()) == [
        ("user", "remember this"),
        ("assistant", first.output_text),
        ("user", "so?"),
    ]
    with pytest.raises(NotFoundError) as refusal:
        await server.client.responses.create(
            model="m", input=[{"type": "item_reference", "id": "msg_" + "0" * 50}]
        )
    assert refusal.value.message.startswith("Error code: 404") or "not found" in refusal.value.message


@proves("1.1.5", "1.1.4", "1.1.input_items")
async def test_input_items_list_the_whole_context_in_pages(server: RunningServer) -> None:
    first = await server.client.responses.create(model="m", input="one")
    second = await server.client.responses.create(model="m", input="two", previous_response_id=first.id)
    newest_first: Any = await server.client.responses.input_items.list(second.id)
    texts = [item.content[0].text for item in newest_first.data]
    assert texts == ["two", "1: one", "one"]
    pages: Any = server.client.responses.input_items.list(second.id, order="asc", limit=1)
    seen = [item.content[0].text async for item in pages]
    assert seen == ["one", "1: one", "two"]
    raw = (await server.http.get(f"/responses/{second.id}/input_items?limit=2&order=asc")).json()
    assert raw["object"] == "list"
    assert (raw["first_id"], raw["last_id"]) == (raw["data"][0]["id"], raw["data"][1]["id"])
    assert raw["has_more"] is True
