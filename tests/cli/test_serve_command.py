"""`catena serve` as a person runs it: a real process."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import httpx2
import pytest

from tests.running import LIMIT

NOBODY = "http://127.0.0.1:9/v1"
"""An engine that is not there; nothing is fetched for it."""


async def catena(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CATENA_")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "catena",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**clean, "COLUMNS": "200", **environment},
    )


async def refusal(*arguments: str, **environment: str) -> str:
    process = await catena("serve", "--port", "0", *arguments, **environment)
    async with asyncio.timeout(LIMIT):
        _, stderr = await process.communicate()
    assert process.returncode == 1
    return " ".join(stderr.decode().split())


async def url_of(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(LIMIT):
        while line := (await process.stdout.readline()).decode():
            found = re.search(r"URL\s+(http://\S+)", line)
            if found:
                return found[1]
    raise AssertionError("the server never said where it is")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_says_where_it_is_and_stops_cleanly(tmp_path: Path, number: int) -> None:
    database = tmp_path / "turns.sqlite3"
    process = await catena("serve", "--port", "0", "--database", str(database), "--upstream", NOBODY)
    url = await url_of(process)
    async with httpx2.AsyncClient(base_url=url) as http:
        reply = await http.get("/responses/resp_" + "0" * 50)
        assert reply.status_code == 404
        asked = await http.post("/responses", json={"model": "m", "input": "hi"})
        assert asked.status_code == 502
        assert asked.json()["error"]["code"] == "upstream_unreachable"
    process.send_signal(number)
    async with asyncio.timeout(LIMIT):
        _, stderr = await process.communicate()
    assert process.returncode == 0, stderr.decode()
    assert database.exists()
    assert not Path(f"{database}-wal").exists()


async def test_the_first_page_has_lines_to_copy(tmp_path: Path) -> None:
    database = str(tmp_path / "turns.sqlite3")
    process = await catena("serve", "--port", "0", "--database", database, "--upstream", NOBODY, COLUMNS="60")
    url = await url_of(process)
    assert process.stdout is not None
    async with asyncio.timeout(LIMIT):
        lines: list[str] = []
        while not lines or "Stop with" not in lines[-1]:
            lines.append((await process.stdout.readline()).decode().strip())
    assert any(line.startswith(f"curl -s {url}/responses") and line.endswith("}'") for line in lines)
    assert any(database in line for line in lines)
    assert f"Explorer  {url.removesuffix('/v1')}/" in lines
    assert any(f"catena chat --url {url}" in line for line in lines)
    process.terminate()
    await process.communicate()


async def test_a_second_server_on_the_same_database_is_refused(tmp_path: Path) -> None:
    database = str(tmp_path / "turns.sqlite3")
    first = await catena("serve", "--port", "0", "--database", database, "--upstream", NOBODY)
    await url_of(first)
    assert "is in use by another server" in await refusal("--database", database, "--upstream", NOBODY)
    first.terminate()
    await first.communicate()


async def test_it_does_not_face_a_network_without_a_key() -> None:
    told = await refusal("--host", "0.0.0.0", "--upstream", NOBODY)
    assert "no API key is set" in told
    assert "CATENA_API_KEY" in told


async def test_settings_that_are_wrong_are_named(tmp_path: Path) -> None:
    file = tmp_path / "catena.toml"
    file.write_text("[server]\nprot = 1\n")
    assert "server.prot: there is no such setting" in await refusal("--config", str(file))
    file.write_text('[server]\nmax_body_bytes = "many"\n')
    assert "server.max_body_bytes: expected a whole number" in await refusal(
        "--config", str(file), "--upstream", NOBODY
    )
    told = await refusal("--upstream", "localhost:11434")
    assert "upstreams.default.url: expected a URL" in told
    told = await refusal("--database", "mysql://localhost/catena", "--upstream", NOBODY)
    assert "store.database: expected a path, or a URL that begins with postgresql://" in told
    told = await refusal("--config", str(tmp_path / "nothing.toml"))
    assert "No such file" in told


async def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    database = str(tmp_path / "turns.sqlite3")
    first = await catena("serve", "--port", "0", "--database", database, "--upstream", NOBODY)
    port = (await url_of(first)).rpartition(":")[2].removesuffix("/v1")
    other = str(tmp_path / "other.sqlite3")
    process = await catena("serve", "--port", port, "--database", other, "--upstream", NOBODY)
    _, stderr = await process.communicate()
    assert process.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{port}: Address already in use" in stderr.decode()
    assert "--port" in stderr.decode()
    first.terminate()
    await first.communicate()
