"""Paths to handlers. A path is found by one look-up, or by its shape where it holds ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from catena.web.http import Handler, SocketHandler

__all__ = ["Match", "Route", "Routes"]


class Route(msgspec.Struct, frozen=True):
    """One method on one path, for instance `GET /v1/responses/{id}`; `scope` is what a key needs for it.

    `upgraded` serves the WebSocket that such a request may ask for.
    """

    method: str
    path: str
    handler: Handler
    scope: str
    upgraded: SocketHandler | None = None


class Match(msgspec.Struct, frozen=True):
    """The routes of a path by method, and the ids that stood in it."""

    methods: Mapping[str, Route]
    ids: Sequence[str] = ()


class Routes:
    """All routes of the server."""

    def __init__(self) -> None:
        self.all: list[Route] = []
        self._exact: dict[str, Match] = {}
        self._shaped: dict[int, list[tuple[Sequence[str], dict[str, Route]]]] = {}

    def add(
        self, method: str, path: str, handler: Handler, *, scope: str, upgraded: SocketHandler | None = None
    ) -> None:
        """Let `handler` answer for `method` on `path`; `{…}` stands for one id."""
        route = Route(method, path, handler, scope, upgraded)
        self.all.append(route)
        if "{" not in path:
            methods = dict(self._exact[path].methods) if path in self._exact else {}
            self._exact[path] = Match({**methods, method: route})
            return
        shape = path.split("/")
        for known, by_method in self._shaped.setdefault(len(shape), []):
            if known == shape:
                by_method[method] = route
                return
        self._shaped[len(shape)].append((shape, {method: route}))

    def find(self, path: str) -> Match | None:
        """The routes of a path, or None if there are none."""
        exact = self._exact.get(path)
        if exact is not None:
            return exact
        parts = path.split("/")
        for shape, by_method in self._shaped.get(len(parts), ()):
            pairs = list(zip(shape, parts, strict=True))
            if all(part if own[:1] == "{" else own == part for own, part in pairs):
                return Match(by_method, [part for own, part in pairs if own[:1] == "{"])
        return None
