"""Which turns can be continued, and what is answered where one cannot (spec §3.2-§3.4)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from openai import BadRequestError

from catena.access import Keys
from catena.access.keys import plain_key
from catena.chunks import Finish, TextDelta
from catena.errors import UpstreamError
from catena.upstream.scripted import ScriptedUpstream, echo_script
from catena.web.gate import Gate
from tests.conformance.answers import ANSWERS, ENDINGS, TOOLS, engine
from tests.conformance.proves import proves
from tests.conformance.streams import listen
from tests.running import LIMIT, RunningServer, StartServer

UNKNOWN = "resp_" + "0" * 16 + "00" + "65000000" + "0" * 24


async def continued(server: RunningServer, parent: str) -> list[Any]:
    """What the model sees when a turn is continued."""
    server.engine.script = echo_script
    await server.client.responses.create(model="m", input="go on", previous_response_id=parent)
    return [message["content"] for message in server.seen()]


@proves("3.2.completed", "3.2.incomplete", "3.2.reasoning_only", "P.interrupted")
@pytest.mark.parametrize(
    ("answer", "carried"),
    [
        (ANSWERS["text"], ["abc"]),
        (ENDINGS["length"], ["and so"]),
        (ENDINGS["content_filter"], ["how to"]),
        (ENDINGS["length_in_reasoning"], []),
        (ENDINGS["length_in_call"], ["see"]),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_a_turn_produced_is_carried_however_it_ended(
    start_server: StartServer, answer: Any, carried: list[str], stream: bool
) -> None:
    async with start_server(engine=engine(answer)) as server:
        if stream:
            parent = (await listen(server, tools=TOOLS))[-1]["response"]["id"]
        else:
            parent = (await server.client.responses.create(model="m", input="?", tools=TOOLS)).id
        assert await continued(server, parent) == ["?", *carried, "go on"]


@proves("3.2.failed")
async def test_a_failed_turn_can_be_continued(start_server: StartServer) -> None:
    async with start_server(engine=engine([TextDelta("half"), UpstreamError("gone")])) as server:
        failed = (await listen(server))[-1]["response"]
        assert failed["status"] == "failed"
        assert await continued(server, failed["id"]) == ["?", "half", "go on"]


@proves("3.2.running")
async def test_a_turn_under_way_is_not_ready(start_server: StartServer) -> None:
    go_on = asyncio.Event()

    def script(_: Any) -> Any:
        yield TextDelta("half")
        yield go_on
        yield Finish("stop")

    async with start_server(engine=ScriptedUpstream(script)) as server, asyncio.timeout(LIMIT):
        stream = await server.client.responses.create(model="m", input="?", stream=True)
        async for event in stream:
            if event.type == "response.created":
                running = event.response.id
                break
        with pytest.raises(BadRequestError) as refusal:
            await continued(server, running)
        assert refusal.value.body == {
            "message": f"Previous response with id '{running}' is still in progress.",
            "type": "invalid_request_error",
            "param": "previous_response_id",
            "code": "previous_response_not_ready",
        }
        go_on.set()
        [event async for event in stream]
        assert await continued(server, running) == ["?", "half", "go on"]


@proves("3.2.40", "3.2.deleted", "3.3.not_found", "1.1.3", "1.1.delete")
async def test_a_deleted_turn_is_gone(server: RunningServer) -> None:
    root = await server.client.responses.create(model="m", input="one")
    tip = await server.client.responses.create(model="m", input="two", previous_response_id=root.id)
    deletion = await server.http.delete(f"/responses/{root.id}")
    assert (deletion.status_code, deletion.json()) == (
        200,
        {"id": root.id, "object": "response", "deleted": True},
    )
    with pytest.raises(BadRequestError) as refusal:
        await continued(server, root.id)
    assert refusal.value.code == "previous_response_not_found"
    for attempt in (
        server.http.get(f"/responses/{root.id}"),
        server.http.get(f"/responses/{root.id}?stream=true"),
        server.http.get(f"/responses/{root.id}/input_items"),
        server.http.delete(f"/responses/{root.id}"),
    ):
        reply = await attempt
        assert reply.status_code == 404
        assert reply.json()["error"] == {
            "message": f"Response with id '{root.id}' not found.",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }
    assert await continued(server, tip.id) == ["two", "3: two", "go on"]


@proves("3.3.unknown", "3.3.type", "3.3.prefix", "3.3.characters", "3.3.conversation", "P.unknown_parent")
@pytest.mark.parametrize(
    ("given", "message", "param", "code"),
    [
        (
            {"previous_response_id": UNKNOWN},
            f"Previous response with id '{UNKNOWN}' not found.",
            "previous_response_id",
            "previous_response_not_found",
        ),
        (
            {"previous_response_id": {"id": UNKNOWN}},
            "Invalid type for 'previous_response_id': expected a string, but got an object instead.",
            "previous_response_id",
            "invalid_type",
        ),
        (
            {"previous_response_id": "gen-123"},
            "Invalid 'previous_response_id': 'gen-123'. Expected an ID that begins with 'resp'.",
            "previous_response_id",
            "invalid_id_prefix",
        ),
        (
            {"previous_response_id": "resp_ä"},
            (
                "Invalid 'previous_response_id': 'resp_ä'. Expected an ID that contains letters, numbers, "
                "underscores, or dashes, but this value contained additional characters."
            ),
            "previous_response_id",
            "invalid_value",
        ),
        (
            {"previous_response_id": UNKNOWN, "conversation": "conv_1"},
            "Mutually exclusive parameters: ''. Ensure you are only providing one of: 'pre..._id' or 'conversation'.",
            None,
            "mutually_exclusive_parameters",
        ),
    ],
)
async def test_a_parent_that_cannot_be_is_refused_in_the_official_words(
    server: RunningServer, given: dict[str, Any], message: str, param: str | None, code: str
) -> None:
    reply = await server.post("/responses", {"model": "m", "input": "?", **given})
    assert reply.status_code == 400
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    assert reply.json()["error"] == error
    assert server.engine.prompts == []


@proves("3.1.38", "3.3.empty_input")
@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        ({}, "Missing required parameter: 'input'.", "missing_required_parameter"),
        ({"input": None}, "Invalid type for 'input'", "invalid_type"),
        (
            {"previous_response_id": UNKNOWN},
            "Missing required parameter: 'input'.",
            "missing_required_parameter",
        ),
        (
            {"input": "", "previous_response_id": UNKNOWN},
            f"Previous response with id '{UNKNOWN}' not found.",
            "previous_response_not_found",
        ),
        (
            {"input": []},
            "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation' must be provided.",
            "missing_required_parameter",
        ),
    ],
)
async def test_there_must_be_something_to_answer(
    server: RunningServer, body: dict[str, Any], message: str, code: str
) -> None:
    reply = await server.post("/responses", {"model": "m", **body})
    assert reply.status_code == 400
    assert reply.json()["error"]["message"].startswith(message)
    assert reply.json()["error"]["code"] == code


@proves("5.10")
async def test_a_turn_under_way_cannot_be_deleted(start_server: StartServer) -> None:
    go_on = asyncio.Event()

    def script(_: Any) -> Any:
        yield TextDelta("half")
        yield go_on
        yield Finish("stop")

    async with start_server(engine=ScriptedUpstream(script)) as server, asyncio.timeout(LIMIT):
        stream = await server.client.responses.create(model="m", input="?", stream=True)
        async for event in stream:
            if event.type == "response.created":
                running = event.response.id
                break
        with pytest.raises(BadRequestError, match=r"Cannot delete an in-flight response\."):
            await server.client.responses.delete(running)
        go_on.set()
        [event async for event in stream]
        await server.client.responses.delete(running)


# Whole pairs


@proves("3.4.function_call", "3.4.shell_call", "3.4.output", "3.4.reasoning", "3.4.duplicate", "3.4.item")
@pytest.mark.parametrize(
    ("items", "status", "message"),
    [
        (
            [{"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}],
            400,
            "No tool output found for function call call_1.",
        ),
        (
            [{"type": "shell_call", "call_id": "call_1", "action": {"commands": ["ls"]}}],
            400,
            "No tool output found for shell call call_1.",
        ),
        (
            [{"type": "function_call_output", "call_id": "call_1", "output": "x"}],
            400,
            "No tool call found for function call output with call_id call_1.",
        ),
        (
            [{"type": "reasoning", "id": "rs_1", "summary": []}, {"role": "user", "content": "x"}],
            400,
            "Item 'rs_1' of type 'reasoning' was provided without its required following item.",
        ),
        (
            [{"id": "msg_1", "role": "user", "content": "x"}] * 2,
            400,
            "Duplicate item found with id msg_1. Remove duplicate items from your input and try again.",
        ),
        (
            [{"type": "item_reference", "id": "msg_1"}],
            404,
            (
                "Item with id 'msg_1' not found. Items are not persisted when `store` is set to false. Try again "
                "with `store` set to true, or remove this item from your input."
            ),
        ),
    ],
)
async def test_a_context_with_halves_is_refused_in_the_official_words(
    server: RunningServer, items: list[Any], status: int, message: str
) -> None:
    reply = await server.post("/responses", {"model": "m", "input": items})
    assert reply.status_code == status
    error = {"message": message, "type": "invalid_request_error", "param": "input", "code": None}
    assert reply.json()["error"] == error
    assert server.engine.prompts == []


@proves("3.4.46", "P.tools")
async def test_every_parallel_call_needs_its_output(start_server: StartServer) -> None:
    async with start_server(engine=engine(ANSWERS["parallel_calls"])) as server:
        parent = await server.client.responses.create(model="m", input="?", tools=TOOLS)
        outputs: list[Any] = [
            {"type": "function_call_output", "call_id": f"call_{number}", "output": str(number)}
            for number in (2, 1)
        ]
        for some in ([], outputs[:1], outputs[1:]):
            items = [*some, {"role": "user", "content": "go on"}]
            body = {"model": "m", "input": items, "previous_response_id": parent.id}
            reply = await server.post("/responses", body)
            assert reply.status_code == 400
            assert reply.json()["error"]["message"].startswith("No tool output found for function call call_")
        body = {"model": "m", "input": outputs, "previous_response_id": parent.id}
        assert (await server.post("/responses", body)).status_code == 200
        said = [(message["role"], message["content"]) for message in server.seen()]
        assert said == [("user", "?"), ("assistant", "see"), ("tool", "2"), ("tool", "1")]


@proves("3.4.47")
async def test_an_item_that_the_chain_has_already_is_a_duplicate(server: RunningServer) -> None:
    first = await server.client.responses.create(model="m", input="one")
    second = await server.client.responses.create(model="m", input="two", previous_response_id=first.id)
    for again in (first.output[0].to_dict(), {"id": "msg_own", "role": "user", "content": "x"}):
        body = {"model": "m", "input": [again], "previous_response_id": second.id}
        reply = await server.post("/responses", body)
        if reply.status_code == 200:  # an id of the client's own is new the first time only
            body["previous_response_id"] = reply.json()["id"]
            reply = await server.post("/responses", body)
        assert reply.status_code == 400
        message = f"Duplicate item found with id {again['id']}. "
        assert reply.json()["error"]["message"].startswith(message)


# Projects


@proves("3.2.other_project")
async def test_another_projects_turns_are_unknown_everywhere(server: RunningServer) -> None:
    server.app.gate = Gate(Keys([plain_key("sk-a", "a"), plain_key("sk-b", "b")]))
    ours, theirs = (server.client.with_options(api_key=key) for key in ("sk-a", "sk-b"))
    secret = await ours.responses.create(model="m", input="secret")
    kept = await ours.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "secret"}], store=True
    )
    item: Any = [{"type": "item_reference", "id": secret.output[0].id}]
    completions = theirs.chat.completions
    for attempt, status in (
        (theirs.responses.retrieve(secret.id), 404),
        (theirs.responses.delete(secret.id), 404),
        (theirs.responses.input_items.list(secret.id), 404),
        (theirs.responses.create(model="m", input="?", previous_response_id=secret.id), 400),
        (theirs.responses.create(model="m", input=item), 404),
        (theirs.responses.create(model="m", input="?", previous_response_id=kept.id), 400),
        (completions.retrieve(kept.id), 404),
        (completions.update(kept.id, metadata={}), 404),
        (completions.delete(kept.id), 404),
        (completions.messages.list(kept.id), 404),
    ):
        with pytest.raises(Exception, match="not found") as refusal:
            await attempt
        assert refusal.value.status_code == status  # type: ignore[attr-defined]  # an APIStatusError
    assert (await completions.list()).data == []
    assert len(server.engine.prompts) == 2
    assert (await ours.responses.retrieve(secret.id)).id == secret.id
    assert (await ours.chat.completions.retrieve(kept.id)).id == kept.id
