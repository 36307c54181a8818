"""Items that clients send: which are taken, in what form they are listed again, what the model is given."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from catena.chunks import Boundary, Finish, TextDelta
from catena.upstream.scripted import ScriptedUpstream
from tests.conformance.answers import ANSWERS, TOOLS, engine
from tests.conformance.official import read_item, read_items
from tests.conformance.proves import proves
from tests.conformance.streams import listen
from tests.running import RunningServer, StartServer
from tests.unit.test_wire_items import GOOD

NEWER_THAN_THE_SDK = {"agent_message", "compaction_trigger", "multi_agent_call", "multi_agent_call_output"}
"""Kinds that the SDK has as input but not in its lists."""

CLIENT_RUN = {"function", "custom_tool", "shell", "local_shell", "apply_patch", "computer", "tool_search"}


def pair(kind: str) -> list[dict[str, Any]]:
    """An item of this kind, with the other half if it is one of a pair."""
    item = {"type": kind, **GOOD[kind]}
    name = kind.removesuffix("_output").removesuffix("_call")
    if name not in CLIENT_RUN:
        return [item]
    halves = (f"{name}_call", f"{name}_output" if name == "tool_search" else f"{name}_call_output")
    call, output = ({"type": half, **GOOD[half]} for half in halves)
    call["call_id"] = "call_1"
    output.pop("id", None)
    # The shell of old names its call by the id of the output.
    return [call, {**output, "id" if name == "local_shell" else "call_id": "call_1"}]


@proves("2.3.table", "1.1.4", "2.3.32")
@pytest.mark.parametrize("kind", [kind for kind in GOOD if kind != "item_reference"])
async def test_every_kind_of_item_is_taken_and_listed(start_server: StartServer, kind: str) -> None:
    items = pair(kind)
    tools = [{"type": "tool_search"}] if kind.startswith("tool_search") else []
    async with start_server(engine=engine(ANSWERS["text"], dialect="responses")) as server:
        said = {"role": "assistant", "content": "x"}
        # What asks for a compaction comes last.
        last = kind == "compaction_trigger"
        asked = {"model": "m", "tools": tools, "input": [said, *items] if last else [*items, said]}
        reply = await server.post("/responses", asked)
        assert reply.status_code == 200, reply.text
        page = (await server.http.get(f"/responses/{reply.json()['id']}/input_items?order=asc")).json()
        assert page.keys() == {"object", "data", "first_id", "last_id", "has_more"}
        listed = page["data"][1:] if last else page["data"][:-1]
        for sent, item in zip(items, listed, strict=True):
            told = {name: item[name] for name in sent if sent[name] is not None}
            assert told == {name: value for name, value in sent.items() if value is not None}
            if kind not in NEWER_THAN_THE_SDK:
                read_item(msgspec.json.encode(item))
        if kind not in NEWER_THAN_THE_SDK:
            read_items(msgspec.json.encode(page))


@proves("2.3.newer", "OR.extensions")
@pytest.mark.parametrize(
    "item", [{"type": "acme:note", "text": "x"}, {"type": "telepathy_call", "call_id": "c", "action": {}}]
)
async def test_items_of_unknown_kinds_are_carried_whole(
    start_server: StartServer, item: dict[str, Any]
) -> None:
    async with start_server(engine=engine(ANSWERS["text"], dialect="responses")) as server:
        first = await server.post(
            "/responses", {"model": "m", "input": [item, {"role": "user", "content": "x"}]}
        )
        await server.client.responses.create(
            model="m", input="go on", previous_response_id=first.json()["id"]
        )
        assert item in server.seen()
        page = await server.http.get(f"/responses/{first.json()['id']}/input_items?order=asc")
        kept = page.json()["data"][0]
        assert {name: kept[name] for name in item} == item


@proves("2.3.28", "2.3.29")
async def test_strings_are_messages_and_their_parts(server: RunningServer) -> None:
    plain = await server.client.responses.create(model="m", input="hello")
    (message,) = (await server.client.responses.input_items.list(plain.id)).data
    assert message.to_dict() == {
        "id": message.id,
        "type": "message",
        "role": "user",
        "status": "completed",
        "content": [{"type": "input_text", "text": "hello"}],
    }
    roles = ("user", "system", "developer", "assistant")
    spoken: Any = [{"role": role, "content": role} for role in roles]
    several = await server.client.responses.create(model="m", input=spoken)
    page = server.client.responses.input_items.list(several.id, order="asc")
    kinds = [(item.role, item.content[0].type) async for item in page]  # type: ignore[union-attr, index]
    text, said = "input_text", "output_text"
    assert kinds == [("user", text), ("system", text), ("developer", text), ("assistant", said)]


@proves("2.3.30")
async def test_encrypted_reasoning_is_given_and_goes_back_to_its_engine(start_server: StartServer) -> None:
    answer = [Boundary(encrypted_content="sealed"), TextDelta("a"), Finish("stop")]
    async with start_server(engine=engine(answer, dialect="responses")) as server:
        told = await listen(server)
        (done, _) = [event["item"] for event in told if event["type"] == "response.output_item.done"]
        assert done["encrypted_content"] == "sealed"
        assert "reasoning.encrypted_content" in server.engine.prompts[0].options["include"]
        await server.client.responses.create(
            model="m", input="go on", previous_response_id=told[-1]["response"]["id"]
        )
        assert {"type": "reasoning", "summary": [], "encrypted_content": "sealed"} in server.seen()


@proves("2.3.31")
async def test_the_phase_of_a_message_goes_back_to_the_model(start_server: StartServer) -> None:
    async with start_server(engine=engine(ANSWERS["phases"], dialect="responses")) as server:
        first = await server.client.responses.create(model="m", input="?")
        await server.client.responses.create(model="m", input="go on", previous_response_id=first.id)
        phases = [item["phase"] for item in server.seen() if "phase" in item]
        assert phases == ["commentary", "final_answer"]


@proves("3.4.49")
@pytest.mark.parametrize("with_ids", [True, False])
async def test_output_may_be_sent_as_input(start_server: StartServer, with_ids: bool) -> None:
    async with start_server(engine=engine(ANSWERS["parallel_calls"])) as server:
        first = await server.post("/responses", {"model": "m", "input": "?", "tools": TOOLS, "store": False})
        output = first.json()["output"]
        if not with_ids:
            output = [{name: item[name] for name in item if name != "id"} for item in output]
        results = [
            {"type": "function_call_output", "call_id": item["call_id"], "output": "1"}
            for item in output
            if item["type"] == "function_call"
        ]
        question = {"role": "user", "content": "?"}
        reply = await server.post(
            "/responses", {"model": "m", "input": [question, *output, *results], "tools": TOOLS}
        )
        assert reply.status_code == 200, reply.text
        assert [message["role"] for message in server.seen()] == ["user", "assistant", "tool", "tool"]


@proves("3.4.48")
async def test_a_reference_stands_for_any_stored_item(server: RunningServer) -> None:
    one = await server.client.responses.create(model="m", input="one")
    two = await server.client.responses.create(model="m", input="two")
    items: Any = [
        {"type": "item_reference", "id": one.output[0].id},
        {"id": two.output[0].id},
        {"role": "user", "content": "so?"},
    ]
    reply = await server.post("/responses", {"model": "m", "input": items})
    assert reply.status_code == 200
    assert [message["content"] for message in server.seen()] == [one.output_text, two.output_text, "so?"]


@proves("3.4.follower")
async def test_what_followed_reasoning_may_come_without_it(server: RunningServer) -> None:
    reply = await server.post(
        "/responses",
        {
            "model": "m",
            "input": [
                {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "call_1", "output": "1"},
            ],
        },
    )
    assert reply.status_code == 200
    assert [message["role"] for message in server.seen()] == ["assistant", "tool"]


@proves("3.4.46.async")
async def test_a_call_that_is_asynchronous_may_wait_and_an_output_may_answer_none(
    start_server: StartServer,
) -> None:
    async with start_server(engine=engine(ANSWERS["text"], dialect="responses")) as server:
        call = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}", "async": True}
        first = await server.post(
            "/responses", {"model": "m", "input": [call, {"role": "user", "content": "?"}]}
        )
        assert first.status_code == 200, first.text
        notice = {"type": "function_call_output", "name": "f", "output": "50 %"}
        late = {"type": "function_call_output", "call_id": "call_1", "output": "done"}
        for item in (notice, late):
            body = {"model": "m", "input": [item], "previous_response_id": first.json()["id"]}
            assert (await server.post("/responses", body)).status_code == 200


@proves("3.1.38.empty", "3.1.33")
@pytest.mark.parametrize("nothing", ["", []])
async def test_an_empty_input_goes_on_with_what_there_is(server: RunningServer, nothing: Any) -> None:
    first = await server.client.responses.create(model="m", input="one")
    await server.client.responses.create(model="m", input=nothing, previous_response_id=first.id)
    assert [message["content"] for message in server.seen()] == ["one", "1: one"]


@proves("3.1.33", "OR.context", "P.dialects")
@pytest.mark.parametrize("dialect", ["chat", "responses"])
async def test_earlier_input_then_earlier_output_then_the_new_input(
    start_server: StartServer, dialect: Any
) -> None:
    async with start_server(engine=ScriptedUpstream(dialect=dialect)) as server:
        parent = None
        for word in ("one", "two", "three"):
            turn = await server.client.responses.create(model="m", input=word, previous_response_id=parent)
            parent = turn.id
        roles = ["user", "assistant", "user", "assistant", "user"]
        assert [message["role"] for message in server.seen()] == roles
        assert [text_of(message) for message in server.seen()][::2] == ["one", "two", "three"]


def text_of(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


@proves("3.1.37")
async def test_the_ancestors_count_as_input(server: RunningServer) -> None:
    first = await server.client.responses.create(model="m", input="one")
    second = await server.client.responses.create(model="m", input="two", previous_response_id=first.id)
    alone = await server.client.responses.create(model="m", input="two")
    assert second.usage is not None
    assert alone.usage is not None
    assert second.usage.input_tokens > alone.usage.input_tokens
