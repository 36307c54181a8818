"""Which engine answers for which model name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import msgspec

from catena.upstream import CHAT_DIALECTS, Upstream
from catena.upstream.traits import Traits, traits_of

__all__ = ["Route", "Router", "Served"]


class Route(msgspec.Struct, frozen=True):
    """An engine and the name it knows a model by; None leaves the client's name unchanged.

    `traits` are what the model takes there; by default what is usual for engines of its dialect. `window` is how many
    tokens its context may have; None leaves that to the engine.
    """

    upstream: Upstream
    model: str | None = None
    traits: Traits | None = None
    window: int | None = None


class Served(msgspec.Struct, frozen=True):
    """A route with what is usual where it sets nothing; `model` None still leaves the client's name unchanged.

    `chats` says that the engine speaks Chat Completions.
    """

    upstream: Upstream
    model: str | None
    traits: Traits
    window: int | None
    chats: bool


class Router:
    """Model names to engines: exact names first, then patterns in their order, then the default."""

    def __init__(self, routes: Mapping[str, Route], default: Route | None = None) -> None:
        served = {name: _served(route) for name, route in routes.items()}
        self._exact = {name: route for name, route in served.items() if not _is_pattern(name)}
        self._patterns = [(name, route) for name, route in served.items() if _is_pattern(name)]
        self._default = None if default is None else _served(default)

    @property
    def names(self) -> Sequence[str]:
        """The names that are mapped one by one, as a list of models shows them."""
        return tuple(self._exact)

    @property
    def upstreams(self) -> Sequence[Upstream]:
        """Every engine once, the default one first."""
        routes = [self._default, *self._exact.values(), *(route for _, route in self._patterns)]
        return list({id(route.upstream): route.upstream for route in routes if route is not None}.values())

    @property
    def default(self) -> tuple[Upstream, str] | None:
        """The engine for requests that name no model."""
        return None if self._default is None else (self._default.upstream, self._default.model or "")

    def route(self, model: str) -> tuple[Upstream, str] | None:
        """The engine for `model` and its name there; None where nothing answers for it."""
        served = self.served(model)
        return None if served is None else (served.upstream, served.model or model)

    def served(self, model: str) -> Served | None:
        """Where and how `model` is served; None where nothing answers for it."""
        served = self._exact.get(model)
        if served is None and self._patterns:
            served = self._by_pattern(model)
        return served or self._default

    def _by_pattern(self, model: str) -> Served | None:
        return next((served for pattern, served in self._patterns if fnmatchcase(model, pattern)), None)


def _served(route: Route) -> Served:
    traits = route.traits or traits_of(route.upstream.dialect)
    chats = route.upstream.dialect in CHAT_DIALECTS
    return Served(route.upstream, route.model, traits, route.window, chats)


def _is_pattern(name: str) -> bool:
    return any(sign in name for sign in "*?[")
