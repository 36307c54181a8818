"""Every error in the official envelope, on every route that exists (spec §10)."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from openai import AsyncOpenAI, AuthenticationError, PermissionDeniedError

from catena.config import Config, ServerSettings
from catena.errors import UpstreamError
from catena.upstream.scripted import ScriptedUpstream
from tests.conformance.proves import proves
from tests.running import RunningServer, StartServer

KEYS = {"message", "type", "param", "code"}


def check_envelope(reply: Any, status: int) -> dict[str, Any]:
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-request-id"].startswith("req_")
    body = reply.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == KEYS
    assert body["error"]["message"]
    error: dict[str, Any] = body["error"]
    return error


def filled(path: str) -> str:
    """A route's path with an id that exists nowhere, below the base URL."""
    parts = ["unknown_" + "0" * 8 if part.startswith("{") else part for part in path.split("/")]
    return "/".join(parts).removeprefix("/v1")


@proves("10.1.envelope", "10.1.401", "10.1.403", "10.1.405")
async def test_every_route_answers_errors_in_the_envelope(start_server: StartServer) -> None:
    """An unknown id, a body that is no JSON, no key, a key that may not, a method that is not there."""
    config = Config(server=ServerSettings(api_key="sk-one", read_only_api_key="sk-two"))
    async with start_server(config=config) as server:
        assert len(server.app.routes.all) > 5
        for route in server.app.routes.all:
            if route.scope is None:
                continue  # what anybody may ask for; its own tests say what it holds
            path = filled(route.path)
            wrong = await server.http.request(route.method, path)
            error = check_envelope(wrong, 401)
            assert error["message"].startswith("You didn't provide an API key.")
            key = {"authorization": "Bearer sk-wrong"}
            error = check_envelope(await server.http.request(route.method, path, headers=key), 401)
            assert error["code"] == "invalid_api_key"
            assert "sk-wrong" not in error["message"]
            if route.method != "GET":
                limited = {"authorization": "Bearer sk-two"}
                refused = await server.http.request(route.method, path, headers=limited)
                error = check_envelope(refused, 403)
                assert f"Missing scopes: {route.scope}" in error["message"]
            full = {"authorization": "Bearer sk-one"}
            if "{" in route.path and "{model}" not in route.path:
                body = b'{"metadata": {}}' if route.method == "POST" else None
                reply = await server.http.request(route.method, path, headers=full, content=body)
                check_envelope(reply, 404)
            if route.method == "POST" and "{" not in route.path:
                reply = await server.http.post(path, headers=full, content=b'{"model": ')
                assert check_envelope(reply, 400)["type"] == "invalid_request_error"
            other = await server.http.request("PATCH", path, headers=full)
            assert check_envelope(other, 405)["code"] == "method_not_supported"
            assert route.method in other.headers["allow"]


@proves("1.2.10", "10.1.404")
async def test_an_unknown_route_is_named(server: RunningServer) -> None:
    error = check_envelope(await server.post("/nothing/here", {}), 404)
    assert error["message"] == "Invalid URL (POST /v1/nothing/here)"


@proves("10.1.413")
async def test_a_body_over_the_limit_is_refused(start_server: StartServer) -> None:
    config = Config(server=ServerSettings(max_body_bytes=1000))
    async with start_server(config=config) as server:
        body = {"model": "m", "input": "x" * 1000}
        assert check_envelope(await server.post("/responses", body), 413)["code"] == "request_too_large"

        async def pieces() -> Any:
            for _ in range(20):
                yield b" " * 100

        reply = await server.http.post("/responses", content=pieces())
        check_envelope(reply, 413)
        assert server.engine.prompts == []


@pytest.mark.parametrize("path", ["/responses", "/conversations", "/files"])
async def test_a_compressed_body_is_refused_as_that(server: RunningServer, path: str) -> None:
    body = gzip.compress(b'{"model":"m","input":"hi"}')
    headers = {"content-encoding": "gzip", "content-type": "multipart/form-data; boundary=x"}
    reply = await server.http.post(path, content=body, headers=headers)
    error = check_envelope(reply, 415)
    assert error["code"] == "unsupported_content_encoding"
    assert "'gzip'" in error["message"]
    assert reply.headers["accept-encoding"] == "identity"
    plain = {"content-encoding": "identity"}
    reply = await server.http.post("/responses", content=b'{"model":"m","input":"hi"}', headers=plain)
    assert reply.status_code == 200


