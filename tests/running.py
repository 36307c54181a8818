"""A whole server in the test's own loop: real sockets, a real database file, an engine that follows a script."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeAlias

import httpx2
import msgspec
from openai import AsyncOpenAI

from catena.config import Config, encryption_key_path
from catena.http_server import HttpServer, bind
from catena.server import build_app
from catena.store import Store
from catena.store.sqlite import SqliteStore
from catena.upstream import Upstream
from catena.upstream.routing import Route, Router
from catena.upstream.scripted import ScriptedUpstream, prompt_items
from catena.upstream.traits import Traits

LIMIT = 60.0
"""Seconds after which a test that waits for something gives up."""


class RunningServer:
    """A server to talk to, with its inside to look at."""

    def __init__(self, url: str, store: Store, engine: ScriptedUpstream, app: Any) -> None:
        self.url = url
        self.store = store
        self.engine = engine
        self.app = app
        self.client = AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0)
        self.http = httpx2.AsyncClient(base_url=f"{url}/v1", timeout=LIMIT)

    def seen(self, number: int = -1) -> list[dict[str, Any]]:
        """The messages that the engine saw in its last (or another) prompt."""
        return prompt_items(self.engine.prompts[number])

    async def post(self, path: str, body: Any) -> httpx2.Response:
        """A raw POST of anything, as JSON unless it is bytes."""
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return await self.http.post(path, content=content, headers={"content-type": "application/json"})


async def until(condition: Callable[[], Any]) -> None:
    """Return when the condition is met; raises TimeoutError if it never is."""
    async with asyncio.timeout(LIMIT):
        while not condition():
            await asyncio.sleep(0)


StartServer: TypeAlias = Callable[..., AbstractAsyncContextManager[RunningServer]]


@contextlib.asynccontextmanager
async def running_server(
    database: Path,
    *,
    config: Config | None = None,
    engine: ScriptedUpstream | None = None,
    routes: dict[str, Upstream] | None = None,
    traits: dict[str, Traits] | None = None,
    store: Store | None = None,
) -> AsyncIterator[RunningServer]:
    """A server on a free port, stopped at the end. `traits` are those of the routes, under "" those of `engine`.

    A `store` that is given takes the place of the database file, and is closed at the end as well.
    """
    config = msgspec.structs.replace(
        config or Config(),
        server=msgspec.structs.replace((config or Config()).server, port=0),
        store=msgspec.structs.replace((config or Config()).store, database=str(database)),
    )
    engine = engine or ScriptedUpstream()
    store = store or await SqliteStore.open(
        database, searched=config.search.enabled, key_file=encryption_key_path(config)
    )
    known = traits or {}
    router = Router(
        {name: Route(each, None, known.get(name)) for name, each in (routes or {}).items()},
        Route(engine, None, known.get("")),
    )
    app = build_app(config, store, router)
    listening = bind(config)
    server = HttpServer(app)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    running = RunningServer(f"http://127.0.0.1:{listening.getsockname()[1]}", store, engine, app)
    try:
        async with asyncio.timeout(LIMIT):
            await server.ready.wait()
        yield running
    finally:
        await running.client.close()
        await running.http.aclose()
        server.should_exit = True
        await serving
        listening.close()
        await store.close()
