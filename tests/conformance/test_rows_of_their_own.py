"""Rows of docs/compatibility.md that no other test asks for."""

from __future__ import annotations

from typing import Any

import pytest

from catena.errors import BadRequest
from catena.upstream.scripted import ScriptedUpstream
from catena.web.http import Request
from catena.wire import wording
from tests.running import RunningServer, StartServer


class Forwarding(ScriptedUpstream):
    """An engine with other endpoints than those that answer; it says which was asked, with what."""

    async def forward(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        return 200, "text/plain", path.encode() + b" " + body


@pytest.mark.parametrize(
    "path",
    [
        "/v1/completions",
        "/v1/embeddings",
        "/v1/moderations",
        "/v1/rerank",
        "/v1/audio/speech",
        "/v1/images/generations",
    ],
)
async def test_what_is_passed_on_whole_reaches_the_engine_of_its_model(
    start_server: StartServer, path: str
) -> None:
    async with start_server(engine=Forwarding()) as server:
        body = b'{"model":"m","input":"x"}'
        reply = await server.post(path.removeprefix("/v1"), body)
        assert (reply.status_code, reply.content) == (200, path.removeprefix("/v1").encode() + b" " + body)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"temperature": -1}, "decimal_below_min_value"),
        ({"temperature": 3}, "decimal_above_max_value"),
        ({"max_output_tokens": 1}, "integer_below_min_value"),
        ({"top_logprobs": 21}, "integer_above_max_value"),
    ],
)
async def test_a_number_out_of_bounds_has_its_code(
    server: RunningServer, body: dict[str, Any], code: str
) -> None:
    reply = await server.post("/responses", {"model": "m", "input": "?", **body})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, code)


def test_an_array_that_is_too_short_and_not_empty_has_a_code_of_its_own() -> None:
    assert wording.too_few("items", 2, ["one"]).code == "array_below_min_length"


async def test_a_request_whose_client_goes_away_is_incomplete() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    request = Request({"headers": []}, receive, max_body=10, request_id="req_1")
    with pytest.raises(BadRequest) as refusal:
        await request.body()
    assert refusal.value.code == "request_incomplete"
