"""The engines that the settings name, and which of them a model's name leads to."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from msgspec.structs import replace

from catena.config import Config, UpstreamSettings
from catena.embedded import EmbeddedEngine
from catena.upstream import Upstream
from catena.upstream.chat import ChatUpstream
from catena.upstream.embedded import EmbeddedUpstream
from catena.upstream.engine import Access
from catena.upstream.http import Timeouts
from catena.upstream.responses import ResponsesUpstream
from catena.upstream.routing import Route, Router
from catena.upstream.traits import Content, Traits, traits_of

__all__ = ["open_router", "open_upstream", "traits_in"]


@contextlib.asynccontextmanager
async def open_router(config: Config) -> AsyncIterator[Router]:
    """The way from models to engines, which are open for as long as the context lasts."""
    async with contextlib.AsyncExitStack() as stack:
        upstreams: dict[str, Upstream] = {}
        configured = config.upstreams or {"embedded": UpstreamSettings(kind="embedded")}
        for name, settings in configured.items():
            upstreams[name] = open_upstream(name, settings)
            stack.push_async_callback(upstreams[name].close)
        traits = {name: traits_in(settings) for name, settings in configured.items()}
        routes = {
            name: Route(
                upstreams[route.upstream],
                route.model,
                _accepting(traits[route.upstream], route.accepts),
                route.context_window,
            )
            for name, route in config.models.items()
        }
        default = config.default_upstream or next(iter(upstreams))
        yield Router(routes, Route(upstreams[default], None, traits[default]))


def traits_in(settings: UpstreamSettings) -> Traits:
    """What an engine takes: what is known of it, but for what is set."""
    known = traits_of(settings.kind, settings.urls[0] if settings.urls else "")
    passes = known.passes if settings.passes is None else frozenset(settings.passes)
    return _accepting(replace(known, passes=passes, grammar=settings.grammar), settings.accepts)


def _accepting(traits: Traits, accepts: Sequence[Content] | None) -> Traits:
    return traits if accepts is None else replace(traits, accepts=frozenset({"text", *accepts}))


def open_upstream(name: str, settings: UpstreamSettings) -> Upstream:
    """The engine of these settings; an embedded one begins to load."""
    if settings.kind == "embedded":
        model = Path(settings.model_path) if settings.model_path else None
        upstream = EmbeddedUpstream(name, EmbeddedEngine(model, context=settings.context_tokens))
        upstream.warm_up()
        return upstream
    access: Access = {
        "key": settings.key or (os.environ.get(settings.key_env) if settings.key_env else None),
        "timeouts": Timeouts(
            connect=settings.connect_timeout,
            first=settings.first_timeout,
            between=settings.between_timeout,
        ),
    }
    if settings.kind == "responses":
        return ResponsesUpstream(name, settings.urls, context_window=settings.context_window, **access)
    return ChatUpstream(
        name,
        settings.urls,
        parse_think=settings.parse_think,
        max_tokens_field=settings.max_tokens_field,
        reasoning_field=None if settings.reasoning_field == "none" else settings.reasoning_field,
        context_window=settings.context_window,
        **access,
    )
