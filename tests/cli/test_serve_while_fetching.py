"""`catena serve` on a machine that does not have the embedded model yet: it answers while the model is fetched."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from rich.console import Console

from catena import provision
from catena.config import Config
from catena.embedded import PullFailed
from tests.cli.test_serve_command import catena, url_of
from tests.running import LIMIT

NOWHERE = "http://127.0.0.1:9"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 1117320768\r\n\r\n"


@pytest.fixture
async def hub() -> AsyncIterator[str]:
    """A hub that begins to send the model, and never goes on."""
    closing = asyncio.Event()

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + bytes(4 << 20))
        await closing.wait()
        writer.close()

    server = await asyncio.start_server(send, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    closing.set()
    server.close()


async def serve(folder: Path, hub: str, *more: str) -> asyncio.subprocess.Process:
    return await catena(
        "serve",
        *("--port", "0", "--database", str(folder / "turns.sqlite3"), *more),
        CATENA_CACHE=str(folder / "cache"),
        HF_ENDPOINT=hub,
        PIP_INDEX_URL=NOWHERE,
        PIP_RETRIES="0",
        PIP_DISABLE_PIP_VERSION_CHECK="1",
    )


async def test_it_answers_at_once_and_says_that_the_model_is_on_its_way(tmp_path: Path, hub: str) -> None:
    process = await serve(tmp_path, hub)
    url = await url_of(process)
    async with httpx2.AsyncClient(base_url=url) as http:
        asked = await http.post("/responses", json={"model": "m", "input": "hi"})
        listed = await http.get("/models")
        assert (await http.get(url.removesuffix("/v1") + "/healthz")).status_code == 200
        ready = await http.get(url.removesuffix("/v1") + "/readyz")
    assert asked.status_code == listed.status_code == 503
    assert asked.headers["retry-after"] == "5"
    error = asked.json()["error"]
    assert error["code"] == "model_loading"
    assert "is being fetched, once: 0% of 1.1 GB is here. Please try again" in error["message"]
    assert ready.status_code == 503
    assert ready.json()["checks"] == {"store": "ok", "engine embedded": "model_loading"}
    process.terminate()
    async with asyncio.timeout(LIMIT):
        _, stderr = await process.communicate()
    assert process.returncode == 0, stderr.decode()


async def test_a_model_that_cannot_be_had_ends_it_with_the_reason(tmp_path: Path) -> None:
    process = await serve(tmp_path, NOWHERE)
    async with asyncio.timeout(LIMIT):
        _, stderr = await process.communicate()
    assert process.returncode == 1
    assert "The model could not be pulled." in stderr.decode()
    assert "Traceback" not in stderr.decode()


def test_a_fetch_that_fails_at_once_is_told_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(**_: object) -> None:
        raise PullFailed("There is no room.")

    monkeypatch.setattr(provision, "find", lambda: None)
    monkeypatch.setattr(provision, "pull", no_room)
    with (
        pytest.raises(PullFailed, match="no room"),
        provision.providing(Config(), Console(quiet=True)),
    ):
        threading.Event().wait(LIMIT)


async def test_a_port_that_is_taken_is_told_before_anything_is_fetched(tmp_path: Path, hub: str) -> None:
    process = await serve(tmp_path, hub, "--port", hub.rpartition(":")[2])
    async with asyncio.timeout(LIMIT):
        stdout, stderr = await process.communicate()
    assert process.returncode == 1
    assert "Cannot listen on 127.0.0.1" in stderr.decode()
    assert "Fetching" not in stdout.decode()
