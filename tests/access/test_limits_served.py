"""Limits as clients meet them: headers, refusals, places, tokens, storage, over HTTP and WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from openai import AsyncOpenAI, RateLimitError

from catena.access import Registry
from catena.chunks import Finish, TextDelta, UsageReport
from catena.config import Config, KeySettings, LimitSettings
from catena.limits import Limits
from catena.store.counters import MemoryCounters
from catena.upstream.scripted import ScriptedUpstream
from tests.access.registry_of import Clock
from tests.api.sockets import socket
from tests.conformance.proves import proves
from tests.running import RunningServer, StartServer, until

HELLO: dict[str, Any] = {"model": "m", "input": "hi"}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that buckets fill by."""
    turned = Clock()
    monkeypatch.setattr("catena.store.sqlite.store.MemoryCounters", lambda: MemoryCounters(turned))
    return turned


def limited(**limits: int) -> Config:
    return Config(limits=LimitSettings(**limits))


def engine(tokens: int = 10, *, until: asyncio.Event | None = None) -> ScriptedUpstream:
    """Says a word, when it may, and counts so many tokens for it."""
    waiting = [until] if until is not None else []
    return ScriptedUpstream(
        lambda _: [*waiting, TextDelta("hello"), UsageReport(tokens - 1, 1), Finish("stop")]
    )


async def settled(server: RunningServer) -> None:
    """Until what runs used was told to the counters."""
    await until(lambda: not server.app._meter.limiter._open)


async def ask(server: RunningServer, path: str = "/responses", **changes: Any) -> Any:
    body = {"messages": [{"role": "user", "content": "hi"}], "model": "m"} if "chat" in path else HELLO
    return await server.http.post(path, json={**body, **changes})


@proves("10.1.429", "10.3.limits", "10.6")
@pytest.mark.parametrize("path", ["/responses", "/chat/completions"])
async def test_replies_say_what_is_left_and_who_is_over_hears_when(
    start_server: StartServer, clock: Clock, path: str
) -> None:
    config = limited(requests_per_minute=2, tokens_per_minute=6000)
    async with start_server(config=config, engine=engine(100)) as server:
        first = await ask(server, path)
        await settled(server)
        assert {name: value for name, value in first.headers.items() if "ratelimit" in name} == {
            "x-ratelimit-limit-requests": "2",
            "x-ratelimit-remaining-requests": "1",
            "x-ratelimit-reset-requests": "30s",
            "x-ratelimit-limit-tokens": "6000",
            "x-ratelimit-remaining-tokens": first.headers["x-ratelimit-remaining-tokens"],
            "x-ratelimit-reset-tokens": first.headers["x-ratelimit-reset-tokens"],
        }
        second = await ask(server, path, stream=True)
        await settled(server)
        assert second.headers["x-ratelimit-remaining-requests"] == "0"
        refused = await ask(server, path)
        assert refused.status_code == 429
        assert refused.json()["error"] == {
            "message": "Rate limit reached for project default on requests per min (RPM): Limit 2, Used 2, "
            "Requested 1. Please try again in 30s.",
            "type": "requests",
            "param": None,
            "code": "rate_limit_exceeded",
        }
        assert (refused.headers["retry-after"], refused.headers["retry-after-ms"]) == ("30", "30000")
        assert refused.headers["x-ratelimit-remaining-requests"] == "0"
        assert "x-should-retry" not in refused.headers
        assert len(server.engine.prompts) == 2
        clock.now += 30
        assert (await ask(server, path)).status_code == 200


async def test_without_limits_there_are_no_headers(server: RunningServer) -> None:
    reply = await ask(server)
    assert not [name for name in reply.headers if "ratelimit" in name]


