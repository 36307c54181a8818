"""`catena forget`: one person's data is found, removed, and reported."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec

from tests.cli.in_process import catena, refused
from tests.cli.pseudo_terminal import at_a_terminal
from tests.running import RunningServer
from tests.store.turns import running


async def say(server: RunningServer, text: str, **settings: Any) -> str:
    created = await server.client.responses.create(model="m", input=text, **settings)
    return str(created.id)


async def test_what_would_go_is_said_first_and_then_it_goes(server: RunningServer) -> None:
    anns = await say(server, "I am Ann", user="ann")
    bobs = await say(server, "I am Bob", user="bob", previous_response_id=anns)
    assert await catena(server.url, "forget", "ann", "--dry-run") == f"responses\t{anns}\n"
    assert (await server.http.get(f"/responses/{anns}")).status_code == 200
    report = msgspec.json.decode(await catena(server.url, "forget", "ann", "--json"))
    assert (report["id"], report["deleted"], report["responses"]) == ("ann", True, [anns])
    assert (await server.http.get(f"/responses/{anns}")).status_code == 404
    assert (await server.http.get(f"/responses/{bobs}")).status_code == 200
    assert await catena(server.url, "forget", "ann") == ""


async def test_a_person_is_shown_a_table(server: RunningServer, tmp_path: Path) -> None:
    anns = [await say(server, "I am Ann", user="ann & co=\x1b[31m") for _ in range(2)]

    def look(url: str) -> list[str]:
        shown = []
        for more in (("--dry-run",), (), ()):
            with at_a_terminal(url, tmp_path, "forget", "ann & co=\x1b[31m", *more) as terminal:
                assert terminal.end() == 0
                shown.append(terminal.plain)
        return shown

    found, removed, gone = await asyncio.to_thread(look, f"{server.url}/v1")
    assert "Found for ann & co=␛[31m" in found
    assert "responses  2" in found
    assert all(each in found for each in anns)
    assert "Removed for" in removed
    assert "Nothing is stored for" in gone


async def test_what_still_runs_is_left_and_said(server: RunningServer) -> None:
    turn = running(fields=b'{"user":"ann"}', created_at=int(time.time()))
    await server.store.begin(turn, owner="somebody", lease=60.0)
    assert await catena(server.url, "forget", "ann", "--dry-run") == f"running\t{turn.id}\n"
    assert "still runs was left" in await refused(server.url, "forget", "ann")


async def test_a_server_that_is_not_there_or_says_no_is_an_error(server: RunningServer) -> None:
    assert "Missing required parameter: 'id'" in await refused(server.url, "forget", "")
    assert "No server answers" in await refused("http://127.0.0.1:9", "forget", "ann")
