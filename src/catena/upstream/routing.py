"""Which engine answers for which model name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import msgspec

from catena.upstream import Upstream

__all__ = ["Route", "Router"]


class Route(msgspec.Struct, frozen=True):
    """An engine and the name it knows a model by; None leaves the client's name unchanged."""

    upstream: Upstream
    model: str | None = None


class Router:
    """Model names to engines: exact names first, then patterns in their order, then the default."""

    def __init__(self, routes: Mapping[str, Route], default: Route | None = None) -> None:
        self._exact = {name: route for name, route in routes.items() if not _is_pattern(name)}
        self._patterns = [(name, route) for name, route in routes.items() if _is_pattern(name)]
        self._default = default

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
        route = self._exact.get(model) or self._by_pattern(model) or self._default
        return None if route is None else (route.upstream, route.model or model)

    def _by_pattern(self, model: str) -> Route | None:
        return next((route for pattern, route in self._patterns if fnmatchcase(model, pattern)), None)


def _is_pattern(name: str) -> bool:
    return any(sign in name for sign in "*?[")