@proves("10.1.400", "10.1.422", "3.3.45")
@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"model": None}, "model", "invalid_type"),
        ({"input": None}, "input", "invalid_type"),
        ({"bogus": 1}, "bogus", "unknown_parameter"),
        ({"messages": []}, None, "unsupported_parameter"),
        ({"temperature": 3}, "temperature", "decimal_above_max_value"),
        ({"max_output_tokens": 1}, "max_output_tokens", "integer_below_min_value"),
        ({"include": ["nothing"]}, "include[0]", "invalid_value"),
        ({"previous_response_id": "gen-123"}, "previous_response_id", "invalid_id_prefix"),
        ({"previous_response_id": {}}, "previous_response_id", "invalid_type"),
        ({"conversation": "conv_1", "previous_response_id": "resp_1"}, None, "mutually_exclusive_parameters"),
        ({"input": ""}, None, "missing_required_parameter"),
    ],
)
async def test_bad_input_is_refused_before_any_model_is_asked(
    server: RunningServer, change: dict[str, Any], param: str | None, code: str
) -> None:
    reply = await server.post("/responses", {"model": "m", "input": "hi", **change})
    error = check_envelope(reply, 400)
    assert (error["param"], error["code"]) == (param, code)
    assert server.engine.prompts == []
    assert (await server.store.usage()).turns == 0


@proves("P.nothing_ignored")
@pytest.mark.parametrize(
    "feature",
    [
        {"context_management": [{"type": "compaction"}]},
        {"moderation": {"model": "omni-moderation-latest"}},
        {"prompt": {"id": "pmpt_1"}},
        {"tools": [{"type": "image_generation"}]},
        {"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]},
    ],
)
async def test_nothing_is_accepted_and_ignored(server: RunningServer, feature: dict[str, Any]) -> None:
    reply = await server.post("/responses", {"model": "m", "input": "hi", **feature})
    assert reply.status_code in (400, 404)
    (name, *_) = feature
    message = reply.json()["error"]["message"]
    assert name in message.lower() or name in (reply.json()["error"]["param"] or "")
    assert server.engine.prompts == []


@proves("10.1.401", "10.1.403")
async def test_a_key_is_needed_where_one_is_set(start_server: StartServer) -> None:
    config = Config(server=ServerSettings(api_key="sk-one", read_only_api_key="sk-two"))
    async with start_server(config=config) as server:
        keyed = AsyncOpenAI(base_url=f"{server.url}/v1", api_key="sk-one", project="default", max_retries=0)
        response = await keyed.responses.create(model="m", input="hi")
        with pytest.raises(AuthenticationError):
            await server.client.responses.retrieve(response.id)
        reader = AsyncOpenAI(base_url=f"{server.url}/v1", api_key="sk-two", max_retries=0)
        assert (await reader.responses.retrieve(response.id)).id == response.id
        with pytest.raises(PermissionDeniedError) as refusal:
            await reader.responses.create(model="m", input="hi")
        assert "Missing scopes: api.responses.write" in refusal.value.message
        await keyed.close()
        await reader.close()


@proves("10.1.upstream")
@pytest.mark.parametrize("stream", [False, True])
async def test_an_engine_that_fails_is_told_apart_and_nothing_is_left_behind(
    start_server: StartServer, stream: bool
) -> None:
    busy = UpstreamError(
        "The upstream 'scripted' is busy.", upstream_status=429, code="rate_limit_exceeded", retry_after=3
    )
    engine = ScriptedUpstream(lambda _: [busy])
    async with start_server(engine=engine) as server:
        reply = await server.post("/responses", {"model": "m", "input": "hi", "stream": stream})
        if stream:
            assert '"type":"response.failed"' in reply.text
            return
        error = check_envelope(reply, 429)
        assert error == {
            "message": "The upstream 'scripted' is busy.",
            "type": "rate_limit_error",
            "param": None,
            "code": "rate_limit_exceeded",
        }
        assert reply.headers["retry-after"] == "3"
        assert (await server.store.usage()).turns == 0


@proves("10.1.500")
async def test_a_fault_of_ours_reveals_nothing(
    start_server: StartServer, caplog: pytest.LogCaptureFixture
) -> None:
    engine = ScriptedUpstream(lambda _: [RuntimeError("secret inside")])
    async with start_server(engine=engine) as server:
        reply = await server.post("/responses", {"model": "m", "input": "hi"})
        error = check_envelope(reply, 500)
        assert error["type"] == "server_error"
        assert "secret" not in reply.text
        assert "secret inside" in caplog.text


@pytest.mark.parametrize("path", ["/embeddings", "/completions", "/moderations"])
async def test_other_endpoints_say_who_takes_previous_response_id(server: RunningServer, path: str) -> None:
    reply = await server.post(path, {"model": "m", "input": "hi", "previous_response_id": "resp_1"})
    error = check_envelope(reply, 400)
    assert error["param"] == "previous_response_id"
    assert "POST /v1/responses and POST /v1/chat/completions" in error["message"]