async def test_what_a_run_used_counts_and_not_what_was_guessed(
    start_server: StartServer, clock: Clock
) -> None:
    async with start_server(config=limited(tokens_per_minute=1000), engine=engine(700)) as server:
        for left in (300, -400):
            assert (await ask(server)).status_code == 200
            await settled(server)
            (bucket,) = server.store.counters._buckets.values()  # type: ignore[attr-defined]
            assert bucket.level == left
        refused = await ask(server)
        assert refused.json()["error"]["type"] == "tokens"
        assert refused.headers["x-ratelimit-remaining-tokens"] == "0"
        clock.now += 30
        assert (await ask(server)).status_code == 200


async def test_what_is_refused_for_another_reason_uses_no_tokens(
    start_server: StartServer, clock: Clock
) -> None:
    config = limited(tokens_per_minute=1000, concurrent_runs=1, requests_per_minute=10)
    async with start_server(config=config, engine=engine(7)) as server:
        for body in ({**HELLO, "bogus": 1}, {**HELLO, "previous_response_id": "resp_" + "0" * 50}):
            refused = await server.http.post("/responses", json=body)
            assert refused.status_code == 400
            assert refused.headers["x-ratelimit-limit-requests"] == "10"
        good = await ask(server)
        await settled(server)
        assert good.headers["x-ratelimit-remaining-requests"] == "7"  # they count as requests
        assert server.store.counters._buckets["tokens project:default"].level == 993  # type: ignore[attr-defined]


async def test_many_at_once_get_exactly_what_there_is(start_server: StartServer, clock: Clock) -> None:
    async with start_server(config=limited(requests_per_minute=7), engine=engine()) as server:
        replies = await asyncio.gather(*(ask(server, stream=bool(number % 2)) for number in range(30)))
        statuses = [reply.status_code for reply in replies]
        assert (statuses.count(200), statuses.count(429)) == (7, 23)
        assert len(server.engine.prompts) == 7


@pytest.mark.parametrize("ways", [{}, {"stream": True}, {"background": True}])
async def test_no_more_runs_go_on_at_once_than_may(
    start_server: StartServer, clock: Clock, ways: dict[str, Any]
) -> None:
    go = asyncio.Event()
    async with start_server(config=limited(concurrent_runs=3), engine=engine(until=go)) as server:
        under_way = [asyncio.create_task(ask(server, **ways)) for _ in range(3)]
        await until(lambda: len(server.engine.prompts) == 3)
        refused = await asyncio.gather(*(ask(server, **ways) for _ in range(5)))
        assert [reply.status_code for reply in refused] == [429] * 5
        assert "concurrent requests: Limit 3" in refused[0].json()["error"]["message"]
        assert refused[0].headers["retry-after"] == "1"
        go.set()
        assert [(await task).status_code for task in under_way] == [200] * 3
        await settled(server)
        assert (await ask(server, **ways)).status_code == 200


async def test_who_leaves_gives_the_place_back(start_server: StartServer, clock: Clock) -> None:
    go = asyncio.Event()
    async with start_server(config=limited(concurrent_runs=1), engine=engine(until=go)) as server:
        leaving = asyncio.create_task(ask(server))
        await until(lambda: server.engine.prompts)
        leaving.cancel()
        await asyncio.wait([leaving])
        await settled(server)
        go.set()
        assert (await ask(server)).status_code == 200


async def test_a_key_has_limits_of_its_own_within_its_projects(
    start_server: StartServer, clock: Clock
) -> None:
    async with start_server(config=Config(keys=KeySettings(required=True)), engine=engine()) as server:
        registry = Registry(server.store.documents)
        await registry.create_project("support", Limits(requests_per_minute=3))
        clients = []
        for limit in (2, None):
            _, secret = await registry.create_key("support", limits=Limits(requests_per_minute=limit))
            clients.append(AsyncOpenAI(base_url=f"{server.url}/v1", api_key=secret, max_retries=0))
        narrow, wide = clients
        for _ in range(2):
            await narrow.responses.create(**HELLO)
        with pytest.raises(RateLimitError, match="for key key_") as refusal:
            await narrow.responses.create(**HELLO)
        assert refusal.value.code == "rate_limit_exceeded"
        await wide.responses.create(**HELLO)
        with pytest.raises(RateLimitError, match="for project support"):
            await wide.responses.create(**HELLO)
        for client in clients:
            await client.close()


