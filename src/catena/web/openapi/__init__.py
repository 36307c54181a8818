"""`/openapi.json`: what this server takes and answers, for programs to read.

    operation   the words in which a route is described
    operations  the description of every route
    schemas     what goes over the wire, from the structs that decode it
    document    all of it together

It is made when it is first asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from catena.web.http import Reply, Request
from catena.web.routes import Route, Routes

__all__ = ["OpenApiRoutes"]


class OpenApiRoutes:
    """The document of the routes that it is registered with."""

    def __init__(self) -> None:
        self._made = b""

    def register(self, routes: Routes) -> None:
        self._routes = routes
        routes.add("GET", "/openapi.json", self.show, scope=None)

    async def show(self, request: Request) -> Reply:
        if not self._made:
            self._made = await asyncio.to_thread(_made, self._routes.all)
        return Reply(self._made)


def _made(routes: Sequence[Route]) -> bytes:
    from catena.web.openapi.document import document  # with all its schemas: only when it is needed

    return msgspec.json.encode(document(routes))
