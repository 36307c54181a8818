"""Statuses, headers and exceptions, as the official SDK meets them (spec §1, §10)."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest
from openai import (
    APIStatusError,
    AsyncOpenAI,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
)

from catena.chunks import Chunk, Finish, TextDelta
from catena.config import Config, ServerSettings
from catena.errors import UpstreamError
from catena.server import build_app
from catena.upstream.routing import Router
from catena.upstream.scripted import ScriptedUpstream
from tests.conformance.answers import ANSWERS, engine
from tests.conformance.official import read_items, read_response
from tests.conformance.proves import proves
from tests.conformance.streams import events_in
from tests.running import LIMIT, RunningServer, StartServer

UNKNOWN = "resp_" + "0" * 50


@proves("1.1.1", "1.1.create", "1.1.retrieve", "1.1.delete", "1.1.4", "OR.http")
async def test_success_is_200_and_json(server: RunningServer) -> None:
    created = await server.post("/responses", {"model": "m", "input": "?"})
    path = f"/responses/{created.json()['id']}"
    retrieved = await server.http.get(path)
    items = await server.http.get(f"{path}/input_items")
    deleted = await server.http.delete(path)
    for reply in (created, retrieved, items, deleted):
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "application/json"
    assert read_response(created.content) == read_response(retrieved.content)
    assert items.json().keys() == {"object", "data", "first_id", "last_id", "has_more"}
    read_items(items.content)


@proves("1.1.input_items", "1.1.4")
async def test_input_items_come_in_pages(server: RunningServer) -> None:
    spoken: Any = [{"role": "user", "content": str(number)} for number in range(25)]
    response = await server.client.responses.create(model="m", input=spoken)
    path = f"/responses/{response.id}/input_items"
    newest = (await server.http.get(path)).json()
    assert [item["content"][0]["text"] for item in newest["data"]] == [str(n) for n in range(24, 4, -1)]
    assert newest["has_more"] is True
    rest = (await server.http.get(path, params={"after": newest["last_id"], "limit": 100})).json()
    assert [item["content"][0]["text"] for item in rest["data"]] == ["4", "3", "2", "1", "0"]
    assert rest["has_more"] is False
    every = server.client.responses.input_items.list(response.id, order="asc", limit=7)
    assert [item.content[0].text async for item in every] == [str(n) for n in range(25)]  # type: ignore[union-attr, index]
    beyond = (await server.http.get(path, params={"after": rest["last_id"]})).json()
    assert beyond == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


@proves("1.1.input_items", "10.2.bounds", "10.2.invalid_type", "10.2.invalid_value")
@pytest.mark.parametrize(
    ("query", "param", "code", "message"),
    [
        (
            "limit=0",
            "limit",
            "integer_below_min_value",
            "Invalid 'limit': integer below minimum value. Expected a value >= 1, but got 0 instead.",
        ),
        (
            "limit=1000",
            "limit",
            "integer_above_max_value",
            "Invalid 'limit': integer above maximum value. Expected a value <= 100, but got 1000 instead.",
        ),
        (
            "limit=x",
            "limit",
            "invalid_type",
            "Invalid type for 'limit': expected an integer, but got a string instead.",
        ),
        (
            "order=up",
            "order",
            "invalid_value",
            "Invalid value: 'up'. Supported values are: 'asc' and 'desc'.",
        ),
        ("after=msg_9", "after", "invalid_value", "Invalid 'after': no item with id 'msg_9' in this list."),
        (
            "include[]=x",
            "include[0]",
            "invalid_value",
            "Invalid value: 'x'. Supported values are: 'file_search",
        ),
    ],
)
async def test_a_wrong_query_is_refused(
    server: RunningServer, query: str, param: str, code: str, message: str
) -> None:
    response = await server.client.responses.create(model="m", input="?")
    reply = await server.http.get(f"/responses/{response.id}/input_items?{query}")
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert (error["param"], error["code"]) == (param, code)
    assert error["message"].startswith(message)


@proves("1.1.8", "1.1.retrieve")
@pytest.mark.parametrize("name", ["include", "include[]", "include%5B%5D"])
async def test_an_array_in_a_query_may_have_brackets(server: RunningServer, name: str) -> None:
    response = await server.client.responses.create(model="m", input="?")
    path = f"/responses/{response.id}"
    good = await server.http.get(f"{path}?{name}=reasoning.encrypted_content&{name}=file_search_call.results")
    assert good.status_code == 200
    bad = await server.http.get(f"{path}?{name}=reasoning.encrypted_content&{name}=x")
    assert bad.json()["error"]["param"] == "include[1]"
    await server.client.responses.retrieve(response.id, include=["message.output_text.logprobs"])


@proves("1.1.2", "10.2.missing_required_parameter")
async def test_a_model_is_required(server: RunningServer) -> None:
    reply = await server.post("/responses", {"input": "?"})
    assert reply.status_code == 400
    assert reply.json()["error"] == {
        "message": "Missing required parameter: 'model'.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "missing_required_parameter",
    }


# Models


@pytest.mark.parametrize("path", ["qwen/qwen3:8b", "qwen%2Fqwen3%3A8b"])
async def test_the_name_of_a_model_may_have_slashes_in_it(server: RunningServer, path: str) -> None:
    reply = await server.http.get(f"/models/{path}")
    assert (reply.status_code, reply.json()["id"]) == (200, "qwen/qwen3:8b")
    assert (await server.client.models.retrieve("qwen/qwen3:8b")).id == "qwen/qwen3:8b"
    assert (await server.http.delete(f"/models/{path}")).status_code == 405
    for nothing in ("/models/", "/models/qwen/", "/models/qwen//qwen3:8b"):
        assert (await server.http.get(nothing)).status_code == 404


@proves("1.4.14", "1.4.15.default", "1.4.14.delete")
async def test_models_are_those_that_are_mapped_and_those_of_the_engines(start_server: StartServer) -> None:
    async with start_server(routes={"gpt-4o": ScriptedUpstream(), "claude-*": ScriptedUpstream()}) as server:
        listed = (await server.http.get("/models")).json()
        assert listed["object"] == "list"
        assert [model["id"] for model in listed["data"]] == ["gpt-4o", "scripted-1"]
        for model in listed["data"]:
            assert (await server.client.models.retrieve(model["id"])).to_dict() == model
            assert model.keys() == {"id", "object", "created", "owned_by"}
            assert (model["object"], type(model["created"])) == ("model", int)
        await server.client.responses.create(model="anything", input="?")
        assert server.engine.prompts[-1].model == "anything"
        with pytest.raises(APIStatusError) as refusal:
            await server.client.models.delete("gpt-4o")
        assert refusal.value.status_code == 405


@proves("1.4.15", "10.1.404", "10.1.400")
async def test_an_unknown_model_is_400_on_responses_and_404_elsewhere(server: RunningServer) -> None:
    nobody = httpx2.ASGITransport(app=build_app(Config(), server.store, Router({})))
    client = AsyncOpenAI(
        base_url="http://catena/v1", api_key="unused", http_client=httpx2.AsyncClient(transport=nobody)
    )
    with pytest.raises(BadRequestError) as refused:
        await client.responses.create(model="gpt-9", input="?")
    assert refused.value.body == {
        "message": "The requested model 'gpt-9' does not exist.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }
    messages: Any = [{"role": "user", "content": "?"}]
    for attempt in (
        client.chat.completions.create(model="gpt-9", messages=messages),
        client.models.retrieve("gpt-9"),
    ):
        with pytest.raises(NotFoundError) as missing:
            await attempt
        assert (missing.value.param, missing.value.code) == ("model", "model_not_found")
        assert "The model 'gpt-9' does not exist" in missing.value.message
    await client.close()


# Headers


@proves("10.3", "10.3.limits", "10.4")
async def test_every_reply_says_who_answered_and_how_fast(server: RunningServer) -> None:
    replies = [
        await server.post("/responses", {"model": "m", "input": "?"}),
        await server.post("/responses", {"model": "m", "input": "?", "stream": True}),
        await server.post(
            "/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "?"}]}
        ),
        await server.http.get("/models"),
        await server.http.get(f"/responses/{UNKNOWN}"),
        await server.http.get("/nothing"),
        await server.post("/responses", b"{"),
    ]
    ids = {reply.headers["x-request-id"] for reply in replies}
    assert len(ids) == len(replies)
    for reply in replies:
        assert reply.headers["x-request-id"].startswith("req_")
        assert reply.headers["openai-processing-ms"].isdigit()
        assert reply.headers["openai-version"] == "2020-10-01"
        assert not [name for name in reply.headers if name.startswith("x-ratelimit-")]


@proves("10.4")
async def test_the_sdk_finds_the_request_id_and_the_parts_of_an_error(server: RunningServer) -> None:
    raw = await server.client.responses.with_raw_response.create(model="m", input="?")
    response = raw.parse()
    assert response._request_id == raw.headers["x-request-id"]
    with pytest.raises(BadRequestError) as refusal:
        await server.client.responses.create(model="m", input="?", temperature=3)
    error = refusal.value
    assert error.request_id == error.response.headers["x-request-id"]
    assert (error.param, error.code, error.type) == (
        "temperature",
        "decimal_above_max_value",
        "invalid_request_error",
    )
    assert error.body == error.response.json()["error"]


# Exceptions


@proves(
    "10.1.upstream", "10.1.429", "10.1.500", "10.2.context_length_exceeded", "OR.truncation", "OR.error_types"
)
@pytest.mark.parametrize(
    ("trouble", "exception", "kind"),
    [
        (
            UpstreamError("x", upstream_status=429, code="rate_limit_exceeded"),
            RateLimitError,
            "rate_limit_error",
        ),
        (UpstreamError("x", code="upstream_unreachable"), InternalServerError, "upstream_error"),
        (
            UpstreamError("x", upstream_status=504, code="upstream_timeout"),
            InternalServerError,
            "upstream_error",
        ),
        (
            UpstreamError("x", upstream_status=404, code="model_not_found", param="model"),
            NotFoundError,
            "invalid_request_error",
        ),
        (
            UpstreamError("x", upstream_status=400, code="context_length_exceeded", param="input"),
            BadRequestError,
            "invalid_request_error",
        ),
    ],
)
async def test_a_failure_of_the_engine_has_its_own_exception(
    start_server: StartServer, trouble: UpstreamError, exception: type[APIStatusError], kind: str
) -> None:
    async with start_server(engine=engine([trouble])) as server:
        with pytest.raises(exception) as raised:
            await server.client.responses.create(model="m", input="?")
        assert raised.value.status_code == trouble.upstream_status
        assert raised.value.body == {
            "message": "x",
            "type": kind,
            "param": trouble.param,
            "code": trouble.code,
        }


@proves("10.1.401", "10.1.403", "10.1.404", "10.1.405", "10.1.413", "10.1.400", "10.1.422")
async def test_what_is_refused_has_its_own_exception(start_server: StartServer) -> None:
    settings = ServerSettings(api_key="sk-all", read_only_api_key="sk-read", max_body_bytes=1000)
    async with start_server(config=Config(server=settings)) as server:
        every, read, wrong = (
            server.client.with_options(api_key=key) for key in ("sk-all", "sk-read", "sk-no")
        )
        with pytest.raises(AuthenticationError) as unknown:
            await wrong.models.list()
        assert (unknown.value.code, unknown.value.type) == ("invalid_api_key", "invalid_request_error")
        with pytest.raises(PermissionDeniedError):
            await read.responses.create(model="m", input="?")
        with pytest.raises(NotFoundError):
            await every.responses.retrieve(UNKNOWN)
        wrong_type: Any = 7
        with pytest.raises(BadRequestError):
            await every.responses.create(model="m", input=wrong_type)
        with pytest.raises(APIStatusError) as large:
            await every.responses.create(model="m", input="x" * 1000)
        assert (large.value.status_code, large.value.code) == (413, "request_too_large")
        with pytest.raises(APIStatusError) as method:
            await every.put("/responses", cast_to=object)
        assert method.value.status_code == 405
        assert method.value.response.headers["allow"] == "GET, POST"


# Another try


def busy_once(error: UpstreamError) -> ScriptedUpstream:
    errors: list[Any] = [error]

    def script(_: Any) -> list[Chunk]:
        if errors:
            raise errors.pop()
        return [TextDelta("now"), Finish("stop")]

    return ScriptedUpstream(script)


@proves("10.6")
async def test_the_sdk_tries_again_where_that_may_help(start_server: StartServer) -> None:
    busy = UpstreamError("busy", upstream_status=429, code="rate_limit_exceeded", retry_after=0.001)
    async with start_server(engine=busy_once(busy)) as server:
        patient = server.client.with_options(max_retries=1)
        assert (await patient.responses.create(model="m", input="?")).output_text == "now"
        assert len(server.engine.prompts) == 2


@proves("10.6")
async def test_the_sdk_does_not_try_again_where_that_cannot_help(start_server: StartServer) -> None:
    exhausted = UpstreamError("no quota", upstream_status=429, code="insufficient_quota")
    async with start_server(engine=busy_once(exhausted)) as server:
        patient = server.client.with_options(max_retries=2)
        with pytest.raises(RateLimitError) as refusal:
            await patient.responses.create(model="m", input="?")
        assert refusal.value.response.headers["x-should-retry"] == "false"
        assert len(server.engine.prompts) == 1


# Streams that lost their client


@proves("P.dropped_stream", "4.5.29")
async def test_a_stream_that_was_dropped_goes_on_and_can_be_taken_up(start_server: StartServer) -> None:
    go_on = asyncio.Event()

    def script(_: Any) -> Any:
        yield TextDelta("half ")
        yield go_on
        yield TextDelta("whole")
        yield Finish("stop")

    async with start_server(engine=ScriptedUpstream(script)) as server, asyncio.timeout(LIMIT):
        client = AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0)
        stream = await client.responses.create(model="m", input="?", stream=True)
        async for event in stream:
            if event.type == "response.created":
                response_id = event.response.id
            if event.type == "response.output_text.delta":
                last = event.sequence_number
                break
        await stream.close()
        await client.close()
        path = f"/responses/{response_id}?stream=true&starting_after={last}"
        async with server.http.stream("GET", path) as again:
            go_on.set()
            told = events_in(await again.aread())
        assert [event["sequence_number"] for event in told] == list(range(last + 1, last + 1 + len(told)))
        assert told[-1]["response"]["output"][0]["content"][0]["text"] == "half whole"
        stored = (await server.http.get(f"/responses/{response_id}")).json()
        assert stored == told[-1]["response"]
        assert server.engine.closed_early == 0


@proves("4.5.31", "4.5.30", "4.5.29")
async def test_beyond_the_last_event_there_is_nothing(start_server: StartServer) -> None:
    async with start_server(engine=engine(ANSWERS["text"])) as server:
        told = events_in(
            (await server.post("/responses", {"model": "m", "input": "?", "stream": True})).content
        )
        response_id = told[0]["response"]["id"]
        for after in (len(told) - 1, len(told), 10_000):
            reply = await server.http.get(f"/responses/{response_id}?stream=true&starting_after={after}")
            assert (reply.status_code, reply.content) == (200, b"")
            assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
