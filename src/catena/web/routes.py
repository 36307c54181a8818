"""Paths to handlers. A path is found by one look-up, or by its shape where it holds ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Literal, TypeAlias

import msgspec

from catena.web.http import Handler, SocketHandler

__all__ = ["Cost", "Match", "Route", "Routes", "Socket"]


Cost: TypeAlias = Literal["nothing", "run", "storage"]
"""What a request is limited by: a run's requests, tokens and places, or what may be stored."""


class Route(msgspec.Struct, frozen=True):
    """One method on one path, for instance `GET /v1/responses/{id}`; `scope` is what a key needs for it, or None
    where anybody may ask, with or without a key."""

    method: str
    path: str
    handler: Handler
    scope: str | None
    cost: Cost = "nothing"


class Socket(msgspec.Struct, frozen=True):
    """What serves the WebSocket that a GET may ask for, beside the route that answers the plain GET; `scope` is what
    a key needs for it."""

    handler: SocketHandler
    scope: str


class Match(msgspec.Struct, frozen=True):
    """The routes of a path by method, and the ids that stood in it."""

    methods: Mapping[str, Route]
    ids: Sequence[str] = ()


class Routes:
    """All routes of the server."""

    def __init__(self) -> None:
        self.all: list[Route] = []
        self._sockets: dict[str, Socket] = {}
        self._exact: dict[str, Match] = {}
        self._shaped: dict[int, list[_Shape]] = {}
        self._deep: dict[str, _Shape] = {}

    def add_socket(self, path: str, handler: SocketHandler, *, scope: str) -> None:
        """Let `handler` serve WebSockets on `path`, which has no ids in it."""
        self._sockets[path] = Socket(handler, scope)

    def socket(self, path: str) -> Socket | None:
        """What serves WebSockets on a path, if anything does."""
        return self._sockets.get(path)

    def add(
        self,
        method: str,
        path: str,
        handler: Handler,
        *,
        scope: str | None,
        cost: Cost = "nothing",
        deep: bool = False,
    ) -> None:
        """Let `handler` answer for `method` on `path`; `{…}` stands for one id.

        With `deep` there may be slashes in the last one, as there are in the names of models.
        """
        route = Route(method, path, handler, scope, cost)
        self.all.append(route)
        if "{" not in path:
            methods = dict(self._exact[path].methods) if path in self._exact else {}
            self._exact[path] = Match({**methods, method: route})
            return
        parts = path.split("/")
        shapes = self._shaped.setdefault(len(parts), [])
        shape = next((each for each in shapes if each.parts == parts), None)
        if shape is None:
            shape = _Shape(parts)
            shapes.append(shape)
        shape.methods[method] = route
        if deep:
            self._deep[path[: path.rindex("{")]] = shape

    def find(self, path: str) -> Match | None:
        """The routes of a path, or None if there are none."""
        exact = self._exact.get(path)
        if exact is not None:
            return exact
        parts = path.split("/")
        for shape in self._shaped.get(len(parts), ()):
            if shape.words(parts) == shape.own_words:
                ids = [parts[place] for place in shape.id_places]
                if all(ids):
                    return Match(shape.methods, ids)
        return next(self._below(path), None)

    def _below(self, path: str) -> Iterator[Match]:
        for opening, shape in self._deep.items():
            last = path.removeprefix(opening)
            if last != path and all(last.split("/")):
                yield Match(shape.methods, [last])


class _Shape:
    """A path with ids in it, as it was registered, and the routes on it by method.

    `words` takes out of a path of this length what must be `own_words`: the parts that are no ids.
    """

    __slots__ = ("id_places", "methods", "own_words", "parts", "words")

    def __init__(self, parts: Sequence[str]) -> None:
        self.parts = parts
        self.methods: dict[str, Route] = {}
        self.id_places = [place for place, part in enumerate(parts) if part[:1] == "{"]
        self.words = itemgetter(*(place for place in range(len(parts)) if place not in self.id_places))
        self.own_words = self.words(parts)