async def test_the_official_client_waits_as_it_is_told(
    start_server: StartServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.now += seconds

    async with start_server(config=limited(requests_per_minute=60), engine=engine()) as server:
        for _ in range(60):
            await ask(server)
        monkeypatch.setattr("anyio.sleep", sleep)
        client = server.client.with_options(max_retries=1)
        await client.responses.create(**HELLO)
        assert waits == [1.0]


async def test_over_a_websocket_the_limits_are_the_same(start_server: StartServer, clock: Clock) -> None:
    config = limited(requests_per_minute=2, concurrent_runs=5)
    async with start_server(config=config, engine=engine()) as server:
        async with socket(server) as connection:
            for _ in range(2):
                await connection.answer("hi")
            await connection.ask("hi")
            refused = await connection.end()
            assert (refused["type"], refused["status"]) == ("error", 429)
            assert refused["error"]["type"] == "requests"
            assert refused["error"]["headers"]["retry-after"] == "30"
            assert (await ask(server)).status_code == 429
            clock.now += 60
            await connection.answer("hi")
            await settled(server)
            assert server.store.counters._places == {}  # type: ignore[attr-defined]


async def test_a_key_that_was_revoked_is_refused_on_an_open_websocket(
    start_server: StartServer, clock: Clock
) -> None:
    async with start_server(config=Config(keys=KeySettings(required=True)), engine=engine()) as server:
        registry = Registry(server.store.documents, clock=clock)
        server.app.gate.keys._clock = clock
        key, secret = await registry.create_key()
        async with socket(server, additional_headers={"authorization": f"Bearer {secret}"}) as connection:
            await connection.answer("hi")
            await registry.revoke_key(key.id)
            clock.now += 10
            await connection.ask("hi")
            refused = await connection.end()
            assert (refused["status"], refused["error"]["code"]) == (401, "invalid_api_key")
        assert len(server.engine.prompts) == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/responses", HELLO),
        ("/responses", {**HELLO, "background": True}),
        ("/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "hi"}]}),
        ("/conversations", {}),
    ],
)
async def test_who_has_stored_enough_stores_no_more_until_something_is_deleted(
    start_server: StartServer, clock: Clock, monkeypatch: pytest.MonkeyPatch, path: str, body: dict[str, Any]
) -> None:
    monkeypatch.setattr("catena.limits.storage._AGAIN_AFTER", 0.0)
    async with start_server(config=limited(stored_bytes=2000), engine=engine()) as server:
        first = await ask(server, input="x" * 3000)
        refused = await server.http.post(path, json=body)
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == refused.json()["error"]["type"] == "insufficient_quota"
        assert refused.headers["x-should-retry"] == "false"
        assert len(server.engine.prompts) == 1
        assert (await ask(server, store=False)).status_code == 200
        await server.http.delete(f"/responses/{first.json()['id']}")
        assert (await server.http.post(path, json=body)).status_code == 200


def test_every_way_to_make_an_engine_work_has_its_limits(find_routes: Callable[[], Any]) -> None:
    unlimited = {
        (route.method, route.path)
        for route in find_routes()
        if route.method == "POST" and route.cost == "nothing"
    }
    assert unlimited <= {
        ("POST", "/v1/chat/completions/{completion_id}"),
        ("POST", "/v1/conversations/{conversation_id}"),
        ("POST", "/v1/responses/{response_id}/cancel"),
        ("POST", "/v1/webhook_endpoints"),
        ("POST", "/v1/webhook_endpoints/{webhook_endpoint_id}"),
        ("POST", "/v1/webhook_endpoints/{webhook_endpoint_id}/rotate_secret"),
        ("POST", "/v1/webhook_endpoints/{webhook_endpoint_id}/test"),
    }


@pytest.fixture
async def find_routes(server: RunningServer) -> Callable[[], Any]:
    return lambda: server.app.routes.all
