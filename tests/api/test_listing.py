"""Lists of responses and of trees: `GET /v1/responses`."""

from __future__ import annotations

from typing import Any

import pytest

from catena.errors import UpstreamError
from catena.upstream.scripted import ScriptedUpstream
from tests.running import RunningServer, StartServer


async def ask(server: RunningServer, text: str, parent: str | None = None, **more: Any) -> str:
    body = {"model": "small", "input": text, "previous_response_id": parent, **more}
    return str((await server.post("/responses", body)).json()["id"])


async def listed(server: RunningServer, **query: Any) -> Any:
    reply = await server.http.get("/responses", params=query)
    assert reply.status_code == 200, reply.text
    return reply.json()


def ids(page: Any) -> list[str]:
    return [entry["id"] for entry in page["data"]]


async def test_responses_are_listed_newest_first_and_in_pages(server: RunningServer) -> None:
    made = [await ask(server, f"question {number}") for number in range(5)]
    page = await listed(server, limit=2)
    assert (ids(page), page["has_more"]) == (made[:2:-1], True)
    assert (page["first_id"], page["last_id"]) == (made[4], made[3])
    page = await listed(server, limit=3, after=page["last_id"])
    assert (ids(page), page["has_more"]) == (made[2::-1], False)
    assert ids(await listed(server, order="asc", after=made[1], limit=2)) == made[2:4]
    assert page["data"][0]["first_words"] == {"input": "question 2", "output": "1: question 2"}


async def test_an_empty_list_has_no_ends(server: RunningServer) -> None:
    assert await listed(server) == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


async def test_a_list_has_what_is_asked_for(start_server: StartServer) -> None:
    def script(prompt: Any) -> Any:
        yield UpstreamError("It is on fire.")

    engines = {"broken": ScriptedUpstream(script)}
    async with start_server(routes=engines) as server:
        red = await ask(server, "one", metadata={"team": "red", "user": "ada"})
        blue = await ask(server, "two", red, metadata={"team": "blue"}, model="large")
        body = {"model": "broken", "input": "three", "background": True}
        failed = (await server.post("/responses", body)).json()["id"]
        while (await server.client.responses.retrieve(failed)).status != "failed":
            pass
        made = (await server.post("/conversations", {})).json()["id"]
        inside = await ask(server, "four", conversation=made)
        await ask(server, "five", store=False)
        assert ids(await listed(server)) == [inside, failed, blue, red]
        assert ids(await listed(server, model="large")) == [blue]
        assert ids(await listed(server, status="failed")) == [failed]
        assert ids(await listed(server, conversation=made)) == [inside]
        assert ids(await listed(server, **{"metadata[team]": "red"})) == [red]
        assert ids(await listed(server, **{"metadata[team]": "blue", "metadata[user]": "ada"})) == []
        created = (await listed(server))["data"][-1]["created_at"]
        assert len(ids(await listed(server, created_after=created - 1))) == 4
        assert ids(await listed(server, created_before=created)) == []
        assert ids(await listed(server, created_after=created + 3600)) == []


async def test_trees_are_listed_by_their_newest_turn(server: RunningServer) -> None:
    first, second = await ask(server, "first tree"), await ask(server, "second tree")
    newest = await ask(server, "go on", first, model="large")
    page = await listed(server, roots="true")
    assert ids(page) == [first, second]
    tree = page["data"][0]
    assert tree["tree"] == {"root": first, "turns": 2, "branches": 1, "depth": 2}
    assert tree["first_words"]["input"] == "first tree"
    assert (tree["newest"]["id"], tree["newest"]["first_words"]["input"]) == (newest, "go on")
    one = await listed(server, roots="true", limit=1)
    assert (ids(one), one["has_more"]) == ([first], True)
    assert ids(await listed(server, roots="true", after=first)) == [second]
    assert ids(await listed(server, roots="true", model="large")) == [first]


@pytest.mark.parametrize(
    ("query", "param", "code"),
    [
        ({"limit": "101"}, "limit", "integer_above_max_value"),
        ({"order": "up"}, "order", "invalid_value"),
        ({"roots": "true", "order": "asc"}, "order", "invalid_value"),
        ({"roots": "perhaps"}, "roots", "invalid_type"),
        ({"status": "done"}, "status", "invalid_value"),
        ({"created_after": "yesterday"}, "created_after", "invalid_type"),
        ({"created_before": "-1"}, "created_before", "integer_below_min_value"),
        ({"after": "resp_x"}, "after", "invalid_value"),
        ({"roots": "true", "after": "resp_x"}, "after", "invalid_value"),
        ({"project": "other"}, "project", "unknown_parameter"),
        ({"metadata": "x"}, "metadata", "unknown_parameter"),
    ],
)
async def test_a_wrong_question_names_what_is_wrong(
    server: RunningServer, query: dict[str, str], param: str, code: str
) -> None:
    reply = await server.http.get("/responses", params=query)
    error = reply.json()["error"]
    assert (reply.status_code, error["param"], error["code"]) == (400, param, code)


@pytest.mark.parametrize("path", ["/conversations", "/chat/completions"])
@pytest.mark.parametrize("name", ["metadata", "metadata[]"])
async def test_metadata_without_a_key_is_not_passed_over(server: RunningServer, path: str, name: str) -> None:
    reply = await server.http.get(path, params={name: "red"})
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert (error["param"], error["code"]) == ("metadata", "invalid_type")
    assert "metadata[key]=value" in error["message"]
