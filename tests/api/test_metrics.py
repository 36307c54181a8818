"""`/metrics`, `/healthz` and `/readyz` on a running server."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from catena.chunks import Finish, TextDelta, UsageReport
from catena.config import Config, MetricsSettings, ServerSettings
from catena.errors import StoreUnavailable, UpstreamError
from catena.store.postgres import PostgresStore
from catena.store.sqlite import SqliteStore
from catena.upstream.chat import ChatUpstream
from catena.upstream.retry import RetryPolicy
from catena.upstream.scripted import ScriptedUpstream
from tests.api.sockets import socket
from tests.running import LIMIT, RunningServer, StartServer


async def scraped(server: RunningServer) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample by its name and labels."""
    reply = await server.http.get(f"{server.url}/metrics")
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(reply.text)
        for sample in family.samples
    }


def value(found: dict[Any, float], name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


async def test_requests_are_counted_by_route_and_status(server: RunningServer) -> None:
    await server.post("/responses", {"model": "m", "input": "hi"})
    await server.post("/responses", {"model": "m"})
    await server.http.get("/responses/resp_" + "0" * 50)
    await server.http.request("DELETE", "/nothing/here")
    found = await scraped(server)
    create = {"method": "POST", "route": "/v1/responses"}
    assert value(found, "catena_http_requests_total", **create, status="200") == 1
    assert value(found, "catena_http_requests_total", **create, status="400") == 1
    assert value(found, "catena_http_request_seconds_count", **create) == 2
    one = {"method": "GET", "route": "/v1/responses/{response_id}"}
    assert value(found, "catena_http_requests_total", **one, status="404") == 1
    assert value(found, "catena_http_requests_total", method="-", route="-", status="404") == 1


async def test_tokens_depth_first_tokens_and_the_cache_are_counted(start_server: StartServer) -> None:
    usage = UsageReport(input_tokens=10, output_tokens=4, cached_tokens=6, reasoning_tokens=3)
    engine = ScriptedUpstream(lambda _: [TextDelta("hi"), usage, Finish("stop")])
    async with start_server(engine=engine) as server:
        first = await server.client.responses.create(model="m", input="hi")
        second = await server.client.responses.create(model="m", input="hi", previous_response_id=first.id)
        async with await server.client.responses.create(
            model="m", input="hi", previous_response_id=second.id, stream=True
        ) as stream:
            [event async for event in stream]
        found = await scraped(server)
    for kind, each in (("input", 10), ("output", 4), ("cached", 6), ("reasoning", 3)):
        assert value(found, "catena_tokens_total", upstream="scripted", kind=kind) == 3 * each
    assert value(found, "catena_runs_total", upstream="scripted", status="completed") == 3
    assert value(found, "catena_run_seconds_count", upstream="scripted") == 3
    assert value(found, "catena_first_token_seconds_count", upstream="scripted") == 3
    assert value(found, "catena_chain_depth_sum") == 0 + 1 + 2
    assert value(found, "catena_chain_depth_bucket", le="1.0") == 2
    assert value(found, "catena_prefix_cache_hits_total") == 2
    assert value(found, "catena_prefix_cache_bytes") > 0
    assert value(found, "catena_store_writes_total") >= value(found, "catena_store_commits_total") > 0
    assert value(found, "process_open_fds") > 0


async def test_what_goes_on_at_this_moment_is_shown(start_server: StartServer) -> None:
    go_on = asyncio.Event()
    engine = ScriptedUpstream(lambda _: [TextDelta("hi"), go_on, Finish("stop")])
    async with start_server(engine=engine) as server, asyncio.timeout(LIMIT):
        stream = await server.client.responses.create(model="m", input="hi", stream=True)
        async for event in stream:
            if event.type == "response.output_text.delta":
                break
        async with socket(server):
            found = await scraped(server)
        assert value(found, "catena_runs_active") == 1
        assert value(found, "catena_feed_followers") == 1
        assert value(found, "catena_websocket_connections") == 1
        assert value(found, "catena_queue_length") == 0
        go_on.set()
        [event async for event in stream]
        while server.app.traffic.sockets:
            await asyncio.sleep(0)
        found = await scraped(server)
        assert value(found, "catena_runs_active") == 0
        assert value(found, "catena_websocket_connections") == 0


async def test_what_fails_behind_us_is_counted_by_its_code(start_server: StartServer) -> None:
    """Each try at the engine, and the runs that failed for it in the end."""
    nobody = ChatUpstream("nobody", ["http://127.0.0.1:9"], retry=RetryPolicy(tries=1))
    async with start_server(routes={"absent": nobody}) as server:
        assert (await server.post("/responses", {"model": "absent", "input": "hi"})).status_code == 502
        found = await scraped(server)
    label = {"upstream": "nobody", "code": "upstream_unreachable"}
    assert value(found, "catena_upstream_errors_total", **label) == 1
    assert value(found, "catena_run_failures_total", **label) == 1
    assert value(found, "catena_runs_total", upstream="nobody", status="failed") == 1


async def test_a_client_that_goes_away_from_a_stream_is_told_apart(start_server: StartServer) -> None:
    never = asyncio.Event()
    engine = ScriptedUpstream(lambda _: [TextDelta("hi"), never])
    async with start_server(engine=engine) as server, asyncio.timeout(LIMIT):
        stream = await server.client.responses.create(model="m", input="hi", stream=True)
        await anext(aiter(stream))
        await stream.close()
        traffic = server.app.traffic.routes
        while not (traffic and traffic["POST", "/v1/responses"].statuses[499]):
            await asyncio.sleep(0)
        found = await scraped(server)
        create = {"method": "POST", "route": "/v1/responses", "status": "499"}
        assert value(found, "catena_http_requests_total", **create) == 1


async def test_of_several_processes_over_one_socket_each_has_series_of_its_own(
    start_server: StartServer,
) -> None:
    """A scrape reaches one of them: without a label its counters would seem to go back and forth."""
    async with start_server(config=Config(server=ServerSettings(workers=2))) as server:
        found = await scraped(server)
    assert {dict(labels).get("worker") for _, labels in found} == {str(os.getpid())}


async def test_a_scrape_may_ask_for_openmetrics(server: RunningServer) -> None:
    accept = {"accept": "application/openmetrics-text; version=1.0.0"}
    reply = await server.http.get(f"{server.url}/metrics", headers=accept)
    assert reply.headers["content-type"].startswith("application/openmetrics-text")
    assert reply.text.endswith("# EOF\n")


@pytest.mark.parametrize(
    ("settings", "headers", "status"),
    [
        ({}, {}, 200),
        ({}, {"x-forwarded-for": "192.0.2.1"}, 403),
        ({"open": True}, {"x-forwarded-for": "192.0.2.1"}, 200),
    ],
)
async def test_metrics_are_open_for_this_machine_only(
    start_server: StartServer, settings: dict[str, bool], headers: dict[str, str], status: int
) -> None:
    config = Config(server=ServerSettings(api_key="sk-one"), metrics=MetricsSettings(**settings))
    async with start_server(config=config) as server:
        reply = await server.http.get(f"{server.url}/metrics", headers=headers)
        assert reply.status_code == status, reply.text
        if status == 403:
            assert "metrics.open" in reply.json()["error"]["message"]


async def test_beyond_loopback_metrics_need_a_key_that_may_administer(start_server: StartServer) -> None:
    server_settings = ServerSettings(host="0.0.0.0", api_key="sk-one", read_only_api_key="sk-two")
    async with start_server(config=Config(server=server_settings)) as server:
        url = f"{server.url}/metrics"
        assert (await server.http.get(url)).status_code == 401
        for key, status in (("sk-one", 200), ("sk-two", 403)):
            reply = await server.http.get(url, headers={"authorization": f"Bearer {key}"})
            assert reply.status_code == status


async def test_metrics_say_what_they_can_when_the_store_is_gone(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone() -> int:
        raise StoreUnavailable

    monkeypatch.setattr(server.store, "waiting", gone)
    found = await scraped(server)
    assert ("catena_queue_length", frozenset()) not in found
    assert value(found, "catena_runs_active") == 0


async def test_a_server_that_answers_is_alive_and_ready(start_server: StartServer) -> None:
    async with start_server(config=Config(server=ServerSettings(api_key="sk-one"))) as server:
        alive = await server.http.get(f"{server.url}/healthz")
        assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
        ready = await server.http.get(f"{server.url}/readyz")
        assert ready.status_code == 200
        assert ready.json() == {"status": "ok", "checks": {"store": "ok", "engine scripted": "ok"}}


async def test_what_is_not_ready_is_named(start_server: StartServer, monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf(ScriptedUpstream):
        async def models(self) -> Any:
            raise UpstreamError("It sleeps.", code="upstream_timeout")

    async with start_server(engine=Deaf(), routes={"other": ScriptedUpstream(name="other")}) as server:
        one = await server.http.get(f"{server.url}/readyz")
        assert one.status_code == 200  # the other engine answers
        assert one.json()["checks"]["engine scripted"] == "upstream_timeout"

    async with start_server(name="second", engine=Deaf()) as server:
        async with httpx2.AsyncClient() as http:
            ready = await http.get(f"{server.url}/readyz")
        assert ready.status_code == 503
        assert ready.json() == {
            "status": "unavailable",
            "checks": {"store": "ok", "engine scripted": "upstream_timeout"},
        }

    async def gone() -> int:
        raise StoreUnavailable

    async with start_server(name="third") as server:
        monkeypatch.setattr(server.store, "waiting", gone)
        ready = await server.http.get(f"{server.url}/readyz")
        assert (ready.status_code, ready.json()["checks"]["store"]) == (503, "store_unavailable")


def test_every_store_says_how_often_it_commits() -> None:
    """What `CountsCommits` asks for; a store without is left out of the metrics."""
    for store in (SqliteStore, PostgresStore):
        assert isinstance(vars(store)["commits"], property)
        assert isinstance(vars(store)["writes"], property)
