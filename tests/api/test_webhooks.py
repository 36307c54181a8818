"""Webhooks as clients know them: endpoints through the official SDK, and what they hear of background responses."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError, InvalidWebhookSignatureError, NotFoundError

from catena.chunks import Finish, TextDelta
from catena.config import Config, ServerSettings, WebhookSettings
from catena.errors import UpstreamError
from catena.ids import TurnIds, new_tree
from catena.store import Turn
from catena.upstream.scripted import ScriptedUpstream
from tests.conformance.proves import proves
from tests.receiver import Receiver, receiver
from tests.running import LIMIT, RunningServer, StartServer, until

PRIVATE = Config(webhooks=WebhookSettings(allow_private=True))
ENDS = ["response.completed", "response.failed", "response.cancelled", "response.incomplete"]
URL = "https://203.0.114.7/hooks"


async def created(server: RunningServer, there: Receiver, *event_types: Any) -> Any:
    wanted: Any = event_types or ENDS
    return await server.client.webhooks.create(name="tests", url=there.url, event_types=wanted)


async def hears(there: Receiver, number: int = 1) -> list[Any]:
    async with asyncio.timeout(LIMIT):
        await there.hears(number)
    return [heard.event for heard in there.heard]


async def ended(server: RunningServer, response_id: str) -> Any:
    async with asyncio.timeout(LIMIT):
        while True:
            response = await server.client.responses.retrieve(response_id)
            if response.status not in ("queued", "in_progress"):
                return response


async def asked(engine: ScriptedUpstream, times: int) -> None:
    """Wait until the engine is asked so many times in all."""
    await until(lambda: len(engine.prompts) >= times)


# Endpoints


@proves("1.5.16")
async def test_the_secret_is_shown_when_it_is_made_and_never_again(server: RunningServer) -> None:
    webhooks = server.client.webhooks
    made = await webhooks.create(name="ours", url=URL, event_types=["response.completed", "response.failed"])
    assert made.object == "webhook_endpoint"
    assert (made.name, made.url) == ("ours", URL)
    assert made.event_types == ["response.completed", "response.failed"]
    assert made.signing_secret.startswith("whsec_")
    assert made.signing_secret_hint == f"whsec_...{made.signing_secret[-4:]}"
    assert made.created_at == made.updated_at
    found = await webhooks.retrieve(made.id)
    assert found.model_dump() == {
        name: value for name, value in made.model_dump().items() if name != "signing_secret"
    }
    for path in (f"/webhook_endpoints/{made.id}", "/webhook_endpoints"):
        assert made.signing_secret not in (await server.http.get(path)).text


@proves("1.5.16")
async def test_endpoints_are_listed_the_newest_first_page_by_page(server: RunningServer) -> None:
    webhooks = server.client.webhooks
    made = [
        await webhooks.create(name=str(number), url=URL, event_types=["response.completed"])
        for number in range(5)
    ]
    page = await webhooks.list(limit=2)
    assert [each.name for each in page.data] == ["4", "3"]
    assert page.has_more
    assert [each.id async for each in await webhooks.list(limit=2)] == [each.id for each in reversed(made)]
    with pytest.raises(BadRequestError, match="after"):
        await webhooks.list(after="we_unknown")


@proves("1.5.16")
async def test_an_update_changes_what_it_names_and_an_empty_one_nothing(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhooks = server.client.webhooks
    made = await webhooks.create(name="old", url=URL, event_types=["response.completed"])
    assert await webhooks.update(made.id, name="old") == await webhooks.retrieve(made.id)
    changed = await webhooks.update(made.id, name="new")
    assert (changed.name, changed.url, changed.event_types) == ("new", URL, ["response.completed"])
    changed = await webhooks.update(made.id, url=URL + "/2", event_types=["response.failed"])
    assert (changed.name, changed.url, changed.event_types) == ("new", URL + "/2", ["response.failed"])
    assert await webhooks.retrieve(made.id) == changed


@proves("1.5.16")
async def test_a_deleted_endpoint_is_gone(server: RunningServer) -> None:
    webhooks = server.client.webhooks
    made = await webhooks.create(name="n", url=URL, event_types=["response.completed"])
    deleted = await webhooks.delete(made.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (made.id, True, "webhook_endpoint.deleted")
    calls: list[Callable[[], Any]] = [
        lambda: webhooks.retrieve(made.id),
        lambda: webhooks.update(made.id, name="x"),
        lambda: webhooks.delete(made.id),
        lambda: webhooks.rotate_secret(made.id),
        lambda: webhooks.test(made.id, event_type="response.completed"),
    ]
    for call in calls:
        with pytest.raises(NotFoundError, match="Webhook endpoint with id"):
            await call()
    assert (await webhooks.list()).data == []


@proves("1.5.16")
async def test_the_event_types_are_those_that_happen_here(server: RunningServer) -> None:
    assert (await server.client.webhooks.event_types.list()).data == ENDS


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "name", "missing_required_parameter"),
        ({"name": "n", "event_types": ENDS}, "url", "missing_required_parameter"),
        ({"name": "n", "url": URL}, "event_types", "missing_required_parameter"),
        ({"name": 1, "url": URL, "event_types": ENDS}, "name", "invalid_type"),
        ({"name": "", "url": URL, "event_types": ENDS}, "name", "empty_string"),
        ({"name": "n", "url": URL, "event_types": []}, "event_types", "empty_array"),
        ({"name": "n", "url": URL, "event_types": ["batch.completed"]}, "event_types[0]", "invalid_value"),
        ({"name": "n", "url": URL, "event_types": ENDS, "secret": "x"}, "secret", "unknown_parameter"),
        ({"name": "n", "url": "ftp://x/", "event_types": ENDS}, "url", "invalid_value"),
        ({"name": "n", "url": "http://127.0.0.1/", "event_types": ENDS}, "url", "invalid_value"),
        ({"name": "n", "url": "http://169.254.169.254/", "event_types": ENDS}, "url", "invalid_value"),
    ],
)
async def test_what_is_no_endpoint_is_refused_by_name(
    server: RunningServer, body: dict[str, Any], param: str, code: str
) -> None:
    reply = await server.post("/webhook_endpoints", body)
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert (error["param"], error["code"]) == (param, code), error
    assert error["type"] == "invalid_request_error"


async def test_an_update_is_held_to_the_same(server: RunningServer) -> None:
    made = await server.client.webhooks.create(name="n", url=URL, event_types=["response.completed"])
    changes: list[dict[str, Any]] = [
        {"url": "http://10.0.0.1/"},
        {"url": ""},
        {"event_types": []},
        {"object": "x"},
    ]
    for change in changes:
        assert (await server.post(f"/webhook_endpoints/{made.id}", change)).status_code == 400
    assert (await server.client.webhooks.retrieve(made.id)).updated_at == made.updated_at


async def test_the_number_of_endpoints_is_bounded(server: RunningServer) -> None:
    body = {"name": "n", "url": URL, "event_types": ["response.completed"]}
    for _ in range(100):
        assert (await server.post("/webhook_endpoints", body)).status_code == 200
    reply = await server.post("/webhook_endpoints", body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "too_many_webhook_endpoints")


async def test_a_key_that_may_only_read_sees_endpoints_and_changes_none(start_server: StartServer) -> None:
    config = Config(server=ServerSettings(api_key="sk-one", read_only_api_key="sk-two"))
    async with start_server(config=config) as server:
        async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="sk-two", max_retries=0) as reader:
            assert (await reader.webhooks.list()).data == []
            with pytest.raises(Exception, match=r"api\.webhooks\.write"):
                await reader.webhooks.create(name="n", url=URL, event_types=["response.completed"])


# What they hear


@proves("5.webhooks")
async def test_the_official_sdk_unwraps_what_is_delivered(start_server: StartServer) -> None:
    async with receiver() as there, start_server(config=PRIVATE) as server:
        endpoint = await created(server, there)
        queued = await server.client.responses.create(model="m", input="hi", background=True)
        await hears(there)
        (heard,) = there.heard
        unwrap = server.client.webhooks.unwrap
        event: Any = unwrap(heard.body, heard.headers, secret=endpoint.signing_secret)
        assert (event.type, event.object, event.data.id) == ("response.completed", "event", queued.id)
        with pytest.raises(InvalidWebhookSignatureError):
            unwrap(heard.body + b" ", heard.headers, secret=endpoint.signing_secret)
        assert heard.headers["webhook-id"].startswith("wh_")
        assert event.id.startswith("evt_")
        response = await server.client.responses.retrieve(event.data.id)
        assert response.status == "completed"
        assert event.created_at >= response.created_at


def failing(_: Any) -> Any:
    yield TextDelta("half")
    yield UpstreamError("The engine broke.")


def waits(_: Any) -> Any:
    yield TextDelta("half")
    yield asyncio.Event()


def too_long(_: Any) -> Any:
    yield TextDelta("half")
    yield Finish("length")


@proves("5.webhooks")
@pytest.mark.parametrize(("script", "status"), [(failing, "failed"), (too_long, "incomplete")])
@pytest.mark.parametrize("store", [True, False])
async def test_every_end_is_told_once(
    start_server: StartServer, script: Any, status: str, store: bool
) -> None:
    async with receiver() as there, start_server(config=PRIVATE, engine=ScriptedUpstream(script)) as server:
        await created(server, there)
        for number in (1, 2):
            queued = await server.client.responses.create(model="m", input="hi", background=True, store=store)
            events = await hears(there, number)
            assert len(events) == number
            assert (events[-1]["type"], events[-1]["data"]) == (f"response.{status}", {"id": queued.id})
            assert (await ended(server, queued.id)).status == status


@proves("5.webhooks")
async def test_a_cancelled_response_is_told_of_as_that(start_server: StartServer) -> None:
    engine = ScriptedUpstream(waits)
    async with receiver() as there, start_server(config=PRIVATE, engine=engine) as server:
        await created(server, there)
        for number in (1, 2):
            queued = await server.client.responses.create(model="m", input="hi", background=True)
            await asked(engine, number)
            for _ in range(2):
                await server.client.responses.cancel(queued.id)
            events = await hears(there, number)
            assert [event["type"] for event in events] == ["response.cancelled"] * number
            assert events[-1]["data"]["id"] == queued.id


async def test_only_what_is_wanted_is_told_and_nothing_of_the_foreground(start_server: StartServer) -> None:
    async with receiver() as there, start_server(config=PRIVATE) as server:
        await created(server, there, "response.failed")
        await server.client.responses.create(model="m", input="hi")
        async for _ in await server.client.responses.create(model="m", input="hi", stream=True):
            pass
        await server.client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        queued = await server.client.responses.create(model="m", input="hi", background=True)
        await ended(server, queued.id)
        wanted = await created(server, there, "response.completed")
        last = await server.client.responses.create(model="m", input="hi", background=True)
        (event,) = await hears(there)
        assert event["data"]["id"] == last.id
        assert wanted.event_types == ["response.completed"]


async def test_a_background_stream_is_told_of_too(start_server: StartServer) -> None:
    async with receiver() as there, start_server(config=PRIVATE) as server:
        await created(server, there)
        stream = await server.client.responses.create(model="m", input="hi", background=True, stream=True)
        events: list[Any] = [event async for event in stream]
        (event,) = await hears(there)
        assert event["data"]["id"] == events[-1].response.id


async def test_what_a_dead_server_left_is_told_of_by_the_next(start_server: StartServer) -> None:
    """Given back when the first server stopped, produced by the second, told by it."""

    async with receiver() as there:
        engine = ScriptedUpstream(waits)
        async with start_server(config=PRIVATE, engine=engine) as server:
            await created(server, there)
            queued = await server.client.responses.create(model="m", input="hi", background=True)
            await until(lambda: engine.prompts)
        assert there.heard == []
        async with start_server(config=PRIVATE):
            (event,) = await hears(there)
            assert (event["type"], event["data"]["id"]) == ("response.completed", queued.id)


async def test_what_a_crash_cut_off_is_told_of_as_failed(start_server: StartServer) -> None:
    now = int(time.time())
    tree = new_tree(now)
    cut_off = Turn(
        project="default",
        id=TurnIds.new(tree, now).turn("resp_"),
        tree=tree,
        status="in_progress",
        model="m",
        created_at=now,
        fields=b'{"background":true}',
    )
    async with receiver() as there:
        async with start_server(config=PRIVATE) as server:
            await created(server, there)
            await server.store.begin(cut_off, owner="dead", lease=1000.0)
        async with start_server(config=PRIVATE) as server:
            (event,) = await hears(there)
            assert (event["type"], event["data"]["id"]) == ("response.failed", cut_off.id)
            assert (await ended(server, cut_off.id)).status == "failed"


# Trying one out, and changing its secret


async def test_a_sample_is_signed_like_the_real_thing(start_server: StartServer) -> None:
    async with receiver(200, 500) as there, start_server(config=PRIVATE) as server:
        endpoint = await created(server, there, "response.completed")
        result = await server.client.webhooks.test(endpoint.id, event_type="response.failed")
        assert (result.object, result.webhook_endpoint_id) == ("webhook_endpoint.test", endpoint.id)
        assert (result.event_type, result.status_code, result.success) == ("response.failed", 200, True)
        (heard,) = there.heard
        event = server.client.webhooks.unwrap(heard.body, heard.headers, secret=endpoint.signing_secret)
        assert event.type == "response.failed"
        result = await server.client.webhooks.test(endpoint.id, event_type="response.failed")
        assert (result.status_code, result.success) == (500, True)
        assert len(there.heard) == 2
        assert (await server.client.webhooks.retrieve(endpoint.id)).updated_at == endpoint.updated_at
        reply = await server.post(f"/webhook_endpoints/{endpoint.id}/test", {"event_type": "batch.failed"})
        assert reply.json()["error"]["param"] == "event_type"


async def test_a_sample_that_cannot_be_delivered_says_why(start_server: StartServer) -> None:
    async with start_server(config=PRIVATE) as server:
        async with receiver() as there:
            endpoint = await created(server, there)
        with pytest.raises(BadRequestError, match="refused the connection") as refusal:
            await server.client.webhooks.test(endpoint.id, event_type="response.failed")
        assert refusal.value.code == "webhook_endpoint_unreachable"
    async with start_server() as server:
        with pytest.raises(BadRequestError, match="not public"):
            await server.client.webhooks.test(endpoint.id, event_type="response.failed")


@pytest.mark.parametrize("keep", [True, False])
async def test_a_rotated_secret_signs_from_now_on_and_the_old_one_if_it_is_kept(
    start_server: StartServer, keep: bool
) -> None:
    async with receiver() as there, start_server(config=PRIVATE) as server:
        webhooks = server.client.webhooks
        endpoint = await created(server, there)
        rotated = await webhooks.rotate_secret(endpoint.id, keep_old_secret_active_for_24_hours=keep)
        assert rotated.id == endpoint.id
        assert rotated.signing_secret != endpoint.signing_secret
        await webhooks.test(endpoint.id, event_type="response.completed")
        (heard,) = there.heard
        assert len(heard.headers["webhook-signature"].split()) == 1 + keep
        webhooks.verify_signature(heard.body, heard.headers, secret=rotated.signing_secret)
        if keep:
            webhooks.verify_signature(heard.body, heard.headers, secret=endpoint.signing_secret)
        else:
            with pytest.raises(InvalidWebhookSignatureError):
                webhooks.verify_signature(heard.body, heard.headers, secret=endpoint.signing_secret)


async def test_a_secret_can_be_rotated_without_a_body(server: RunningServer) -> None:
    made = await server.client.webhooks.create(name="n", url=URL, event_types=["response.completed"])
    reply = await server.http.post(f"/webhook_endpoints/{made.id}/rotate_secret")
    assert reply.status_code == 200
    assert reply.json()["signing_secret"] != made.signing_secret


async def test_no_secret_gets_into_a_log(start_server: StartServer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="catena"):
        async with receiver(500) as there, start_server(config=PRIVATE) as server:
            endpoint = await created(server, there)
            await server.client.responses.create(model="m", input="hi", background=True)
            await hears(there)
            rotated = await server.client.webhooks.rotate_secret(endpoint.id)
            await server.client.webhooks.test(endpoint.id, event_type="response.completed")
    assert "did not hear of" in caplog.text
    for secret in (endpoint.signing_secret, rotated.signing_secret):
        assert secret.removeprefix("whsec_") not in caplog.text
