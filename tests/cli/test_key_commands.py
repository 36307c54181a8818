"""`catena projects` and `catena keys` as a person runs them, beside a server that goes on."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from catena.access import Keys, Registry
from tests.access.registry_of import Clock
from tests.cli.test_serve_command import NOBODY, catena, url_of
from tests.running import LIMIT, StartServer


async def told(*arguments: str, database: Path, status: int = 0, **environment: str) -> str:
    """What a command says: on its output, or, where it fails, on its error output."""
    process = await catena(*arguments, "--database", str(database), **environment)
    async with asyncio.timeout(LIMIT):
        stdout, stderr = await process.communicate()
    assert process.returncode == status, stderr.decode()
    return (stderr if status else stdout).decode()


async def data(*arguments: str, database: Path) -> Any:
    return json.loads(await told(*arguments, "--json", database=database))


async def test_a_key_made_beside_a_running_server_opens_it_and_a_revoked_one_does_not(
    start_server: StartServer, tmp_path: Path
) -> None:
    database = tmp_path / "catena.sqlite3"
    async with start_server() as server:
        clock = Clock()
        server.app.gate.keys = Keys(registry=Registry(server.store.documents), clock=clock)
        await data("projects", "create", "support", "--rpm", "60", database=database)
        made = await data("keys", "create", "--project", "support", "--expires", "90d", database=database)
        key = {"authorization": f"Bearer {made['key']}"}
        clock.now = made["created_at"]
        assert (await server.http.get("/models", headers=key)).status_code == 200
        assert (await server.http.get("/models")).status_code == 401
        rotated = await data("keys", "rotate", made["id"], "--grace", "0s", database=database)
        await told("keys", "revoke", rotated["id"], database=database)
        clock.now += 10
        for secret in (made["key"], rotated["key"]):
            reply = await server.http.get("/models", headers={"authorization": f"Bearer {secret}"})
            assert reply.status_code == 401


async def test_lists_show_everything_but_what_opens(tmp_path: Path) -> None:
    database = tmp_path / "catena.sqlite3"
    await told("projects", "create", "support", "--tpm", "1000", database=database)
    secret, _, about = (
        await told("keys", "create", "--project", "support", "--name", "ci", database=database)
    ).partition("\n")
    assert re.fullmatch(r"sk-catena-[\w-]{43}", secret)
    (key,) = await data("keys", "list", database=database)
    assert key["id"] in about
    assert key.keys() == {
        *("id", "project", "name", "hint", "scopes", "created_at"),
        *("expires_at", "revoked_at", "last_used_at", "limits"),
    }
    shown = await told("keys", "list", database=database, COLUMNS="40")
    for part in (key["id"], key["hint"], "support", "ci", "good", "all but admin"):
        assert part in shown
    assert secret not in shown
    await told("keys", "revoke", key["id"], database=database)
    assert "revoked" in await told("keys", "list", "--project", "support", database=database)
    assert await data("keys", "list", "--project", "other", database=database) == []
    await told("projects", "limit", "support", "--rpm", "5", "--tpm", "0", database=database)
    await told("projects", "revoke", "support", database=database)
    default, project = await data("projects", "list", database=database)
    assert (default["name"], default["created_at"], project["name"]) == ("default", None, "support")
    assert project["revoked_at"] is not None
    assert (project["limits"]["requests_per_minute"], project["limits"]["tokens_per_minute"]) == (5, 0)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("projects", "create", "a/b"), "Invalid project name"),
        (("projects", "revoke", "nobody"), "There is no project 'nobody'"),
        (("projects", "limit", "nobody", "--rpm", "1"), "There is no project 'nobody'"),
        (("keys", "create", "--project", "nobody"), "catena projects create nobody"),
        (("keys", "create", "--scope", "all"), "Unknown scope: 'all'"),
        (("keys", "create", "--expires", "soon"), "expected for instance 90d"),
        (("keys", "revoke", "key_none"), "There is no key 'key_none'"),
        (("keys", "rotate", "key_none"), "There is no key 'key_none'"),
    ],
)
async def test_what_cannot_be_done_is_said(tmp_path: Path, arguments: tuple[str, ...], why: str) -> None:
    said = await told(*arguments, database=tmp_path / "catena.sqlite3", status=1)
    assert why in " ".join(said.split())


async def test_a_server_faces_a_network_where_keys_were_made(tmp_path: Path) -> None:
    database = tmp_path / "catena.sqlite3"
    made = await data("keys", "create", database=database)
    process = await catena(
        "serve", "--port", "0", "--host", "0.0.0.0", "--database", str(database), "--upstream", NOBODY
    )
    url = await url_of(process)
    async with httpx2.AsyncClient(base_url=url) as http:
        assert (await http.get("/responses/resp_1")).status_code == 401
        key = {"authorization": f"Bearer {made['key']}"}
        assert (await http.get("/responses/resp_1", headers=key)).status_code == 404
    process.terminate()
    async with asyncio.timeout(LIMIT):
        await process.communicate()
