"""`/healthz` and `/readyz`, for who starts and watches servers: alive; able to answer, or what is not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from catena.errors import CatenaError, UpstreamError
from catena.store import Store
from catena.upstream import Upstream
from catena.upstream.routing import Router
from catena.web.http import Reply, Request, json_reply
from catena.web.routes import Routes

__all__ = ["HealthRoutes"]

_WITHIN: Final = 5.0
"""Seconds in which the store and an engine must answer."""

_FRESH: Final = 1.0
"""Seconds for which what was found is told again, so that who asks often burdens nobody."""


class HealthRoutes:
    """The handlers of one server. It is ready while its store answers and one of its engines does."""

    def __init__(self, store: Store, router: Router, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._router = router
        self._clock = clock
        self._looking = asyncio.Lock()
        self._found: dict[str, str] = {}
        self._looked_at = float("-inf")

    def register(self, routes: Routes) -> None:
        routes.add("GET", "/healthz", self.alive, scope=None)
        routes.add("GET", "/readyz", self.ready, scope=None)

    async def alive(self, request: Request) -> Reply:
        return json_reply({"status": "ok"})

    async def ready(self, request: Request) -> Reply:
        async with self._looking:
            if self._clock() - self._looked_at >= _FRESH:
                self._found = await self._look()
                self._looked_at = self._clock()
        engines = [state for name, state in self._found.items() if name != "store"]
        ready = self._found["store"] == "ok" and "ok" in engines
        body = {"status": "ok" if ready else "unavailable", "checks": self._found}
        return json_reply(body, 200 if ready else 503)

    async def _look(self) -> dict[str, str]:
        upstreams = self._router.upstreams
        store, *engines = await asyncio.gather(self._ask_store(), *map(_ask_engine, upstreams))
        names = [f"engine {upstream.name}" for upstream in upstreams]
        return {"store": store, **dict(zip(names, engines, strict=True))}

    async def _ask_store(self) -> str:
        try:
            async with asyncio.timeout(_WITHIN):
                await self._store.waiting()
        except TimeoutError:
            return "does not answer"
        except CatenaError as error:
            return error.code or "store_unavailable"
        return "ok"


async def _ask_engine(upstream: Upstream) -> str:
    try:
        async with asyncio.timeout(_WITHIN):
            await upstream.models()
    except TimeoutError:
        return "does not answer"
    except UpstreamError as error:
        return error.code or "upstream_error"
    return "ok"
