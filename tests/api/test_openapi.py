"""The published document: about every route, and nothing else; and what it says of schemas is what is decoded."""

from __future__ import annotations

import re
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from catena.errors import BadRequest
from catena.web.openapi.operations import OPERATIONS
from catena.web.openapi.schemas import component_schemas
from catena.wire.request import decode_create
from tests.running import RunningServer


async def document(server: RunningServer) -> dict[str, Any]:
    reply = await server.http.get(f"{server.url}/openapi.json")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    told: dict[str, Any] = reply.json()
    return told


async def test_it_is_about_every_route_and_no_other(server: RunningServer) -> None:
    told = await document(server)
    described = {
        (method.upper(), path) for path, operations in told["paths"].items() for method in operations
    }
    routes = {(route.method, route.path) for route in server.app.routes.all}
    assert routes - described == set(), "said nothing of these: see web/openapi/operations.py"
    assert OPERATIONS.keys() - routes == set()
    assert described == routes


async def test_it_says_which_scope_a_key_needs(server: RunningServer) -> None:
    told = await document(server)
    for route in server.app.routes.all:
        operation = told["paths"][route.path][route.method.lower()]
        assert operation["security"] == ([] if route.scope is None else [{"key": [route.scope]}])


async def test_every_reference_leads_somewhere_and_every_schema_is_one(server: RunningServer) -> None:
    told = await document(server)
    text = msgspec.json.encode(told).decode()
    for place in set(re.findall(r'"#/([^"]+)"', text)):
        found: Any = told
        for part in place.split("/"):
            found = found[part]
    schemas = told["components"]["schemas"]
    for name in schemas:
        assert re.fullmatch(r"[A-Za-z]\w*", name)
        jsonschema_rs.meta.validate(schemas[name])
    ids = re.findall(r'"operationId":"(\w+)"', text)
    assert len(ids) == len(set(ids)) == len(OPERATIONS)


def validator(name: str) -> Any:
    schemas = component_schemas()
    return jsonschema_rs.validator_for(
        {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
    )


ASKED: list[dict[str, Any]] = [
    {"model": "m", "input": "hi"},
    {"model": "m", "input": [{"role": "user", "content": "hi"}], "temperature": 2, "store": False},
    {
        "model": "m",
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}],
    },
    {"model": "m", "input": [{"type": "acme:note", "text": "x"}]},
    {
        "model": "m",
        "input": "hi",
        "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": True}],
    },
    {"model": "m", "input": "hi", "text": {"format": {"type": "json_object"}}, "metadata": {"a": "b"}},
    {"model": "m", "input": "hi", "conversation": {"id": "conv_1"}},
    {"model": "m", "input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]},
    {"model": "m"},
    {"input": "hi"},
    {"model": "m", "input": 3},
    {"model": "m", "input": "hi", "bogus": 1},
    {"model": "m", "input": "hi", "temperature": 3},
    {"model": "m", "input": [{"type": "function_call_output", "call_id": "c"}]},
    {"model": "m", "input": [{"type": "nothing"}]},
    {"model": "m", "input": "hi", "tools": [{"type": "function"}]},
    {"model": "m", "input": "hi", "metadata": {"a": 1}},
]


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_a_request_fits_the_schema_where_the_server_takes_it(asked: dict[str, Any]) -> None:
    try:
        decode_create(msgspec.json.encode(asked))
        taken = True
    except BadRequest:
        taken = False
    assert validator("CreateRequest").is_valid(asked) == taken


async def test_what_the_server_tells_fits_the_schemas(server: RunningServer) -> None:
    created = await server.post("/responses", {"model": "m", "input": "hi"})
    validator("Response").validate(created.json())
    validator("Error").validate((await server.post("/responses", {})).json())
    streamed = await server.post("/responses", {"model": "m", "input": "hi", "stream": True})
    events = [
        msgspec.json.decode(line[6:]) for line in streamed.text.splitlines() if line.startswith("data: ")
    ]
    assert len(events) > 6
    event = validator("ResponseEvent")
    for each in events:
        event.validate(each)
    validator("Completion").validate(
        (
            await server.post(
                "/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "x"}]}
            )
        ).json()
    )
