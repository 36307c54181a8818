"""What it costs to count: `python -m bench.observing`. Microseconds each, the best of five."""

from __future__ import annotations

import asyncio
import tempfile
import time
import timeit
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

from catena import measures
from catena.tally import Tally
from catena.web.correlation import Correlation
from catena.web.http import Request
from catena.web.traffic import Traffic
from catena.wire.response import Usage
from tests.running import running_server

_TIMES = 20_000


def _each(name: str, work: Any, times: int = _TIMES) -> None:
    best = min(timeit.repeat(work, number=times, repeat=5)) / times
    print(f"{name:<44} {best * 1e6:8.2f}")


def _request() -> Request:
    headers = [
        (b"host", b"x"),
        (b"accept", b"*/*"),
        (b"content-type", b"application/json"),
        (b"user-agent", b"x"),
    ]
    request = Request(
        {"type": "http", "method": "POST", "path": "/v1/responses", "headers": headers},
        None,  # type: ignore[arg-type]  # nothing is read
        max_body=1,
        request_id="req_1",
    )
    request.route = ("POST", "/v1/responses")
    return request


def _counting() -> None:
    request, traffic, histogram = _request(), Traffic(), measures.Histogram()
    _each("the ids of a request", lambda: Correlation(request.headers))
    _each("a request", lambda: traffic.count(request, 200, 0.004))
    _each("an observation", lambda: histogram.observe(0.004))
    usage = Usage(10, 4, 14)
    plan = SimpleNamespace(upstream=SimpleNamespace(name="local"), link=None)
    outcome = SimpleNamespace(status="completed", usage=usage)
    run: Any = SimpleNamespace(plan=plan, outcome=outcome, lost=False, error=None, began=1.0, heard=1.2)
    tally = Tally()
    _each("a run", lambda: tally.count(run, 2.0))


def _library() -> None:
    registry = CollectorRegistry()
    requests = Counter("requests", "-", ["method", "route", "status"], registry=registry)
    seconds = Histogram("seconds", "-", ["method", "route"], registry=registry)

    def count() -> None:
        requests.labels("POST", "/v1/responses", "200").inc()
        seconds.labels("POST", "/v1/responses").observe(0.004)

    _each("a request, with the library's own counters", count)


async def _scrapes() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with running_server(Path(folder) / "observed.sqlite3") as server:
            await server.post("/responses", {"model": "m", "input": "hi"})
            for name in ("the first scrape", "another scrape"):
                began = time.perf_counter()
                reply = await server.http.get(f"{server.url}/metrics")
                lines = sum(not line.startswith("#") for line in reply.text.splitlines())
                print(f"{name + f' ({lines} samples)':<44} {(time.perf_counter() - began) * 1e6:8.0f}")


if __name__ == "__main__":
    _counting()
    _library()
    asyncio.run(_scrapes())
