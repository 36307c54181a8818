"""No key and no content gets out of a server: not into its logs, its errors, its lists of processes or its settings.

A real server is led through successes and failures with texts that stand nowhere else; then everything that it wrote is
searched, and everything that it answered to who should not know.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from catena.access.secrets import new_secret
from tests.access.registry_of import bearer
from tests.cli.test_serve_command import url_of
from tests.running import LIMIT
from tests.upstream.raw_engine import Peer, raw_engine

UPSTREAM_KEY = "sk-upstream-QkZr8dWvTt3nXe5mLp2s"
SETTINGS_KEY = "sk-settings-Hy7BqVn4Jc9fWz1kRx6d"
WRONG_KEY = "sk-wrong-aP5uGm8sDw2yEj4vKt7h-0123456789"
ASKED = "content-asked-Lq3Ns7Yb"
ANSWERED = "content-answered-Vf8Kd2Rw"
NAMED = "content-in-a-name-Zt6Hc4Pm"
SECRETS = (UPSTREAM_KEY, SETTINGS_KEY, WRONG_KEY, ASKED, ANSWERED, NAMED)


async def engine(peer: Peer) -> None:
    """Answers, or fails with the prompt and the key in what it says."""
    while request := await peer.request():
        head, _, body = request.partition(b"\r\n\r\n")
        if b"fail" in body:
            said = msgspec.json.encode({"error": {"message": f"no: {body.decode()} {head.decode()}"}})
            await peer.send(b"HTTP/1.1 500 X\r\ncontent-length: %d\r\n\r\n" % len(said) + said)
        elif b"nonsense" in body:
            await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n" + ANSWERED[:9].encode())
        elif b"hang up" in body:
            return
        else:
            said = msgspec.json.encode(
                {
                    "choices": [
                        {"message": {"role": "assistant", "content": ANSWERED}, "finish_reason": "stop"}
                    ],
                    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
                }
            )
            await peer.send(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(said)
                + said
            )


class Served:
    """A server in a process of its own, and where it writes."""

    def __init__(self, url: str, process: asyncio.subprocess.Process, written: Path) -> None:
        self.url = url
        self.process = process
        self.written = written
        self.http = httpx2.AsyncClient(
            base_url=url, headers={"authorization": bearer(SETTINGS_KEY)}, timeout=LIMIT
        )


@asynccontextmanager
async def served(folder: Path, engine_url: str, form: str) -> AsyncIterator[Served]:
    settings = folder / "catena.toml"
    settings.write_text(
        f'[server]\nport = 0\naccess_log = true\n[logs]\nformat = "{form}"\n'
        f'[store]\ndatabase = "{folder / "c.sqlite3"}"\n'
        f'[upstreams.default]\nurl = "{engine_url}/v1"\nkey_env = "THE_KEY"\n'
    )
    written = folder / "stderr"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CATENA_")}
    with written.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "catena", "serve", "--config", str(settings)),
            env={**clean, "THE_KEY": UPSTREAM_KEY, "CATENA_API_KEY": SETTINGS_KEY, "COLUMNS": "200"},
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )
    made = Served(await url_of(process), process, written)
    try:
        yield made
    finally:
        await made.http.aclose()
        if process.returncode is None:
            process.terminate()
            async with asyncio.timeout(LIMIT):
                await process.communicate()


async def lead_through(server: Served) -> list[str]:
    """Successes and failures of all kinds; what was answered to who should know nothing."""
    http = server.http
    ask: dict[str, Any] = {"model": "m", "input": ASKED, "metadata": {"name": NAMED}}
    good = await http.post("/responses", json=ask)
    assert ANSWERED in good.text
    one = good.json()["id"]
    await http.post("/responses", json={**ask, "stream": True})
    await http.post("/responses", json={**ask, "background": True})
    await http.post(
        "/chat/completions", json={"model": "m", "messages": [{"role": "user", "content": ASKED}]}
    )
    for change in (
        {"input": f"{ASKED} fail"},
        {"input": f"{ASKED} fail", "stream": True},
        {"input": f"{ASKED} nonsense"},
        {"input": f"{ASKED} hang up"},
        {"previous_response_id": f"resp_{NAMED}"},
        {"tools": [{"type": "function", "name": NAMED, "parameters": ASKED}]},
        {NAMED: ASKED},
    ):
        await http.post("/responses", json={**ask, **change})
    await http.post("/responses", content=f'{{"model": "{ASKED}'.encode())
    await http.post(f"/{NAMED}", json=ask)
    await http.get(f"/responses/{one}?after={NAMED}&q={ASKED}")
    await http.get(f"/responses?q={ASKED}")
    await http.delete(f"/responses/{one}")
    told = []
    for header in ("", f"Bearer {WRONG_KEY}", f"Basic {WRONG_KEY}", bearer(new_secret())):
        for path in ("/models", f"/responses/{one}", "/files"):
            reply = await http.get(path, headers={"authorization": header})
            assert reply.status_code == 401
            told.append(f"{reply.headers} {reply.text}")
    async with httpx2.AsyncClient(base_url=server.url.removesuffix("/v1")) as nobody:
        for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/"):
            reply = await nobody.get(path)
            told.append(f"{reply.headers} {reply.text}")
    return told


@pytest.mark.parametrize("form", ["text", "json"])
async def test_nothing_that_is_secret_is_written_or_told(tmp_path: Path, form: str) -> None:
    async with raw_engine(engine, within=LIMIT) as behind:
        async with served(tmp_path, behind.url, form) as server:
            told = await lead_through(server)
            process = Path(f"/proc/{server.process.pid}")
            told.append((process / "cmdline").read_text())
            server.process.terminate()
            async with asyncio.timeout(LIMIT):
                stdout, _ = await server.process.communicate()
            told.append(stdout.decode())
            written = server.written.read_text()
    assert written.count("/v1/responses") >= 10, "the access log is on"
    for secret in SECRETS:
        assert secret not in written, f"in the log: {secret}"
        for text in told:
            assert secret not in text, f"told: {secret}"
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("c.sqlite3*") if path.is_file())
    for key in (UPSTREAM_KEY, SETTINGS_KEY, WRONG_KEY):
        assert key.encode() not in kept
