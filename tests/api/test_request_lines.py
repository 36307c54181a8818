"""One line for each request, with ids and counts only, and the ids that a request goes by."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest

from catena.config import Config, LogSettings, ServerSettings
from catena.logs import keep_logs
from tests.api.sockets import socket
from tests.conformance.proves import proves
from tests.running import LIMIT, RunningServer, StartServer

KeepLogs = Callable[[Literal["text", "json"]], io.StringIO]


@pytest.fixture
def kept() -> Iterator[KeepLogs]:
    """Has what is logged written to a buffer; everything is as before afterwards."""
    root, names = logging.getLogger(), ("", "catena", "catena.access")
    handlers, levels = root.handlers[:], [logging.getLogger(name).level for name in names]
    root.handlers.clear()

    def keep(form: Literal["text", "json"]) -> io.StringIO:
        written = io.StringIO()
        keep_logs(LogSettings(format=form), requests=True, stream=written)
        return written

    yield keep
    root.handlers[:] = handlers
    for name, level in zip(names, levels, strict=True):
        logging.getLogger(name).setLevel(level)


def lines(written: io.StringIO) -> list[dict[str, Any]]:
    decoded = [json.loads(line) for line in written.getvalue().splitlines()]
    return [line for line in decoded if line["logger"] == "catena.access"]


async def test_a_request_is_one_json_object_without_contents(server: RunningServer, kept: KeepLogs) -> None:
    written = kept("json")
    await server.post("/responses?secret=query", {"model": "m", "input": "a secret said"})
    wanted = await server.http.get("/responses/resp_" + "0" * 50)
    await server.http.get("/responses/a%20secret%0Aline")
    await server.http.get("/a-secret/path")
    created, missing, odd, nowhere = lines(written)
    assert created["method"] == "POST"
    assert created["route"] == "/v1/responses"
    assert created["status"] == 200
    assert created["ms"] > 0
    assert created["project"] == "default"
    assert missing["ids"] == ["resp_" + "0" * 50]
    assert missing["request_id"] == wanted.headers["x-request-id"]
    assert (odd["route"], odd["status"]) == ("/v1/responses/{response_id}", 404)
    assert "ids" not in odd
    assert (nowhere["method"], nowhere["route"], nowhere["status"]) == ("-", "-", 404)
    assert "secret" not in written.getvalue()


async def test_a_request_is_one_line_of_text(server: RunningServer, kept: KeepLogs) -> None:
    written = kept("text")
    reply = await server.http.get("/models")
    (line,) = [line for line in written.getvalue().splitlines() if "catena.access" in line]
    assert f"{reply.headers['x-request-id']} GET /v1/models 200 " in line


async def test_a_websocket_is_told_when_it_is_closed(server: RunningServer, kept: KeepLogs) -> None:
    written = kept("json")
    async with socket(server, additional_headers={"x-request-id": "mine-7"}) as connection:
        assert connection.connection.response is not None
        assert connection.connection.response.headers["x-request-id"] == "mine-7"
        assert lines(written) == []
    async with asyncio.timeout(LIMIT):
        while server.app.traffic.sockets:
            await server.http.get(f"{server.url}/healthz")
    line = next(line for line in lines(written) if line["method"] == "WEBSOCKET")
    assert (line["request_id"], line["route"], line["status"]) == ("mine-7", "/v1/responses", 101)


async def test_a_fault_of_ours_is_one_object_with_its_traceback(kept: KeepLogs) -> None:
    written = kept("json")
    try:
        raise RuntimeError("here")
    except RuntimeError:
        logging.getLogger("catena.web").exception("%s: a fault", "req_1")
    line = json.loads(written.getvalue())
    assert (line["level"], line["message"]) == ("error", "req_1: a fault")
    assert "RuntimeError: here" in line["exception"]


async def test_no_lines_unless_they_are_asked_for(
    start_server: StartServer, kept: KeepLogs, caplog: pytest.LogCaptureFixture
) -> None:
    written = kept("json")
    keep_logs(LogSettings(format="json"), requests=False, stream=written)
    async with start_server(config=Config(server=ServerSettings())) as server:
        await server.http.get("/models")
    assert lines(written) == []


@pytest.mark.parametrize("given", ["abc-123", "0af7651916cd43dd8448eb211c80319c", "a" * 128])
async def test_a_sane_request_id_is_taken_and_echoed(server: RunningServer, given: str) -> None:
    reply = await server.http.get("/models", headers={"x-request-id": given})
    assert reply.headers.get_list("x-request-id") == [given]


@pytest.mark.parametrize("given", ["", "a b", "a\tb", "é", "a" * 129, '{"a":1}'])
async def test_any_other_request_id_is_replaced_by_ours(server: RunningServer, given: str) -> None:
    """A proxy in front may send what it likes; what our logs are searched for stays one word."""
    reply = await server.http.get("/models", headers={b"x-request-id": given.encode("latin-1")})
    assert reply.headers["x-request-id"].startswith("req_")


@proves("10.3.client_request_id")
async def test_a_clients_own_id_is_echoed_and_logged(server: RunningServer, kept: KeepLogs) -> None:
    written = kept("json")
    reply = await server.http.get("/models", headers={"X-Client-Request-Id": "my own, 1"})
    assert reply.headers["x-client-request-id"] == "my own, 1"
    assert reply.headers["x-request-id"].startswith("req_")
    assert int(reply.headers["openai-processing-ms"]) >= 0
    assert lines(written)[0]["client_request_id"] == "my own, 1"


@pytest.mark.parametrize("given", ["x" * 513, "é"])
async def test_a_clients_own_id_that_the_api_does_not_take_is_refused(
    server: RunningServer, given: str
) -> None:
    reply = await server.http.get("/models", headers={b"X-Client-Request-Id": given.encode("latin-1")})
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "X-Client-Request-Id"
