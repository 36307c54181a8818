"""Ids as clients see them (spec §2.2)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from catena.chunks import Finish
from tests.conformance.answers import ANSWERS, HOSTED, TOOLS, engine
from tests.conformance.proves import proves
from tests.running import RunningServer, StartServer

ID = re.compile(r"[a-z]+[_-](?P<tree>[0-9a-f]{16})00[0-9a-f]{8}[0-9a-f]{24}")
BEGINS = {
    "message": "msg_",
    "reasoning": "rs_",
    "function_call": "fc_",
    "custom_tool_call": "ctc_",
    "web_search_call": "ws_",
    "file_search_call": "fs_",
    "code_interpreter_call": "ci_",
    "image_generation_call": "ig_",
    "mcp_call": "mcp_",
    "mcp_list_tools": "mcpl_",
    "mcp_approval_request": "mcpr_",
}


def ids_in(value: Any) -> Iterator[str]:
    match value:
        case {"id": str(own), **rest}:
            yield own
            yield from ids_in(rest)
        case dict():
            for each in value.values():
                yield from ids_in(each)
        case list():
            for each in value:
                yield from ids_in(each)


def tree_of(any_id: str) -> str:
    match = ID.fullmatch(any_id)
    assert match, any_id
    return match["tree"]


@proves("2.2.25", "2.2.26")
@pytest.mark.parametrize("answer", [*ANSWERS.values(), *HOSTED.values()])
async def test_ids_have_the_official_form_and_share_the_key_of_their_chain(
    start_server: StartServer, answer: Any
) -> None:
    async with start_server(engine=engine(ANSWERS["text"], dialect="responses")) as server:
        root = await server.client.responses.create(model="m", input="?")
        trees = {tree_of(root.id)}
        server.engine.script = lambda _: [*answer, Finish("stop")]
        reply = await server.post(
            "/responses", {"model": "m", "input": "?", "tools": TOOLS, "previous_response_id": root.id}
        )
        response = reply.json()
        assert response["id"].startswith("resp_")
        for item in response["output"]:
            assert item["id"].startswith(BEGINS.get(item["type"], ""))
        listed = await server.http.get(f"/responses/{response['id']}/input_items")
        seen = [*ids_in(response), *ids_in(listed.json())]
        assert len(set(seen)) == len(seen) >= 4
        for each in seen:
            assert len(each) <= 64
            trees.add(tree_of(each))
        assert len(trees) == 1


@proves("2.2.25")
async def test_a_call_without_an_id_gets_one_that_is_not_its_items(start_server: StartServer) -> None:
    async with start_server(engine=engine(ANSWERS["wrapped_call"])) as server:
        response = await server.client.responses.create(model="m", input="?", tools=TOOLS)
        (call,) = response.output
        assert call.type == "custom_tool_call"
        assert re.fullmatch(r"call_[0-9A-Za-z]{24}", call.call_id)
        assert call.call_id != call.id


@proves("2.2.27")
@pytest.mark.parametrize(
    ("item", "param", "code"),
    [
        ({"id": "rs_1", "role": "user", "content": "x"}, "input[0].id", "invalid_id_prefix"),
        ({"id": "msg_!", "role": "user", "content": "x"}, "input[0].id", "invalid_value"),
        ({"id": "msg_" + "1" * 61, "role": "user", "content": "x"}, "input[0].id", "string_above_max_length"),
    ],
)
async def test_an_id_that_cannot_be_is_refused(
    server: RunningServer, item: dict[str, Any], param: str, code: str
) -> None:
    reply = await server.post("/responses", {"model": "m", "input": [item]})
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert (error["param"], error["code"]) == (param, code)


@proves("1.1.9")
async def test_an_id_in_a_path_may_be_encoded(server: RunningServer) -> None:
    response = await server.client.responses.create(model="m", input="?")
    encoded = response.id.replace("_", "%5F")
    assert (await server.http.get(f"/responses/{encoded}")).json()["id"] == response.id
