"""Looking for words: `GET /v1/responses?q=`."""

from __future__ import annotations

from typing import Any

import pytest

from catena.config import Config, SearchSettings
from tests.running import RunningServer, StartServer


async def ask(server: RunningServer, text: str, parent: str | None = None, **more: Any) -> str:
    body = {"model": "small", "input": text, "previous_response_id": parent, **more}
    return str((await server.post("/responses", body)).json()["id"])


async def found(server: RunningServer, query: str, **more: Any) -> list[dict[str, Any]]:
    reply = await server.http.get("/responses", params={"q": query, **more})
    assert reply.status_code == 200, reply.text
    entries: list[dict[str, Any]] = reply.json()["data"]
    return entries


async def test_what_was_just_said_is_found_with_its_surroundings(server: RunningServer) -> None:
    fox = await ask(server, "The quick brown fox", metadata={"team": "red"})
    dog = await ask(server, "jumps over the quick dog", fox)
    assert [entry["id"] for entry in await found(server, "quick")] == [dog, fox]
    (entry,) = await found(server, '"brown fox" qui*')
    assert entry["id"] == fox
    assert entry["excerpt"].startswith("The quick brown fox")
    assert [entry["id"] for entry in await found(server, "quick", **{"metadata[team]": "red"})] == [fox]
    (tree,) = await found(server, "quick", roots="true")
    assert (tree["id"], tree["newest"]["id"]) == (fox, dog)
    assert "quick dog" in tree["newest"]["excerpt"]
    assert await found(server, "fox dog") == []


async def test_what_was_deleted_is_found_no_more(server: RunningServer) -> None:
    fox = await ask(server, "The quick brown fox")
    assert len(await found(server, "fox")) == 1
    await server.http.delete(f"/responses/{fox}")
    assert await found(server, "fox") == []


@pytest.mark.parametrize("query", ["???", '""', "* *", "word " * 33])
async def test_a_query_without_words_or_with_too_many_is_refused(server: RunningServer, query: str) -> None:
    reply = await server.http.get("/responses", params={"q": query})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "q")


async def test_a_server_that_keeps_no_index_says_so(start_server: StartServer) -> None:
    async with start_server(config=Config(search=SearchSettings(enabled=False))) as server:
        await ask(server, "The quick brown fox")
        reply = await server.http.get("/responses", params={"q": "fox"})
        assert (reply.status_code, reply.json()["error"]["param"]) == (400, "q")
        assert "search.enabled" in reply.json()["error"]["message"]
        assert (await server.http.get("/responses")).status_code == 200
